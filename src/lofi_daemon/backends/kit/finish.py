"""The finish of every track: its level, or a mastering, and how it begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lofi_daemon.backends.kit.manifest import Mastering
from lofi_daemon.backends.kit.mastering import high_pass, limit, loudness_gain, master
from lofi_daemon.backends.kit.splice import Splice, put_in, source_level
from lofi_daemon.sound.clip import (
    AudioClip,
    Samples,
    fade_in,
    fade_out,
    normalise_peak,
    scale,
)
from lofi_daemon.sound.stream import Outline, SoundFacts

PEAK = 0.89
END_FADE_SEC = 0.05


def finished(
    samples: Samples, sample_rate: int, mastering: Mastering | None = None, *, peak: float = PEAK
) -> AudioClip:
    """The clip of float32 [channels, frames], changed in place.

    Where the model has no mastering of its own, its largest sample becomes `peak`.
    """
    clip = finished_whole(samples, sample_rate, mastering, peak=peak)
    end_fade_sec = END_FADE_SEC
    if mastering is not None:
        fade_in(samples, round(mastering.fade_in_sec * sample_rate))
        end_fade_sec = mastering.fade_out_sec
    fade_out(samples, round(end_fade_sec * sample_rate))
    return clip


def finished_whole(
    samples: Samples, sample_rate: int, mastering: Mastering | None = None, *, peak: float = PEAK
) -> AudioClip:
    """The same without the fades."""
    if mastering is None:
        normalise_peak(samples, peak)
    else:
        master(samples, sample_rate, mastering)
    return AudioClip(samples, sample_rate)


def finished_like(
    samples: Samples,
    sample_rate: int,
    splice: Splice,
    mastering: Mastering | None = None,
    *,
    peak: float = PEAK,
) -> AudioClip:
    """The clip of new music that goes on from other music, changed in place.

    It gets its source's level, its own fades at those ends that are new, and its source's sound
    outside the window; what only led in is cut off. Raises AudioPlaybackError where the source
    cannot be read.
    """
    ceiling, fade_in_sec, fade_out_sec = peak, 0.0, END_FADE_SEC
    if mastering is not None:
        high_pass(samples, sample_rate, mastering.high_pass_hz)
        ceiling = 10.0 ** (mastering.true_peak_db / 20.0)
        fade_in_sec, fade_out_sec = mastering.fade_in_sec, mastering.fade_out_sec
    gain = source_level(samples, sample_rate, splice)
    if gain is None and mastering is not None:
        gain = loudness_gain(samples, sample_rate, mastering.loudness_lufs)
    if gain is None:
        normalise_peak(samples, peak)
    else:
        scale(samples, gain)
        limit(samples, sample_rate, ceiling)
    if splice.start <= 0:
        fade_in(samples, round(fade_in_sec * sample_rate))
    if splice.stop >= samples.shape[1]:
        fade_out(samples, round(fade_out_sec * sample_rate))
    put_in(samples, sample_rate, splice)
    return AudioClip(samples[:, splice.begin :], sample_rate)


def facts_of_sound(
    sample_rate: int,
    channels: int,
    frames: int,
    pieces: Sequence[int],
    mastering: Mastering | None = None,
    *,
    outline: Outline | None = None,
) -> SoundFacts:
    """What a listener is told before the first piece of a track that will be `finished` so.

    pieces: their lengths in frames.
    """
    known = SoundFacts(sample_rate, channels, frames, tuple(pieces), outline)
    if mastering is None:
        return replace(known, fade_out_sec=END_FADE_SEC)
    return replace(
        known,
        high_pass_hz=mastering.high_pass_hz,
        fade_in_sec=mastering.fade_in_sec,
        fade_out_sec=mastering.fade_out_sec,
    )
