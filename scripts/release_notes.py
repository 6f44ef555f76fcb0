"""Prints what the changelog says of a version: `python scripts/release_notes.py v0.2.0`.

Ends with status 1 where the tag is not the package's version, or the changelog does not tell of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def notes(tag: str, changelog: str, source: str) -> str:
    """The section of `changelog` for the tag of the version in `source`. Raises ValueError."""
    found = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    version = found[1] if found is not None else None
    if tag != f"v{version}":
        raise ValueError(f"The tag {tag} is not v{version}, the version of the package.")
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, text = section.partition("\n")
        if title.strip() == version and text.strip():
            return text.strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section {version}.")


def main(tag: str) -> int:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    source = (ROOT / "src" / "lofi_daemon" / "__init__.py").read_text("utf-8")
    try:
        print(notes(tag, changelog, source), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
