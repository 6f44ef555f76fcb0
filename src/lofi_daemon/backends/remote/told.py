"""What another machine tells, checked: nothing of it is used that is not of these forms."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lofi_daemon.errors import InternalError, LofiError, RemoteUnavailable, error_named
from lofi_daemon.text import shown

MAX_TEXT = 1000

# A stranger's text, as it can be shown.
Text = Annotated[str, Field(max_length=4 * MAX_TEXT), AfterValidator(shown)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(shown)]
Hexadecimal = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Told(BaseModel):
    """Base of these forms: exact types; what another version says besides is not looked at."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, defer_build=True)


ToldT = TypeVar("ToldT", bound=Told)


class ToldPong(Told):
    version: Name
    protocol: int


class ToldBackend(Told):
    """A backend as `get_backends` lists it; `terms` is there where it can be used."""

    type: Name
    name: Name
    status: Name
    sample_rate: int
    model_version: Name | None = None
    terms: dict[str, Any] | None = None
    device: Name | None = None
    error: Text | None = None


class ToldBackends(Told):
    backends: list[ToldBackend] = Field(max_length=100)


class ToldDevice(Told):
    device: Name | None
    problem: Text | None


class ToldTicket(Told):
    track_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    seed: int
    backend: Name


class ToldProgress(Told):
    phase: Name
    current_step: int = Field(ge=0, le=1_000_000)
    total_steps: int = Field(ge=0, le=1_000_000)
    eta_sec: float = Field(ge=0.0, le=1e9, allow_inf_nan=False)


class ToldTrack(Told):
    backend: Name
    model_version: Name | None
    seed: int


class ToldFailure(Told):
    code: Name
    message: Text
    hint: Text


class ToldPiece(Told):
    data: str
    bytes: int
    sha256: Hexadecimal

    def decoded(self, name: str) -> bytes:
        """Raises RemoteUnavailable."""
        try:
            return base64.b64decode(self.data, validate=True)
        except (binascii.Error, ValueError):
            raise nonsense(name, "a piece of the track is not in base64") from None


def told(kind: type[ToldT], name: str, value: object) -> ToldT:
    """What the machine of that name told, in that form. Raises RemoteUnavailable."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise nonsense(name, f"{where[:80]}: {problem['msg']:.80}") from None


def object_told(name: str, value: object) -> dict[str, Any]:
    """Raises RemoteUnavailable for anything else."""
    if not isinstance(value, dict):
        raise nonsense(name, "an answer is no object")
    return cast("dict[str, Any]", value)


def nonsense(name: str, what: str) -> RemoteUnavailable:
    """What to raise for an answer that cannot be one of lofi-daemon's."""
    return RemoteUnavailable(
        f"What {name} answers makes no sense: {shown(what)}.",
        hint=f"Update lofi-daemon on {name} and here to the same version.",
    )


def error_told(name: str, value: object) -> LofiError:
    """The error of a response."""
    fields: Mapping[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    data = fields.get("data")
    given = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    return error_of(name, given.get("code"), fields.get("message"), given.get("hint"))


def error_of(name: str, code: object, message: object, hint: object) -> LofiError:
    """An error as the machine of that name told it: its code, and its words behind the name."""
    kind = error_named(code) if isinstance(code, str) else InternalError
    text = _words(message) or "It failed and does not say why."
    return kind(f"{name}: {text}", hint=_words(hint) or f"Look at {name}.")


def _words(text: object) -> str:
    return shown(text[: 4 * MAX_TEXT])[:MAX_TEXT] if isinstance(text, str) else ""
