"""Whatever a sidecar says, the gain is a number that ears can bear."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.player.gain import decibels, playback_gain
from lofi_daemon.tracks.sidecar import Track

any_number = st.floats(allow_nan=True, allow_infinity=True)


@given(
    loudness=any_number | st.none(),
    peak=any_number | st.none(),
    waveform=st.lists(any_number, max_size=3),
)
def test_no_sidecar_breaks_the_gain(
    loudness: float | None, peak: float | None, waveform: list[float]
) -> None:
    track = Track.model_construct(loudness_lufs=loudness, true_peak=peak, waveform=waveform)
    gain = playback_gain(track)
    assert math.isfinite(gain)
    assert 0.0 < gain <= decibels(54.0)
