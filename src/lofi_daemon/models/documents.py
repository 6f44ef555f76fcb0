"""What lies beside model files and says something of them: read with care, checked, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.files.documents import read_document
from lofi_daemon.files.held import Held
from lofi_daemon.files.names import FileName, checked_names
from lofi_daemon.files.temporary import sweep, sync_folder, temporary_file

# A model of a thousand files is described in a tenth of this.
MAX_BYTES = 8 << 20
MAX_FILES = 10_000
MANIFEST = "manifest.json"
RECORD = "installed.json"

ModelT = TypeVar("ModelT", bound=BaseModel)
_HELD: Held[BaseModel] = Held()


class FileFacts(BaseModel):
    """How a file must be: its size in bytes, and its SHA-256 in hexadecimal digits."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    bytes: int = Field(strict=True, ge=0, lt=1 << 60)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def _distinct(files: dict[str, FileFacts]) -> dict[str, FileFacts]:
    if len(files) > MAX_FILES:
        raise ValueError(f"more than {MAX_FILES} files are listed")
    checked_names(files, reserved=(RECORD,))
    return files


ListedFiles = Annotated[dict[FileName, FileFacts], AfterValidator(_distinct)]
"""Files by their names, as a manifest or a record lists them: all of them inside its folder."""


def read_checked(path: Path, kind: type[ModelT], hint: str | None = None) -> ModelT:
    """A JSON document of a model's folder, read once for each state of its file.

    Raises ModelLoadFailed, saying where it is broken.
    """

    def read() -> ModelT:
        return kind.model_validate(read_document(path, MAX_BYTES))

    try:
        return cast("ModelT", _HELD.get(path, kind, read))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        problem = f"Model file {path} is broken at {where:.200}: {first['msg']}"
    except OSError as error:
        problem = f"Model file {path} cannot be read: {error.strerror or error}"
    except ValueError as error:
        problem = f"Model file {path} is broken at the document: {error}"
    raise ModelLoadFailed(f"{problem}.", hint=hint)


def read_any(path: Path) -> dict[str, Any]:
    """The JSON object of a model's folder, whatever it holds. Raises ModelLoadFailed."""
    return read_checked(path, _Anything).model_dump()


def write_document(path: Path, text: str) -> None:
    """The whole text, on the disk, or, when interrupted, what was there before. Raises OSError.

    As open to others as the user's other files: a model may be shared.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    with temporary_file(path.parent, path.name, mode=0o666) as file:
        file.write(text.encode())
        file.publish(path)
    sync_folder(path.parent)


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)
