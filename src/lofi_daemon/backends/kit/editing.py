"""Going on from other music: what every model does alike about its source."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from lofi_daemon.backends.kit.splice import Splice
from lofi_daemon.backends.tasks import Task
from lofi_daemon.errors import InvalidParams
from lofi_daemon.sound.material import read_material

# Of a flow's source, before the new music: four bars where bars are known.
LEAD_BARS = 4
LEAD_SEC = 10.0
FLOW_RAMP_SEC = 0.01
"""How long a flow's first music passes from its source into the new one."""
LATENTS = "latents"
"""What latents are called among the arrays that are kept beside a track."""


def material_of(task: Task) -> dict[str, NDArray[Any]]:
    """What the source was made of. Raises InvalidParams where that was not kept."""
    source = task.source
    if source.material is None:
        raise InvalidParams(
            f"What {source.title} was made of is not beside it.",
            hint="Delete it, and make it again with the same words and seed.",
            parameters=["source"],
        )
    return read_material(source.material)


def splice_of(task: Task, duration_sec: float, sample_rate: int, ramp_sec: float) -> Splice:
    """Where the source's sound stays in a new track of that length.

    ramp_sec: how long new music and its source pass into each other, outside the new music; with a
    flow inside it, shortly, since what comes before is not in the track.
    """
    start, stop = task.window_sec
    if task.name == "flow" and task.span is not None:
        # The first sample is the one at which the source is left, wherever both are rounded to.
        begin, left = task.lead_frames(sample_rate), round(task.span[0] * sample_rate)
        ramp = round(FLOW_RAMP_SEC * sample_rate)
        stop = begin + round(duration_sec * sample_rate)
        return Splice(task.source.path, begin - left, begin + ramp, stop, ramp, begin)
    return Splice(
        task.source.path,
        offset=round(task.offset_sec * sample_rate),
        start=round(start * sample_rate),
        stop=round(min(stop, duration_sec) * sample_rate),
        ramp=round(ramp_sec * sample_rate),
    )


def joined(
    task: Task, end_sec: float, begin_sec: float, frames_per_sec: float, bar_frames: int = 1
) -> Task:
    """An extension that takes over where its source is still whole.

    end_sec: up to where the source goes on as it did (before a fade, or an ending); begin_sec: from
    where on it does. What comes before the source is a whole number of `bar_frames` latent frames,
    and so is what is heard of a source before a flow goes on from it.
    """
    if task.span is None or task.name not in ("extend", "flow"):
        return task
    start, stop = task.span
    if task.name == "flow":
        return _after(task, min(start, end_sec), frames_per_sec, bar_frames)
    if start < 0:
        bars = max(1, round(-start * frames_per_sec / bar_frames))
        return replace(task, span=(-bars * bar_frames / frames_per_sec, max(stop, begin_sec)))
    return replace(task, span=(min(start, end_sec), stop))


def _after(task: Task, latest_sec: float, frames_per_sec: float, bar_frames: int) -> Task:
    """A flow from a bar line (or a latent frame, where no bars are known) on."""
    assert task.span is not None, "a flow has a span"
    bars = max(1, math.floor(round(latest_sec * frames_per_sec / bar_frames, 6)))
    lead = LEAD_BARS if bar_frames > 1 else round(LEAD_SEC * frames_per_sec)
    start = bars * bar_frames / frames_per_sec
    span = task.span if start == task.span[0] else (start, start + task.duration_sec)
    return replace(task, span=span, lead_sec=min(bars, lead) * bar_frames / frames_per_sec)
