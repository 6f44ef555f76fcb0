"""What the other machine has, remembered on the disk: asking must be instant while it is away."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from lofi_daemon.backends.remote.address import Address
from lofi_daemon.backends.remote.told import Name, Told, ToldBackend
from lofi_daemon.files.documents import read_document
from lofi_daemon.files.private import private_folder
from lofi_daemon.files.temporary import replace_file

log = logging.getLogger(__name__)


class Description(Told):
    """`command` is that of the address it was told by."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    command: list[str]
    version: Name
    backends: list[ToldBackend] = Field(max_length=100)

    def backend(self, kind: str) -> ToldBackend | None:
        return next((each for each in self.backends if each.type == kind), None)


def read_description(file: Path, address: Address) -> Description | None:
    """What was told by that address last; None where nothing is known."""
    try:
        description = Description.model_validate(read_document(file))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError) as error:
        log.warning("Ignoring what is remembered of %s in %s: %s", address.name, file, error)
        return None
    return description if tuple(description.command) == address.command else None


def write_description(file: Path, description: Description) -> None:
    """Where that cannot be, the machine is asked again next time."""
    try:
        private_folder(file.parent)
        replace_file(file, description.model_dump_json().encode())
    except OSError as error:
        log.warning("What was told cannot be remembered in %s: %s", file, error)
