"""Where a model comes from, as data: `published.json` in its backend's folder.

Sizes and SHA-256 are given there where they are known. Where they are not, the Hub's own metadata
of the revision decides, and what was installed is recorded beside the files (see store.py).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lofi_daemon.errors import ConfigurationError
from lofi_daemon.files.names import FileName

_SOURCE = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<folder>[\w./-]+?))?(?:@(?P<revision>[\w./-]+))?"
)


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Licence(_Data):
    """The terms of the weights (the code has its own licence)."""

    name: str
    url: str
    commercial_use: bool

    def __str__(self) -> str:
        terms = "" if self.commercial_use else ", not for commercial use"
        return f"{self.name}{terms} ({self.url})"


class Source(_Data):
    """A folder of a Hub repository at a revision (a branch, a tag or a commit)."""

    repository: str
    folder: str = ""
    revision: str = "main"

    def __str__(self) -> str:
        folder = f"/{self.folder}" if self.folder else ""
        return f"{self.repository}{folder}@{self.revision}"


class ModelFile(_Data):
    """One file: `path` inside the source folder (the name, unless said), `name` when installed.

    repository: where it lies, if not with the rest of the model.
    """

    name: FileName
    component: str
    path: str = ""
    repository: str = ""
    bytes: int | None = None
    sha256: str | None = None

    @property
    def source_path(self) -> str:
        return self.path or self.name


class Published(_Data):
    """Everything there is to know of a model before it is here.

    bytes: about what all of it takes, in use, where that has to be said before the Hub is asked.
    elsewhere: the source is another one than the model's own, and says itself which files it has;
    those named here are what it is expected to have if it does not.
    """

    model: str
    title: str
    interface: int
    repository: str
    folder: str
    revision: str
    licence: Licence
    bytes: int
    files: tuple[ModelFile, ...]
    elsewhere: bool = False

    @property
    def source(self) -> Source:
        return Source(repository=self.repository, folder=self.folder, revision=self.revision)

    def source_of(self, file: ModelFile) -> Source:
        return Source(repository=file.repository) if file.repository else self.source


@cache
def read_published(path: Path) -> Published:
    """The document that comes with a backend."""
    return Published.model_validate_json(path.read_text(encoding="utf-8"))


def parse_source(text: str) -> Source:
    """`owner/name[/folder][@revision]` of the Hub. Raises ConfigurationError."""
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{text:.120} is no Hub repository; write owner/name[/folder][@revision]."
        )
    return Source(
        repository=match["repository"],
        folder=match["folder"] or "",
        revision=match["revision"] or "main",
    )


def from_source(published: Published, source: Source) -> Published:
    """The same model from somewhere else, which is asked for its list of files."""
    expected = tuple(
        ModelFile(name=file.name, component=file.component) for file in published.files
    )
    return published.model_copy(
        update={**source.model_dump(), "files": expected, "elsewhere": True}
    )
