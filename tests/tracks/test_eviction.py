"""Which tracks go to make room: the longest unheard, none that is kept or needed, and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.tracks import Track
from lofi_daemon.tracks.eviction import to_evict


def a_track(number: int, size: int, used: int, kept: bool) -> Track:
    name = f"{number:016x}"
    return Track(
        track_id=name,
        file=f"{name}.wav",
        backend="demo",
        model_version="1",
        prompt="rain",
        duration_sec=30.0,
        seed=number,
        sample_rate=48_000,
        channels=2,
        bytes=size,
        created_at=f"2026-01-01T00:00:{used:02}.000Z",
        generation_time_sec=1.0,
        loudness_lufs=None,
        waveform=[],
        kept=kept,
    )


TRACKS = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 59), st.booleans()), max_size=12
).map(lambda rows: [a_track(number, *row) for number, row in enumerate(rows)])


@given(TRACKS, st.integers(0, 600), st.sets(st.integers(0, 11)), st.booleans())
def test_what_goes(tracks: list[Track], limit: int, needed: set[int], again: bool) -> None:
    protected = {f"{number:016x}" for number in needed}
    coming = a_track(0 if again else 99, 50, 59, kept=False)
    going = to_evict(tracks, limit, protected, coming)
    names = {track.track_id for track in going}
    assert len(names) == len(going)
    assert not names & (protected | {coming.track_id})
    assert not any(track.kept for track in going)

    others = [track for track in tracks if track.track_id != coming.track_id]
    size = coming.bytes + sum(track.bytes for track in others)
    left = size - sum(track.bytes for track in going)
    may_go = {t.track_id for t in others if not t.kept and t.track_id not in protected}
    assert left <= limit or names == may_go
    if going:
        assert left + going[-1].bytes > limit
        stay = [track for track in others if track.track_id in may_go - names]
        assert all(track.last_used_at >= going[-1].last_used_at for track in stay)
