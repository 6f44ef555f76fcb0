"""Music from music: what a run is told of its source, and what keeps it there.

The formulas are those of the original's repaint and cover (ace-step/ACE-Step-1.5,
`modeling_acestep_v15_turbo.py`, generate_audio).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import AudioFacts
from lofi_daemon.backends.ace_step_15.latents import Context, Latents, context_of
from lofi_daemon.backends.ace_step_15.schedule import nearest_step
from lofi_daemon.backends.ace_step_15.solvers import AfterStep, Levels, untouched
from lofi_daemon.backends.tasks import Task

# Of the most careful repaint; half of it is usual.
LONGEST_CROSSFADE_FRAMES = 25
LONGEST_RAMP_SEC = 0.05


@dataclass(frozen=True)
class Course:
    """How a run goes that leads to music from other music.

    start: latents at the level of first_step, before which no step is made. source_steps: how many
    of those that are made are under the source's conditions, the others under those of no source;
    None: all of them.
    """

    start: Latents
    first_step: int = 0
    source_steps: int | None = None
    after_step: AfterStep = untouched


@dataclass(frozen=True)
class Repaint:
    """The frames from `start` to `stop` are made anew, the others stay.

    source: float32 [1, T, C]. injection: of the steps, the share after which whatever is not made
    anew is put back to the source. crossfade: frames on each side that lead over. explicit: the
    model is told which frames are made; the original's default tells it that all are.
    """

    source: Latents
    start: int
    stop: int
    injection: float
    crossfade: int
    explicit: bool = False

    @property
    def made(self) -> NDArray[np.bool_]:
        """bool [T]."""
        frames = np.arange(self.source.shape[1])
        return (frames >= self.start) & (frames < self.stop)

    def context(self, silence: Latents) -> Context:
        """silence: of as many frames."""
        told = np.where(self.made[:, None], silence, self.source)
        return context_of(told, self.made if self.explicit else None)

    def course(self, noise: Latents, levels: Levels) -> Course:
        injected = round(self.injection * (len(levels) - 1))
        made = self.made[:, None]

        def after_step(latents: Latents, step: int, level: np.float32) -> Latents:
            if step >= injected:
                return latents
            held = level * noise + (np.float32(1.0) - level) * self.source
            return np.where(made, latents, held)

        return Course(noise, after_step=after_step)

    def finished(self, latents: Latents) -> Latents:
        """The source again outside, after a linear ramp on each side."""
        if self.crossfade == 0:
            return latents
        frames = np.arange(latents.shape[1])
        outside = np.maximum(self.start - frames, frames - (self.stop - 1))
        # As wide as there are frames: at an end of the track the ramp is steeper.
        width = np.where(
            frames < self.start,
            min(self.crossfade, self.start),
            min(self.crossfade, latents.shape[1] - self.stop),
        )
        share = np.clip(1.0 - outside / (width + 1.0), 0.0, 1.0).astype(np.float32)[:, None]
        return share * latents + (np.float32(1.0) - share) * self.source


@dataclass(frozen=True)
class Cover:
    """New music from other music.

    source, outline: float32 [1, T, C], the latter what the 5 Hz tokens keep of the former.
    likeness: of the steps, the share that is told the outline. closeness: how far from pure noise
    the run begins, 1 minus the level of noise over the source.
    """

    source: Latents
    outline: Latents
    likeness: float
    closeness: float = 0.0

    def context(self, silence: Latents) -> Context:
        return context_of(self.outline)

    def course(self, noise: Latents, levels: Levels) -> Course:
        if self.closeness == 0.0:
            first, start = 0, noise
        else:
            first = nearest_step(levels, 1.0 - self.closeness)
            start = levels[first] * noise + (np.float32(1.0) - levels[first]) * self.source
        steps = len(levels) - 1 - first
        return Course(start, first, int(steps * self.likeness))

    def finished(self, latents: Latents) -> Latents:
        return latents


Edit = Repaint | Cover


def repaint_of(task: Task, source: Latents, audio: AudioFacts, *, explicit: bool) -> Repaint:
    """Of a repaint, an extension or a flow: strength is how little of the source is held on to."""
    frames = source.shape[1]
    begin_sec, end_sec = task.window_sec
    start = min(_frame(begin_sec, audio), frames - 1)
    ends = task.name == "flow" or end_sec >= task.duration_sec
    stop = frames if ends else _frame(end_sec, audio)
    care = 1.0 - strength_of(task)
    return Repaint(
        source,
        start,
        max(start + 1, stop),
        injection=care,
        crossfade=round(LONGEST_CROSSFADE_FRAMES * care),
        explicit=explicit,
    )


def ramp_sec(task: Task) -> float:
    """How long new music and its source pass into each other, outside the new music."""
    return LONGEST_RAMP_SEC * (1.0 - strength_of(task))


def strength_of(task: Task) -> float:
    assert task.strength is not None, "a resolved task says how far it goes"
    return task.strength


def hears_source(task: Task) -> bool:
    """Whether the model is told of the source: not for the source itself, nor for a new track."""
    return task.name != "from_audio" or 0.0 < strength_of(task) < 1.0


def _frame(seconds: float, audio: AudioFacts) -> int:
    """The latent frame in which a moment lies."""
    return int(round(seconds * audio.sample_rate, 6) // audio.samples_per_frame)
