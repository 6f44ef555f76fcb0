"""How loud a track is played, so that all sound alike. Files stay as they were made."""

from __future__ import annotations

import math

from lofi_daemon.tracks import Track

TARGET_LUFS = -16.0
TRUE_PEAK_CEILING_DB = -1.0
# Between samples a waveform can rise above them; without a measurement, allow for this much.
UNMEASURED_OVERSHOOT_DB = 1.0
# BS.1770 leaves out what is below its gate, and a full-scale square wave stays below the other.
QUIETEST_LUFS, LOUDEST_LUFS = -70.0, 20.0


def track_gain(
    loudness_lufs: float | None, true_peak: float | None, target_lufs: float = TARGET_LUFS
) -> float:
    """The linear gain that brings a track to the target loudness.

    true_peak is linear (1.0 is full scale). A gain that would lift it over −1 dBTP (the ceiling of
    EBU R 128) is held back. A silent track, or one whose loudness is unknown or no measurement, is
    left as it is.
    """
    if loudness_lufs is None or not QUIETEST_LUFS <= loudness_lufs <= LOUDEST_LUFS:
        return 1.0
    gain = decibels(target_lufs - loudness_lufs)
    if true_peak is not None and 0.0 < true_peak < math.inf:
        gain = min(gain, decibels(TRUE_PEAK_CEILING_DB) / true_peak)
    return gain


def playback_gain(track: Track) -> float:
    """The gain for a track of the library; a peak that is no number counts as full scale."""
    peak = track.true_peak
    if peak is None or not 0.0 < peak < math.inf:
        peak = max(track.waveform, default=0.0) * decibels(UNMEASURED_OVERSHOOT_DB)
    return track_gain(track.loudness_lufs, peak if 0.0 < peak < math.inf else 1.0)


def decibels(level: float) -> float:
    return 10.0 ** (level / 20.0)
