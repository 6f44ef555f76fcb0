"""Tempo, key and metre as people write them into a prompt: "70 bpm", "in A minor", "6/8"."""

from __future__ import annotations

import re

from lofi_daemon.backends.ace_step_15.prompt import Facts

MIN_BPM, MAX_BPM = 30, 300

_BPM = re.compile(
    r"(?<![\d.])(\d{2,3})\s*-?\s*(?:bpm|beats (?:per|a) minute)\b"
    r"|\bbpm\s*[:=]?\s*(\d{2,3})(?![\d.])",
    re.IGNORECASE,
)
_METRE = re.compile(r"(?<![\d/])([234])/4(?![\d/])|(?<![\d/])(6)/8(?![\d/])")
_ACCIDENTALS = {"sharp": "#", "flat": "b", "♯": "#", "♭": "b"}
# A capital is a note; a small letter is one where "in" or "key of" stands before it and no word
# goes on after it, so that "in a minor mood" names no key.
_KEY = re.compile(
    r"\b(?P<note>[A-G])(?P<sign>#|b|♯|♭|[ -]?sharp|[ -]?flat)?[ -]?(?P<mode>major|minor|maj|min)\b"
    r"|\b(?:in|key of|key:)\s+(?P<small>[a-g])(?P<smallsign>#|b|♯|♭|[ -]?sharp|[ -]?flat)?[ -]"
    r"(?P<smallmode>major|minor|maj|min)\b(?!\s+\w)"
    r"|\b(?:in|key of|key:)\s+(?P<short>[A-G])(?P<shortsign>#|b|♯|♭)?m\b"
)


def read_facts(prompt: str) -> Facts:
    """What the prompt's words say of tempo, key and metre; what cannot be is left out."""
    return Facts(bpm=_bpm(prompt), key=_key(prompt), time_signature=_metre(prompt))


def described(facts: Facts) -> str:
    """The facts in a line; empty where there are none."""
    metre = {"6": "6/8"}.get(facts.time_signature or "", f"{facts.time_signature}/4")
    parts = (
        None if facts.bpm is None else f"{facts.bpm} bpm",
        facts.key,
        None if facts.time_signature is None else metre,
    )
    return ", ".join(part for part in parts if part is not None)


def _bpm(prompt: str) -> int | None:
    match = _BPM.search(prompt)
    if match is None:
        return None
    bpm = int(match[1] or match[2])
    return bpm if MIN_BPM <= bpm <= MAX_BPM else None


def _metre(prompt: str) -> str | None:
    match = _METRE.search(prompt)
    return None if match is None else match[1] or match[2]


def _key(prompt: str) -> str | None:
    match = _KEY.search(prompt)
    if match is None:
        return None
    if match["short"] is not None:
        return f"{match['short']}{_sign(match['shortsign'])} minor"
    note = match["note"] or match["small"].upper()
    mode = match["mode"] or match["smallmode"]
    sign = _sign(match["sign"] or match["smallsign"])
    return f"{note}{sign} {'major' if mode.startswith('maj') else 'minor'}"


def _sign(text: str | None) -> str:
    if text is None:
        return ""
    plain = text.strip(" -")
    return _ACCIDENTALS.get(plain, plain)
