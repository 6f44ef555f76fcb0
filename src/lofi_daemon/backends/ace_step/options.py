"""What ACE-Step's first version takes beyond prompt, length and seed."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from lofi_daemon.backends.ace_step.lyric_words import LANGUAGES
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.lyrics import MAX_LYRICS, sung


class AceStepOptions(DiffusionOptions):
    """None means: what the model's files or the configuration say."""

    lyrics: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_LYRICS,
        description="What is sung, with tags like [verse] on lines of their own, up to 4095 "
        "characters. Default: instrumental.",
    )
    language: str | None = Field(
        default=None,
        max_length=8,
        description="The language of the lyrics as a code, such as en or ja.",
    )

    @field_validator("lyrics")
    @classmethod
    def _is_text(cls, lyrics: str | None) -> str | None:
        return None if lyrics is None else sung(lyrics)

    @field_validator("language")
    @classmethod
    def _is_language(cls, language: str | None) -> str | None:
        if language is not None and language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise PydanticCustomError(
                "language", "the known languages are {known}", {"known": known}
            )
        return language
