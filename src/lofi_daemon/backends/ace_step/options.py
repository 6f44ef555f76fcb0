"""What ACE-Step's first version takes beyond prompt, length and seed."""

from __future__ import annotations

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from lofi_daemon.backends.ace_step.lyric_words import LANGUAGES
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.lyrics import language_field, lyrics_field, sung


class AceStepOptions(DiffusionOptions):
    """None means: what the model's files or the configuration say."""

    lyrics: str | None = lyrics_field()
    language: str | None = language_field()

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
