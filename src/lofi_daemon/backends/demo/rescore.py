"""The score of a track that goes on from another: its band, tempo, key and bars stay.

An extension plays the bars before the turn to the end once more, in step with the progression, and
then that end. A part anew keeps its chords, and is played by whoever the new words ask for.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from lofi_daemon.backends.tasks import Task

from .notes import with_notes
from .plan import allowed, chosen_attribute
from .prompt import understand
from .score import ATTRIBUTES, LATENT_RATE, Bar, Score, latent_frames

ENDS = ("outro", "ending")
# Progressions are of four bars.
PERIOD = 4
LONGEST_REPEAT = 32
# A whole progression more or less is too much of a change for a loop that is shorter.
SHORT_LOOP_BARS = 16


def turn(score: Score) -> int:
    """The bar with which a track turns to its end; never the first, so that something stays."""
    bars = score.bars
    at = len(bars)
    while at > 1 and bars[at - 1].section in ENDS:
        at -= 1
    return at


def turn_sec(score: Score) -> float:
    return turn(score) * score.bar_frames / LATENT_RATE


def loop_bars(sounding: float) -> int:
    """The bars of a loop of about so many: whole progressions, or halves where it is short."""
    step = PERIOD if sounding >= SHORT_LOOP_BARS else PERIOD // 2
    return step * max(1, round(sounding / step))


def looped(score: Score, bars: int, further: int) -> Score:
    """So many bars of a piece without its beginning and end, and as many further ones of them."""
    body = tuple(bar for bar in score.bars if bar.section not in (*ENDS, "intro"))
    ring = _bars_after(body or score.bars[:1], bars)
    return replace(score, bars=tuple(ring[index % bars] for index in range(bars + further)))


def rescored(score: Score, task: Task, prompt: str, seed: int) -> Score:
    """The score of the track that the task makes; score: of its source."""
    assert task.span is not None, "every task on a score has a span"
    edited = _longer(score, task) if task.name == "extend" else score
    if task.name == "repaint":
        edited = _replayed(edited, task, prompt, seed)
    has_notes = any(bar.notes is not None for bar in score.bars)
    return with_notes(edited, seed) if has_notes else edited


def _longer(score: Score, task: Task) -> Score:
    bars = score.bars
    if task.offset_sec > 0.0:
        before = round(task.offset_sec * LATENT_RATE / score.bar_frames)
        return replace(score, bars=(*_bars_before(bars, before), *bars))
    at = turn(score)
    sounding = latent_frames(task.duration_sec) / score.bar_frames
    # As in a planned piece: a bar that is cut short has no ending of its own.
    total = max(1, int(sounding) + (1 if sounding - int(sounding) > 0.5 else 0))
    ring = (bars[-1],) * (1 if sounding <= total else 2)
    outro = tuple(bar for bar in bars[at:] if bar.section == "outro")
    room = total - 1 - at
    if len(outro) > room:
        outro = ()
    body = _bars_after(bars[:at], max(0, room - len(outro)))
    return replace(score, bars=(*bars[:at], *body, *outro, *ring))


def _bars_after(bars: tuple[Bar, ...], count: int) -> list[Bar]:
    """The last bars again and again, as many whole progressions of them as there are."""
    length = min(len(bars) // PERIOD * PERIOD, LONGEST_REPEAT) or len(bars)
    start = len(bars) - length
    return [bars[start + index % length] for index in range(count)]


def _bars_before(bars: tuple[Bar, ...], count: int) -> list[Bar]:
    """What the piece begins with, and then bars that lead to its first one."""
    begun = next((at for at, bar in enumerate(bars) if bar.section != "intro"), 0)
    intro = bars[: min(begun, max(0, count - 1))]
    body = [bar for bar in bars[: turn(Score(0, {}, bars))] if bar.section != "intro"] or [bars[0]]
    length = len(body) // PERIOD * PERIOD or len(body)
    needed = count - len(intro)
    return [*intro, *(body[(index - needed) % length] for index in range(needed))]


def _replayed(score: Score, task: Task, prompt: str, seed: int) -> Score:
    """The bars of the span as other words want them."""
    wishes = understand(prompt)
    random = Random(f"repaint {seed}")
    attributes = {
        name: score.attributes[name]
        if name not in wishes.attributes
        and score.attributes[name] not in wishes.refused.get(name, frozenset())
        else chosen_attribute(name, wishes, random)
        for name in ATTRIBUTES
    }
    start, stop = (second * LATENT_RATE / score.bar_frames for second in task.window_sec)

    def bar_at(index: int, bar: Bar) -> Bar:
        # A bar is new where more than half of it is.
        if min(stop, index + 1) - max(start, index) <= 0.5:
            return bar
        return replace(bar, parts=allowed(set(bar.parts) | wishes.asked, wishes))

    bars = tuple(bar_at(index, bar) for index, bar in enumerate(score.bars))
    return replace(score, attributes=attributes, bars=bars)
