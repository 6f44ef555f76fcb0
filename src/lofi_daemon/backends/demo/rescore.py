"""The score of a track that goes on from another: its band, tempo, key and bars stay.

An extension plays the bars before the turn to the end once more, in step with the progression, and
then that end. A part anew keeps its chords, and is played by whoever the new words ask for. A flow
is a piece of its own in the source's tempo and key, by its band but for what the new words change.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from lofi_daemon.backends.tasks import Task

from .notes import with_notes
from .plan import PERIOD, Ground, allowed, chosen_attribute, compose
from .prompt import Understanding, understand
from .score import ATTRIBUTES, LATENT_RATE, QUALITIES, Bar, Score, latent_frames

ENDS = ("outro", "ending")
LONGEST_REPEAT = 32
MINOR_THIRD = 3
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
    """The score of what the task makes, with what leads in; score: of its source."""
    assert task.span is not None, "every task on a score has a span"
    edited = _longer(score, task) if task.name == "extend" else score
    if task.name == "repaint":
        edited = _replayed(edited, task, prompt, seed)
    if task.name == "flow":
        edited = _onward(score, task, prompt, seed)
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


def leading_bars(score: Score, task: Task) -> int:
    """How many bars lead into the new track, and are not in it."""
    return round(task.lead_sec * LATENT_RATE / score.bar_frames)


def _onward(score: Score, task: Task, prompt: str, seed: int) -> Score:
    """The last bars before the turn, and the new piece."""
    assert task.span is not None, "a flow has a span"
    left = round(task.span[0] * LATENT_RATE / score.bar_frames)
    lead = score.bars[left - leading_bars(score, task) : left]
    ground = _ground(score)
    if ground is not None:
        bars = compose(prompt, seed, task.duration_sec, ground).bars
    else:  # a loop: it never said where it is at home
        count = -(-latent_frames(task.duration_sec) // score.bar_frames)
        bars = tuple(_bars_after(score.bars[:left], count))
    attributes = _band(score, understand(prompt), Random(f"flow {seed}"))
    return replace(score, attributes=attributes, bars=(*lead, *bars))


def _ground(score: Score) -> Ground | None:
    """A piece ends with the chord of its key; None where it has no ending."""
    last = score.bars[-1]
    if last.section != "ending":
        return None
    final = last.chords[0]
    return Ground(score.bar_frames, final.root, QUALITIES[final.quality][1] == MINOR_THIRD)


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
    attributes = _band(score, wishes, Random(f"repaint {seed}"))
    start, stop = (second * LATENT_RATE / score.bar_frames for second in task.window_sec)

    def bar_at(index: int, bar: Bar) -> Bar:
        # A bar is new where more than half of it is.
        if min(stop, index + 1) - max(start, index) <= 0.5:
            return bar
        return replace(bar, parts=allowed(set(bar.parts) | wishes.asked, wishes))

    bars = tuple(bar_at(index, bar) for index, bar in enumerate(score.bars))
    return replace(score, attributes=attributes, bars=bars)


def _band(score: Score, wishes: Understanding, random: Random) -> dict[str, str]:
    """The band of a piece with what other words name or refuse changed."""
    return {
        name: score.attributes[name]
        if name not in wishes.attributes
        and score.attributes[name] not in wishes.refused.get(name, frozenset())
        else chosen_attribute(name, wishes, random)
        for name in ATTRIBUTES
    }
