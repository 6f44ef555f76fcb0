"""What the manifests of all models have in common. Light on imports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lofi_daemon.errors import ModelLoadFailed

EXPORT_AGAIN = "export the model again with its own export script"


class Section(BaseModel):
    """Part of a manifest: what a newer version has written besides is not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Mastering(Section):
    """The finish of a bundle whose raw output needs one; see mastering.py."""

    high_pass_hz: float = 25.0
    loudness_lufs: float = -16.0
    true_peak_db: float = -1.0
    fade_in_sec: float = 0.0
    fade_out_sec: float = 0.05


def check_interface(path: Path, found: int, expected: int, instead: str = EXPORT_AGAIN) -> None:
    """Raises ModelLoadFailed for a manifest of another interface; instead: what else may help."""
    if found != expected:
        raise ModelLoadFailed(
            f"Model file {path} has interface {found}; this version runs {expected}.",
            hint=f"Update lofi-daemon, or {instead}.",
        )


SectionT = TypeVar("SectionT", bound=Section)


def told_of(kind: type[SectionT], terms: Mapping[str, Any]) -> SectionT:
    """The part of a manifest that another machine told. Raises ModelLoadFailed."""
    try:
        return kind.model_validate(dict(terms))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ModelLoadFailed(
            f"What is told of the model makes no sense: {where[:80]}: {problem['msg']:.80}.",
            hint="Use the same version of lofi-daemon on both machines.",
        ) from None
