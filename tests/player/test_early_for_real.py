"""A track that is heard from a real sound card while it is made, by the real daemon and player."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from lofi_daemon.backends.demo.backend import demo_backend
from lofi_daemon.backends.protocol import Backend, Phase
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.house import House, open_house
from lofi_daemon.jobs.events import JobAudible, JobCompleted
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.player.events import PlaybackEnded, PlaybackEvent, PlaybackSilent, PlaybackStarted
from tests.player.pulse import PulseServer
from tests.player.signals import Signal, silences
from tests.tone_backend import ToneBackend

RATE = 44100


class Heard:
    """A house with a backend of one tone, and everything that it told."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.playback: list[PlaybackEvent] = []
        self.jobs: list[Any] = []
        self.at: dict[str, float] = {}
        house.playback.subscribe(self.playback.append)
        house.jobs.subscribe(self._on_job)

    def _on_job(self, event: Any) -> None:
        self.jobs.append(event)
        self.at.setdefault(type(event).__name__, time.monotonic())

    def ask(self, seconds: float = 6.0, seed: int = 1) -> str:
        parameters = GenerationParameters.model_validate(
            {"prompt": "rain", "duration_sec": seconds, "seed": seed, "backend": "demo"}
        )
        ticket = self.house.jobs.submit(parameters, early=True)
        self.house.early.want(ticket.track_id, "early")
        return ticket.track_id

    async def until(self, kind: type, timeout_sec: float = 30.0, times: int = 1) -> None:
        async def wait() -> None:
            while self.count(kind) < times:
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), timeout_sec)

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in (*self.playback, *self.jobs))

    @property
    def player(self) -> psutil.Process:
        (player,) = (
            child
            for child in psutil.Process().children()
            if "lofi_daemon.player" in child.cmdline()
        )
        return player


@asynccontextmanager
async def listening(
    folder: Path, demo: Callable[[Settings], Backend]
) -> AsyncGenerator[Heard, None]:
    settings = Settings(tracks_folder=folder / "tracks")
    house = open_house(settings, Registry(settings, {"demo": demo}))
    house.playback.turntable.table = house.playback.turntable.table.__class__(
        volume=1.0, crossfade_sec=0.0
    )
    try:
        yield Heard(house)
    finally:
        await house.playback.close()
        await house.jobs.close(2.0)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def tone(pieces: int = 6, decoding_sec: float = 3.0) -> Callable[[Settings], ToneBackend]:
    return lambda _: ToneBackend(pieces=pieces, seconds={Phase.DECODING: decoding_sec})


def sounding(heard: Signal) -> Signal:
    loud = np.flatnonzero(np.abs(heard).max(axis=1) > 1e-4)
    return heard[loud[0] : loud[-1] + 1]


def test_a_track_sounds_before_it_is_made_and_without_a_gap(
    pulse: PulseServer, tmp_path: Path
) -> None:
    recording = pulse.listen()

    async def story() -> None:
        async with listening(tmp_path, tone()) as heard:
            heard.ask()
            await heard.until(PlaybackStarted)
            assert not any(isinstance(event, JobCompleted) for event in heard.jobs)
            (started,) = (e for e in heard.playback if isinstance(e, PlaybackStarted))
            assert started.turn.growing is not None
            assert started.duration_sec == pytest.approx(6.0)
            await heard.until(JobCompleted)
            await heard.until(PlaybackSilent)
            assert [type(event) for event in heard.playback] == [
                PlaybackStarted,
                PlaybackEnded,
                PlaybackSilent,
            ]
            assert heard.house.playback.table.underruns == 0

    asyncio.run(story())
    sound = sounding(recording.stop())
    assert len(sound) == pytest.approx(6.0 * RATE, rel=0.02)
    # a busy machine may be late with a block; a gap of ours would be an underrun too
    assert silences(sound, RATE, 0.1) == []


def test_a_decoder_that_stalls_is_one_ramped_gap_and_the_rest_is_heard(
    pulse: PulseServer, tmp_path: Path
) -> None:
    class Stalling(ToneBackend):
        def _take(self, phase: Phase, cancel: Any, share: float = 1.0) -> None:
            if phase is Phase.DECODING:
                self.decoded = getattr(self, "decoded", 0) + 1
                if self.decoded == 4:
                    time.sleep(4.0)
            super()._take(phase, cancel, share)

    recording = pulse.listen()

    async def story() -> None:
        async with listening(tmp_path, lambda _: Stalling(pieces=6)) as heard:
            heard.ask()
            await heard.until(PlaybackSilent)
            assert heard.house.playback.table.underruns == 1

    asyncio.run(story())
    sound = sounding(recording.stop())
    ((start, end),) = silences(sound, RATE, 0.1)
    assert start + len(sound) - end == pytest.approx(6.0 * RATE, rel=0.02)
    assert np.abs(np.diff(sound, axis=0)).max() < 0.1


def test_a_cancelled_track_is_silent_at_once_and_leaves_nothing(
    pulse: PulseServer, tmp_path: Path
) -> None:
    recording = pulse.listen()

    async def story() -> tuple[int, int]:
        async with listening(tmp_path, tone(pieces=12, decoding_sec=6.0)) as heard:
            track_id = heard.ask(12.0)
            await heard.until(PlaybackStarted)
            await asyncio.sleep(1.0)
            before = len(recording.so_far())
            heard.house.jobs.cancel(track_id)
            await heard.until(PlaybackSilent)
            await asyncio.sleep(0.5)
            (ended,) = (event for event in heard.playback if isinstance(event, PlaybackEnded))
            assert ended.reason == "cancelled"
            assert list((tmp_path / "tracks").iterdir()) == []
            return before, len(recording.so_far())

    before, _ = asyncio.run(story())
    sound = recording.stop()
    assert np.abs(sound[before - RATE // 4 : before]).max() > 0.01
    # the recorder itself lags a little
    assert np.abs(sound[before + round(0.35 * RATE) :]).max() < 1e-6
    assert np.abs(np.diff(sound, axis=0)).max() < 0.1


def test_a_killed_player_goes_on_where_it_was(pulse: PulseServer, tmp_path: Path) -> None:
    recording = pulse.listen()

    async def story() -> None:
        async with listening(tmp_path, tone(pieces=12, decoding_sec=5.0)) as heard:
            heard.ask(12.0)
            await heard.until(PlaybackStarted)
            await asyncio.sleep(1.2)
            os.kill(heard.player.pid, signal.SIGKILL)
            while sum(isinstance(event, PlaybackStarted) for event in heard.playback) < 2:
                await asyncio.sleep(0.01)
            again = [event for event in heard.playback if isinstance(event, PlaybackStarted)][1]
            assert again.again
            assert again.turn.growing is not None
            assert 0.3 < again.position_sec < 2.5
            await heard.until(JobCompleted)
            await asyncio.sleep(0.3)
            os.kill(heard.player.pid, signal.SIGKILL)
            while sum(isinstance(event, PlaybackStarted) for event in heard.playback) < 3:
                await asyncio.sleep(0.01)
            last = [event for event in heard.playback if isinstance(event, PlaybackStarted)][2]
            assert last.turn.growing is None
            assert last.turn.path.suffix == ".wav"
            await heard.until(PlaybackSilent)

    asyncio.run(asyncio.wait_for(story(), 60))
    assert sounding(recording.stop()).shape[0] > 9 * RATE


def test_a_seek_goes_no_further_than_the_track_is_and_to_its_end_when_it_is_whole(
    pulse: PulseServer, tmp_path: Path
) -> None:
    async def story() -> None:
        async with listening(tmp_path, tone(pieces=12, decoding_sec=4.0)) as heard:
            heard.ask(12.0)
            await heard.until(PlaybackStarted)
            playback = heard.house.playback
            await playback.seek(11.0)
            assert playback.turntable.position_sec < 8.0
            await heard.until(JobCompleted)
            await asyncio.sleep(0.2)
            await playback.seek(11.0)
            assert playback.turntable.position_sec == pytest.approx(11.0, abs=0.3)
            assert playback.playing is not None
            await heard.until(PlaybackSilent)
            await asyncio.sleep(0.2)
            track = playback.table.last
            assert track is not None
            assert track.track is not None
            found = heard.house.tracks.find(track.track_id)
            assert found is not None
            assert found.last_played_at is not None

    asyncio.run(story())


def test_the_next_track_follows_one_that_fails(pulse: PulseServer, tmp_path: Path) -> None:
    async def story() -> None:
        backend = ToneBackend(pieces=6, seconds={Phase.DECODING: 3.0})
        async with listening(tmp_path, lambda _: backend) as heard:
            heard.ask(5.0)
            await heard.until(JobCompleted)
            await heard.until(PlaybackSilent)
            backend.fails_at_piece = 4
            heard.playback.clear()
            heard.jobs.clear()
            parameters = GenerationParameters.model_validate(
                {"prompt": "other", "duration_sec": 12.0, "seed": 2, "backend": "demo"}
            )
            ticket = heard.house.jobs.submit(parameters, early=True)
            heard.house.early.want(ticket.track_id, "early")
            await heard.until(PlaybackStarted)
            await heard.house.playback.add_to_playlist(
                [track.track_id for track in heard.house.tracks.tracks()]
            )
            await heard.until(PlaybackEnded)
            (ended,) = (event for event in heard.playback if isinstance(event, PlaybackEnded))
            assert ended.reason == "error"
            assert ended.error is not None
            assert "made NaN" in ended.error.message
            while sum(isinstance(event, PlaybackStarted) for event in heard.playback) < 2:
                await asyncio.sleep(0.01)
            assert any(isinstance(event, JobAudible) for event in heard.jobs)

    asyncio.run(asyncio.wait_for(story(), 60))


@contextmanager
def busy_core() -> Generator[None, None, None]:
    worker = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.soak
def test_ten_minutes_of_starts_beside_a_busy_core_have_no_gap(
    pulse: PulseServer, tmp_path: Path
) -> None:
    """The bundled model; each track is heard from its first piece until a moment after its last."""
    seconds = 60 * float(os.environ.get("LOFI_SOAK_MINUTES", "10"))
    recording = pulse.listen()

    async def story() -> int:
        async with listening(tmp_path, demo_backend) as heard:
            end, number = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                number += 1
                heard.ask(seconds=20.0, seed=number)
                await heard.until(PlaybackStarted, 120.0, times=number)
                await heard.until(JobCompleted, 120.0, times=number)
                await asyncio.sleep(2.0)
            assert heard.house.playback.table.underruns == 0
            return number

    with busy_core():
        starts = asyncio.run(story())
    sound = sounding(recording.stop())
    gaps = silences(sound, RATE, 0.1)
    print(f"{starts} starts in {len(sound) / RATE:.0f} s, {len(gaps)} gaps")
    assert starts > seconds / 60
    assert gaps == []
