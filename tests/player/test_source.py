"""Files as people have them: names that are not text, lengths that nobody wrote down."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.player.decks import Deck, Decks
from lofi_daemon.player.reports import Ended, Started, Stopped
from lofi_daemon.player.source import TrackSource
from tests.player.signals import Signal, flac_of_unknown_length, music, write

RATE = 44100


def all_of(source: TrackSource) -> Signal:
    source.fill(1 << 30)
    return source.read(1 << 30)


def test_a_flac_written_into_a_pipe_is_played_to_its_end(tmp_path: Path) -> None:
    sound = music(3.0)
    source = TrackSource(flac_of_unknown_length(tmp_path / "a.flac", sound), RATE)
    assert source.duration_sec == 0.0
    heard = all_of(source)
    assert source.failure is None
    np.testing.assert_allclose(heard, sound, atol=2e-4)
    assert source.exhausted


def test_a_file_of_unknown_length_hands_over_to_the_next_one(tmp_path: Path) -> None:
    first, second = music(1.0, seed=1), music(1.0, seed=2)
    decks = Decks(RATE, volume=1.0, crossfade_sec=0.2)
    unknown = TrackSource(flac_of_unknown_length(tmp_path / "a.flac", first), RATE)
    following = TrackSource(write(tmp_path / "b.wav", second), RATE)
    for source in (unknown, following):
        source.fill(1 << 30)
    decks.play(Deck(1, unknown), crossfade=True)
    decks.set_next(Deck(2, following))
    decks.render(2 * RATE)
    kinds = [type(event) for event in decks.reports]
    assert kinds == [Started, Ended, Started, Ended, Stopped]
    assert not any(event.message for event in decks.reports if isinstance(event, Ended))


def test_a_position_behind_an_unknown_end_begins_anew(tmp_path: Path) -> None:
    path = flac_of_unknown_length(tmp_path / "a.flac", music(1.0))
    assert TrackSource(path, RATE, 0.5).position == RATE // 2
    assert 0 <= TrackSource(path, RATE, 1e300).position < RATE


def test_a_name_that_is_no_text_is_played(tmp_path: Path) -> None:
    sound = music(0.2)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff.wav"))
    write(tmp_path / "a.wav", sound).rename(path)
    np.testing.assert_array_equal(all_of(TrackSource(path, RATE)), sound)
    path.write_bytes(b"no sound")
    with pytest.raises(AudioPlaybackError) as error:
        TrackSource(path, RATE)
    error.value.message.encode()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    for path in (tmp_path, tmp_path / "fifo.wav", Path("/dev/full"), Path("/")):
        with pytest.raises(AudioPlaybackError, match="is not a file"):
            TrackSource(path, RATE)
    with pytest.raises(AudioPlaybackError, match="gone"):
        TrackSource(tmp_path / "missing.wav", RATE)
    with pytest.raises(AudioPlaybackError, match="too long"):
        TrackSource(tmp_path / ("x" * 300), RATE)


@pytest.mark.parametrize("rate", [1, 100, 10**9])
def test_any_rate_is_brought_to_the_devices(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros((20, 2)), rate, subtype="FLOAT")
    source = TrackSource(path, RATE)
    source.fill(100)
    assert source.failure is None
