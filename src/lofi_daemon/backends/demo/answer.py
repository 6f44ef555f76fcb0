"""What was read from a prompt, told to the person who wrote it."""

from __future__ import annotations

from random import Random

from lofi_daemon.backends.protocol import Understood

from .numbers import NOTE_NAMES
from .plan import choose_tempo
from .prompt import Understanding, understand
from .score import PARTS, tempo_of

_IN_WORDS = {"hats": "hi-hats", "keys": "chords"}


def understood(prompt: str) -> Understood:
    """The answer to a prompt: asked, left out, replaced, and not known."""
    wishes = understand(prompt)
    tempo = _tempo(wishes)
    key = _key(wishes)
    plays = _plays(wishes)
    only = None if wishes.only is None else _in_order(wishes.only)
    left_out = (
        *(("everything but textures",) if wishes.left_out >= set(PARTS) else ()),
        *(() if wishes.left_out >= set(PARTS) else _in_order(wishes.left_out)),
        *sorted(set[str]().union(*wishes.refused.values())),
    )
    sentences = [
        "" if tempo is None else f"{tempo:g} bpm",
        key or "",
        ", ".join(plays),
        ", ".join(sorted(wishes.moods)),
        "" if only is None else f"only {' and '.join(only) or 'textures'}",
        f"without {', '.join(left_out)}" if left_out else "",
        *(_replaced(asked, instead) for asked, instead in wishes.replaced),
        f"not known: {', '.join(wishes.unknown)}" if wishes.unknown else "",
    ]
    return Understood(
        text="; ".join(sentence for sentence in sentences if sentence),
        tempo=tempo,
        key=key,
        plays=plays,
        moods=tuple(sorted(wishes.moods)),
        only=only,
        left_out=left_out,
        stand_ins=dict(wishes.replaced),
        not_known=wishes.unknown,
    )


def _tempo(wishes: Understanding) -> float | None:
    """The tempo that will be played, where one was named."""
    if wishes.beats_per_minute is None:
        return None
    return round(tempo_of(choose_tempo(wishes, Random(0))), 1)


def _key(wishes: Understanding) -> str | None:
    mode = None if wishes.minor is None else "minor" if wishes.minor else "major"
    if wishes.key is None:
        return mode
    return NOTE_NAMES[wishes.key] + (f" {mode}" if mode else "")


def _plays(wishes: Understanding) -> tuple[str, ...]:
    named = {"keys": "keys", "lead": "melody", "kit": "drums", "bass": "bass"}
    by_sound = {named[name] for name in wishes.attributes if name in named}
    return (*wishes.attributes.values(), *_in_order(wishes.asked - by_sound))


def _in_order(parts: frozenset[str]) -> tuple[str, ...]:
    # Whoever leaves out the drums leaves out their hats.
    shown = parts - {"hats"} if "drums" in parts else parts
    return tuple(_IN_WORDS.get(part, part) for part in PARTS if part in shown)


def _replaced(asked: str, instead: str) -> str:
    return f"no {asked} here: {instead}" if instead else f"no {asked} here"
