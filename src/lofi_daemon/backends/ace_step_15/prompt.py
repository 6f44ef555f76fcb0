"""The two texts that the model reads: a caption with its facts, and lyrics.

Every newline is part of what the model was trained on. The instrumental form, the spelling of
facts and the languages are those of the original's prompt builder.
"""

from __future__ import annotations

from dataclasses import dataclass

INSTRUCTION = "Fill the audio semantic mask based on the given conditions:"
REPAINT = "Repaint the mask area based on the given conditions:"
COVER = "Generate audio semantic tokens based on the given conditions:"
INSTRUMENTAL = "[Instrumental]"
UNKNOWN_LANGUAGE = "unknown"
UNSAID = "N/A"
END = "<|endoftext|>"

LANGUAGES = (
    "ar", "az", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi",
    "hr", "ht", "hu", "id", "is", "it", "ja", "ko", "la", "lt", "ms", "ne", "nl", "no", "pa", "pl",
    "pt", "ro", "ru", "sa", "sk", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi",
    "yue", "zh", UNKNOWN_LANGUAGE,
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What the caption says in figures; None: left to the model.

    bpm: beats a minute; key as "A minor"; time_signature: beats a bar.
    """

    bpm: int | None = None
    key: str | None = None
    time_signature: str | None = None


def caption_text(
    caption: str, facts: Facts, duration_sec: float, instruction: str = INSTRUCTION
) -> str:
    """What the text encoder reads. Seconds are cut, not rounded, to whole ones."""

    def said(value: int | str | None) -> str:
        return UNSAID if value is None else str(value)

    return (
        f"# Instruction\n{instruction}\n\n"
        f"# Caption\n{caption}\n\n"
        "# Metas\n"
        f"- bpm: {said(facts.bpm)}\n"
        f"- timesignature: {said(facts.time_signature)}\n"
        f"- keyscale: {said(facts.key)}\n"
        f"- duration: {int(duration_sec)} seconds\n"
        f"{END}\n"
    )


def lyric_text(lyrics: str, language: str) -> str:
    """What the lyric encoder reads."""
    return f"# Languages\n{language}\n\n# Lyric\n{lyrics}{END}"
