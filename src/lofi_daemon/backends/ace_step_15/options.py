"""What ACE-Step 1.5 takes beyond prompt, length and seed."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from lofi_daemon.backends.ace_step_15.prompt import LANGUAGES
from lofi_daemon.backends.ace_step_15.reading import MAX_BPM, MIN_BPM
from lofi_daemon.backends.kit.diffusion_options import FlowOptions
from lofi_daemon.backends.kit.lyrics import language_field, lyrics_field, sung

TimeSignature = Literal["2", "3", "4", "6"]
SchedulerName = Literal["euler", "heun", "pingpong"]
MaskName = Literal["original", "explicit"]

_KEY = re.compile("[A-G][#b♯♭]? (major|minor)")


class AceStep15Options(FlowOptions):
    """None means: what the prompt's words, the model's files or the configuration say."""

    scheduler: SchedulerName | None = Field(
        default=None,
        description="Solver of the diffusion: euler, heun (twice the work a step) or pingpong.",
    )
    bpm: int | None = Field(
        default=None,
        ge=MIN_BPM,
        le=MAX_BPM,
        description="Beats a minute, 30 to 300. Default: what the prompt says.",
    )
    key: str | None = Field(
        default=None,
        max_length=16,
        description='The key, as "A minor" or "F# major". Default: what the prompt says.',
    )
    time_signature: TimeSignature | None = Field(
        default=None,
        description="Beats a bar: 2, 3, 4 or 6. Default: what the prompt says.",
    )
    lyrics: str | None = lyrics_field()
    language: str | None = language_field()
    shift: float | None = Field(
        default=None,
        ge=1.0,
        le=5.0,
        description="How much of the steps is spent at high noise, 1.0 to 5.0.",
    )
    dcw: bool | None = Field(
        default=None,
        description="Correct each step in the wavelet domain. Default: on for turbo models.",
    )

    repaint_mask: MaskName | None = Field(
        default=None,
        description="What repaint and extend tell the model of what is made anew: nothing, as the "
        "original does (original, the default), or where it is (explicit).",
    )

    @field_validator("key")
    @classmethod
    def _is_key(cls, key: str | None) -> str | None:
        if key is not None and _KEY.fullmatch(key) is None:
            raise PydanticCustomError("key", 'a key is written as "A minor" or "F# major"')
        return key

    @field_validator("language")
    @classmethod
    def _is_language(cls, language: str | None) -> str | None:
        if language is not None and language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise PydanticCustomError(
                "language", "the known languages are {known}", {"known": known}
            )
        return language

    @field_validator("lyrics")
    @classmethod
    def _is_text(cls, lyrics: str | None) -> str | None:
        return None if lyrics is None else sung(lyrics)
