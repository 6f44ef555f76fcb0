"""Names of files as documents from elsewhere give them, and where they may lie."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

MAX_NAME_BYTES = 200
MAX_PARTS = 8
# Separators and drives of Windows, what its shell and ours read as patterns, and what no screen
# shows as it is.
_FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def checked_name(name: str) -> str:
    """The name, where it says a file below the folder of the document that has it.

    Parts are separated by `/`. None begins with a dot (our own folders do, and `..`), none is a
    name that some system reads in another way. Raises ValueError.
    """
    parts = name.split("/")
    if len(parts) > MAX_PARTS:
        raise ValueError(f"{name!r:.120} has more than {MAX_PARTS} parts")
    for part in parts:
        try:
            size = len(part.encode())
        except UnicodeEncodeError:
            raise ValueError(f"{name!r:.120} is no text") from None
        if not 0 < size <= MAX_NAME_BYTES:
            raise ValueError(f"{name!r:.120} has a part that is empty or too long")
        odd = part[0] in ". " or part[-1] in ". " or _FORBIDDEN.search(part)
        if odd or _DEVICES.fullmatch(part):
            raise ValueError(f"{name!r:.120} is no name of a file inside this folder")
    return name


def checked_names(names: Iterable[str], reserved: Sequence[str] = ()) -> None:
    """Raise ValueError where two names are one file on some system, or one needs a folder of the
    name of another, or one is reserved. Letter case and ways of writing an accent do not count."""
    seen = {_folded(name): name for name in reserved}
    folders: dict[str, str] = {}
    for name in names:
        folded = _folded(name)
        if folded in seen:
            raise ValueError(f"{name!r:.120} is there twice, or the name of a file of our own")
        seen[folded] = name
        for parent in list(PurePosixPath(folded).parents)[:-1]:
            folders[str(parent)] = name
    for folder, name in folders.items():
        if folder in seen:
            raise ValueError(f"{name!r:.120} lies in a folder that has the name of a file")


def inside(folder: Path, name: str) -> Path:
    """Where the file of that name lies in the folder, through no link that leads out of it.

    Raises OSError where a link in its way does.
    """
    path = folder / checked_name(name)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise OSError(errno.ELOOP, "A link leads out of the folder", os.fspath(path.parent))
    return path


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


FileName = Annotated[str, AfterValidator(checked_name)]
"""The name of a file below the folder of the document that has it."""
