"""How a track sounds while it is made: levelled without its end.

The finished file is mastered as a whole. What is heard before has the same high pass and the same
fades, a gain from what is known so far, and a limiter, each as a stage that is handed piece after
piece and keeps a few milliseconds back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound.clip import Samples
from lofi_daemon.sound.filters import FilteredStream, high_pass_response
from lofi_daemon.sound.loudness import (
    SINC_AFTER,
    SINC_BEFORE,
    RunningLoudness,
    gated_loudness,
    hop_frames,
    peaks_between,
)
from lofi_daemon.sound.stream import Outline, SoundFacts

TARGET_LUFS = -16.0
TRUE_PEAK_DB = -1.0
# What rounding to 16 bits and the gain's slope between two blocks may add.
HEADROOM_DB = 0.1
LOUDEST_RISE_DB = 24.0
# Of a few seconds one cannot tell how loud a track will be: it begins a little lower, and its
# level moves too slowly to be noticed.
LOWER_AT_FIRST_DB = 3.0
GAIN_DB_PER_SEC = 0.5
SEGMENT_FRAMES = 96_000
BLOCK_SEC = 0.001
LOOKAHEAD_BLOCKS = 5
RELEASE_BLOCKS = 120.0

Gains = NDArray[np.float64]


class HeardSound:
    """`heard` takes the raw pieces, `rest` is what is left at the end; float32 [channels, n] all.

    Together they are exactly facts.frames long: too many are cut, missing ones are silence.
    """

    def __init__(self, facts: SoundFacts) -> None:
        self._facts = facts
        self._taken = 0
        self._given = 0
        self._high_pass = (
            None
            if facts.high_pass_hz is None
            else FilteredStream(
                high_pass_response(facts.high_pass_hz, facts.sample_rate), SEGMENT_FRAMES
            )
        )
        self._level: _Foretold | _Following = (
            _Following(facts.sample_rate)
            if facts.outline is None
            else _Foretold(facts.sample_rate, facts.outline)
        )
        self._limiter = Limiter(facts.sample_rate, facts.channels)

    def heard(self, piece: Samples) -> Samples:
        """What can be heard now."""
        piece = piece[:, : self._facts.frames - self._taken]
        self._taken += piece.shape[1]
        parts = [self._limiter.limited(part) for part in self._levelled(piece)]
        return self._faded(_joined(parts, self._facts.channels))

    def rest(self) -> Samples:
        """Everything that was kept back; nothing can be heard after it."""
        missing = self._facts.frames - self._taken
        parts = [self.heard(np.zeros((self._facts.channels, missing), np.float32))]
        parts.append(self._faded(self._limiter.rest()))
        return _joined(parts, self._facts.channels)

    def _levelled(self, piece: Samples) -> Iterator[Samples]:
        for start in range(0, piece.shape[1], SEGMENT_FRAMES):
            part = piece[:, start : start + SEGMENT_FRAMES]
            if self._high_pass is not None:
                part = self._high_pass.filtered(part).astype(np.float32)
            yield part * self._level.gains(part).astype(np.float32)

    def _faded(self, samples: Samples) -> Samples:
        facts, frames = self._facts, samples.shape[1]
        place = self._given + np.arange(frames)
        self._given += frames
        fade_in = min(round(facts.fade_in_sec * facts.sample_rate), facts.frames)
        fade_out = min(round(facts.fade_out_sec * facts.sample_rate), facts.frames)
        curve = _risen(place, fade_in) * _risen(facts.frames - 1 - place, fade_out)
        return samples * curve.astype(np.float32)


class _Foretold:
    """One gain for all: the outline tells it once its factor is known from the first piece."""

    def __init__(self, sample_rate: int, outline: Outline) -> None:
        self._sample_rate = sample_rate
        self._outline = outline
        self._gain: float | None = None

    def gains(self, part: Samples) -> Gains:
        if self._gain is None:
            self._gain = 10.0 ** (self._rise_db(part) / 20.0)
        return np.full(part.shape[1], self._gain)

    def _rise_db(self, first: Samples) -> float:
        begun = RunningLoudness(self._sample_rate)
        begun.add(first)
        measured = begun.energies
        if measured.size == 0:
            return 0.0
        seconds = measured.size * hop_frames(self._sample_rate) / self._sample_rate
        factor = float(measured.mean()) / max(self._outline.mean_until(seconds), 1e-12)
        lufs = gated_loudness(self._outline.energies * factor)
        return 0.0 if lufs is None else _rise_db(lufs)


class _Following:
    """A gain that moves slowly towards what the running loudness asks for."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._loudness = RunningLoudness(sample_rate)
        self._rise_db: float | None = None

    def gains(self, part: Samples) -> Gains:
        self._loudness.add(part)
        lufs = self._loudness.lufs
        if lufs is None:  # silence, or too short to tell
            return np.full(part.shape[1], 10.0 ** ((self._rise_db or 0.0) / 20.0))
        wanted = _rise_db(lufs)
        if self._rise_db is None:
            self._rise_db = wanted - LOWER_AT_FIRST_DB
        way = (1 + np.arange(part.shape[1])) * (GAIN_DB_PER_SEC / self._sample_rate)
        left = wanted - self._rise_db
        rise_db = self._rise_db + math.copysign(1.0, left) * np.minimum(way, abs(left))
        if rise_db.size:
            self._rise_db = float(rise_db[-1])
        return 10.0 ** (rise_db / 20.0)


class Limiter:
    """A look-ahead limiter over all channels together, for a sound that comes in pieces.

    No peak of the waveform, between samples too, is above TRUE_PEAK_DB afterwards. The gain is
    found for every millisecond and follows straight lines between: it falls within the look-ahead
    before a peak and recovers within the release.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._block = max(1, round(BLOCK_SEC * sample_rate))
        self._ceiling = 10.0 ** ((TRUE_PEAK_DB - HEADROOM_DB) / 20.0)
        self._recovery = math.exp(-1.0 / RELEASE_BLOCKS)
        self._reduction = 0.0
        # A sample's gain lies between those of two blocks, and each is a mean over the look-ahead:
        # held one block longer than that, none of what it is made of is above what is needed.
        self._held = _Sliding(np.minimum.reduce, LOOKAHEAD_BLOCKS + 1)
        self._mean = _Sliding(np.mean, LOOKAHEAD_BLOCKS)
        self._measuring = np.zeros((channels, SINC_BEFORE), np.float32)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._gains = np.zeros(0)
        self._first_gain = 0  # the block of _gains[0]
        self._start = 0  # the frame of _waiting[0]

    def limited(self, samples: Samples) -> Samples:
        """What can be given out now; silence came before the first."""
        self._waiting = np.concatenate((self._waiting, samples), axis=1)
        self._add_gains(self._gains_of(self._needed(samples)))
        last = self._first_gain + len(self._gains) - 1
        ready = math.floor((last + 0.5) * self._block) if len(self._gains) else 0
        return self._given(ready - self._start)

    def rest(self) -> Samples:
        """What is left at the end."""
        frames = self._waiting.shape[1]
        padding = np.zeros((len(self._waiting), self._block + SINC_AFTER), np.float32)
        gains = self._gains_of(self._needed(padding))
        held = self._held.rest()
        smooth = np.concatenate((gains, self._mean.values(self._released(held))))
        self._add_gains(np.concatenate((smooth, self._mean.rest())))
        return self._given(frames)

    def _needed(self, samples: Samples) -> Gains:
        """The gain that each whole block needs that can be measured now."""
        known = np.concatenate((self._measuring, samples), axis=1)
        blocks = max(0, known.shape[1] - SINC_BEFORE - SINC_AFTER) // self._block
        frames = blocks * self._block
        self._measuring = known[:, frames:].copy()
        if blocks == 0:
            return np.zeros(0)
        peaks = peaks_between(known[:, : SINC_BEFORE + frames + SINC_AFTER])
        highest = peaks.reshape(blocks, self._block).max(axis=1)
        return np.minimum(1.0, self._ceiling / np.maximum(highest, 1e-9))

    def _gains_of(self, needed: Gains) -> Gains:
        return self._mean.values(self._released(self._held.values(needed)))

    def _released(self, gains: Gains) -> Gains:
        """The gain reduction recovering exponentially, block by block; never above `gains`."""
        smooth = np.empty_like(gains)
        for index, value in enumerate(1.0 - gains):
            self._reduction = max(float(value), self._reduction * self._recovery)
            smooth[index] = 1.0 - self._reduction
        return smooth

    def _add_gains(self, gains: Gains) -> None:
        self._gains = np.concatenate((self._gains, gains))

    def _given(self, frames: int) -> Samples:
        frames = max(0, min(frames, self._waiting.shape[1]))
        given, self._waiting = self._waiting[:, :frames], self._waiting[:, frames:].copy()
        if frames:
            place = self._start + np.arange(frames)
            blocks = self._first_gain + np.arange(len(self._gains))
            curve = np.interp(place, (blocks + 0.5) * self._block, self._gains)
            given = given * curve.astype(np.float32)
        self._start += frames
        done = max(0, self._start // self._block - 1 - self._first_gain)
        self._gains, self._first_gain = self._gains[done:], self._first_gain + done
        return given


class _Sliding:
    """`reduce` over each value and `reach` neighbours on either side; the ends go on outwards."""

    def __init__(self, reduce: Callable[..., Gains], reach: int) -> None:
        self._reduce = reduce
        self._reach = reach
        self._before: Gains | None = None

    def values(self, new: Gains) -> Gains:
        """The results that are complete now."""
        if len(new) == 0:
            return np.zeros(0)
        before = np.full(self._reach, new[0]) if self._before is None else self._before
        return self._slid(np.concatenate((before, new)))

    def rest(self) -> Gains:
        """Those that waited for what does not come."""
        if self._before is None or len(self._before) == 0:
            return np.zeros(0)
        return self._slid(np.concatenate((self._before, np.full(self._reach, self._before[-1]))))

    def _slid(self, values: Gains) -> Gains:
        width = 2 * self._reach + 1
        self._before = values[max(0, len(values) - width + 1) :]
        if len(values) < width:
            return np.zeros(0)
        return self._reduce(np.lib.stride_tricks.sliding_window_view(values, width), axis=1)


def _rise_db(lufs: float) -> float:
    return min(TARGET_LUFS - lufs, LOUDEST_RISE_DB)


def _risen(frames: NDArray[np.int64], fade: int) -> Gains:
    """A raised cosine from exact silence at frame 0 to 1 behind the fade's last frame."""
    share = np.clip(frames / max(1, fade - 1), 0.0, 1.0) if fade > 0 else np.ones(len(frames))
    return 0.5 - 0.5 * np.cos(np.pi * share)


def _joined(parts: list[Samples], channels: int) -> Samples:
    return np.concatenate(parts, axis=1) if parts else np.zeros((channels, 0), np.float32)
