"""Words to be sung, as every model that sings takes them."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic_core import PydanticCustomError

MAX_LYRICS = 4095


def lyrics_field() -> Any:
    """What an options class gives its field `lyrics`, of text or None."""
    return Field(
        default=None,
        min_length=1,
        max_length=MAX_LYRICS,
        description="What is sung, with tags like [verse] on lines of their own, up to 4095 "
        "characters. Default: instrumental.",
    )


def language_field() -> Any:
    """And `language`: which codes there are differs between models."""
    return Field(
        default=None,
        max_length=8,
        description="The language of the lyrics as a code, such as en or ja.",
    )


def sung(lyrics: str) -> str:
    """The lyrics; raises PydanticCustomError where they are no text to sing."""
    if not lyrics.strip():
        raise PydanticCustomError("blank", "the lyrics have only blanks")
    if any(not (each.isprintable() or each in "\n\t") for each in lyrics):
        raise PydanticCustomError("lyrics", "lyrics are printable characters and newlines")
    return lyrics
