"""Words to be sung, as every model that sings takes them."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

MAX_LYRICS = 4095


def sung(lyrics: str) -> str:
    """The lyrics; raises PydanticCustomError where they are no text to sing."""
    if not lyrics.strip():
        raise PydanticCustomError("blank", "the lyrics have only blanks")
    if any(not (each.isprintable() or each in "\n\t") for each in lyrics):
        raise PydanticCustomError("lyrics", "lyrics are printable characters and newlines")
    return lyrics
