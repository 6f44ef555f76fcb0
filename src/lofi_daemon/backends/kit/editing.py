"""Going on from other music: what every model does alike about its source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from lofi_daemon.backends.kit.splice import Splice
from lofi_daemon.backends.tasks import Task
from lofi_daemon.errors import InvalidParams
from lofi_daemon.sound.material import read_material

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

    ramp_sec: how long new music and its source pass into each other, outside the new music.
    """
    start, stop = task.window_sec
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
    where on it does. What comes before the source is a whole number of `bar_frames` latent frames.
    """
    if task.name != "extend" or task.span is None:
        return task
    start, stop = task.span
    if start < 0:
        bars = max(1, round(-start * frames_per_sec / bar_frames))
        return replace(task, span=(-bars * bar_frames / frames_per_sec, max(stop, begin_sec)))
    return replace(task, span=(min(start, end_sec), stop))
