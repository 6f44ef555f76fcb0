"""Tempo and key as a prompt writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"(\d{2,3}(?:\.\d+)?)"
_BPM = r"(?:bpm|beats\s+(?:per|a)\s+minute)"
_TEMPOS = (
    re.compile(rf"{_NUMBER}\s*(?:-|to|and|\u2013)\s*{_NUMBER}\s*-?\s*{_BPM}\b"),
    re.compile(rf"{_NUMBER}\s*-?\s*{_BPM}\b"),
    re.compile(
        rf"\b(?:{_BPM}|tempo)\s*(?:is|of|at|[:=~])?\s*(?:around|about|exactly|near)?\s*{_NUMBER}\b"
    ),
    re.compile(rf"\bat\s+(?:around\s+|about\s+)?{_NUMBER}(?=\s*(?:$|[,.;!?]))"),
)
_SPELLED = re.compile(
    r"\b(sixty|seventy|eighty|ninety)(?:[\s-](one|two|three|four|five|six|seven|eight|nine))?"
    rf"(?=\s+{_BPM}\b)"
)
_TENS = {"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_ONES = {
    word: number
    for number, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), start=1
    )
}
_PITCHES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_ACCIDENTALS = {"#": 1, "\u266f": 1, "sharp": 1, "b": -1, "\u266d": -1, "flat": -1, "": 0}
_KEY = re.compile(
    r"\b(?P<note>[a-g])[\s-]?(?P<accidental>#|\u266f|\u266d|b(?![a-z])|sharp|flat)?"
    r"[\s-]*(?P<mode>major|minor|maj|min|dur|moll)\b"
)
_BARE_KEY = re.compile(
    r"\b(?P<lead>in the key of|key of|key is|key\s*[:=]|in)\s+"
    r"(?P<note>[a-g])[\s-]?(?P<accidental>#|\u266f|\u266d|b(?![a-z])|sharp|flat)?(?=\s*(?:$|[,.;!?]))"
)
# "a minor mood" has an article, not a key.
_AFTER_AN_ARTICLE = re.compile(
    r"\s+(?:key|mode|mood|chords?|feel|feeling|scale|progression|harmony|seventh|ninth|7th|9th"
    r"|tune|song|track|beat|groove|melody|piece|vibe|tonality|sound|touch)\b"
)
NOTE_NAMES = (
    "C",
    "D\u266d",
    "D",
    "E\u266d",
    "E",
    "F",
    "F\u266f",
    "G",
    "A\u266d",
    "A",
    "B\u266d",
    "B",
)


@dataclass(frozen=True)
class Numbers:
    """What was found, and the text without it. key is a pitch class (C = 0)."""

    beats_per_minute: float | None
    key: int | None
    minor: bool | None
    rest: str


def read_numbers(text: str) -> Numbers:
    """Tempo and key of a normalised prompt; a range of tempos counts as its middle."""
    tempo, text = _tempo(text)
    found = next(
        (
            match
            for match in _KEY.finditer(text)
            if match["note"] != "a"
            or match["accidental"]
            or not _AFTER_AN_ARTICLE.match(text, match.end())
        ),
        None,
    ) or next((match for match in _BARE_KEY.finditer(text) if _names_a_key(match)), None)
    if found is None:
        return Numbers(tempo, None, None, text)
    key = (_PITCHES[found["note"]] + _ACCIDENTALS[found["accidental"] or ""]) % 12
    mode = found.groupdict().get("mode")
    minor = None if mode is None else mode in ("minor", "min", "moll")
    return Numbers(tempo, key, minor, _without(text, found))


def _tempo(text: str) -> tuple[float | None, str]:
    spelled = _SPELLED.search(text)
    if spelled is not None:
        number = _TENS[spelled[1]] + _ONES.get(spelled[2] or "", 0)
        text = f"{text[: spelled.start()]}{number}{text[spelled.end() :]}"
    for pattern in _TEMPOS:
        found = pattern.search(text)
        if found is not None:
            numbers = [float(number) for number in found.groups()]
            return sum(numbers) / len(numbers), _without(text, found)
    return None, text


def _names_a_key(match: re.Match[str]) -> bool:
    return match["lead"] != "in" or match["note"] != "a" or bool(match["accidental"])


def _without(text: str, found: re.Match[str]) -> str:
    # A comma keeps what stood on either side apart.
    return f"{text[: found.start()]} , {text[found.end() :]}"
