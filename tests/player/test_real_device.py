"""What comes out of a real sound server, compared with what was played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soxr

from lofi_daemon.player.events import PlaybackEvent, PlaybackSilent, PlaybackStarted
from lofi_daemon.player.turn import Turn
from lofi_daemon.player.turntable import Turntable
from tests.player.pulse import PulseServer
from tests.player.signals import Signal, find, music, signal_to_error_db, write

RATE = 44100


class Listener:
    """A player on the sound server, and everything it reported."""

    def __init__(self, crossfade_sec: float = 0.0, volume: float = 1.0) -> None:
        self.events: list[PlaybackEvent] = []
        self.player = Turntable(self.events.append, volume=volume, crossfade_sec=crossfade_sec)

    async def until(
        self, kind: type[PlaybackEvent], count: int = 1, timeout_sec: float = 20
    ) -> None:
        async def wait() -> None:
            while sum(isinstance(event, kind) for event in self.events) < count:
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), timeout_sec)


@asynccontextmanager
async def listener(
    crossfade_sec: float = 0.0, volume: float = 1.0
) -> AsyncGenerator[Listener, None]:
    listening = Listener(crossfade_sec, volume)
    try:
        yield listening
    finally:
        await listening.player.close()


def recorded(
    server: PulseServer, play: Callable[[], Awaitable[None]], tail_sec: float = 0.4
) -> Signal:
    """What the sink played while `play` ran, and a little longer."""
    recording = server.listen()

    async def body() -> None:
        await play()
        await asyncio.sleep(tail_sec)

    asyncio.run(body())
    return recording.stop()


def cut(recording: Signal, reference: Signal) -> Signal:
    """The stretch of the recording in which the reference was played."""
    start = find(recording, reference)
    return recording[start : start + len(reference)]


def test_a_track_comes_out_of_the_sound_card_as_it_is(pulse: PulseServer, tmp_path: Path) -> None:
    sound = music(3.0)
    path = write(tmp_path / "a.wav", sound)

    async def play() -> None:
        async with listener() as listening:
            await listening.player.play(Turn(1, path, 1.0))
            await listening.until(PlaybackSilent)
            await asyncio.sleep(0.3)

    assert signal_to_error_db(cut(recorded(pulse, play), sound), sound) >= 60


def test_a_track_comes_out_of_a_device_of_another_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = music(3.0)
    path = write(tmp_path / "a.wav", sound)
    expected = soxr.resample(sound, RATE, 48000, quality="VHQ")

    async def play() -> None:
        async with listener() as listening:
            await listening.player.play(Turn(1, path, 1.0))
            await listening.until(PlaybackSilent)
            await asyncio.sleep(0.3)

    with PulseServer(48000) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        heard = recorded(server, play)
    assert signal_to_error_db(cut(heard, expected), expected) >= 60


def test_a_crossfade_sounds_like_the_mix_on_paper(pulse: PulseServer, tmp_path: Path) -> None:
    first, second = music(3.0, seed=1), music(3.0, seed=2)
    paths = write(tmp_path / "a.wav", first), write(tmp_path / "b.wav", second)
    fade = round(0.7 * RATE)
    angle = np.arange(fade)[:, None] / fade * np.pi / 2
    middle = first[-fade:] * np.cos(angle) + second[:fade] * np.sin(angle)
    expected = np.concatenate([first[:-fade], middle, second[fade:]]).astype(np.float32)

    async def play() -> None:
        async with listener(crossfade_sec=0.7) as listening:
            await listening.player.play(Turn(1, paths[0], 1.0))
            await listening.player.set_next(Turn(2, paths[1], 1.0))
            await listening.until(PlaybackSilent)
            await asyncio.sleep(0.3)

    heard = cut(recorded(pulse, play), expected)
    around = slice(len(first) - 2 * fade, len(first) + fade)
    assert signal_to_error_db(heard[around], expected[around]) >= 50


def test_gapless_tracks_join_without_a_sample_between(pulse: PulseServer, tmp_path: Path) -> None:
    first, second = music(1.7, seed=1), music(1.3, seed=2)
    paths = write(tmp_path / "a.wav", first), write(tmp_path / "b.wav", second)
    both = np.concatenate([first, second])

    async def play() -> None:
        async with listener() as listening:
            await listening.player.play(Turn(1, paths[0], 1.0))
            await listening.player.set_next(Turn(2, paths[1], 1.0))
            await listening.until(PlaybackSilent)
            await asyncio.sleep(0.3)

    np.testing.assert_array_equal(cut(recorded(pulse, play), both), both)


def test_pause_is_silence_within_a_tenth_of_a_second_and_resume_loses_no_sample(
    pulse: PulseServer, tmp_path: Path
) -> None:
    sound = music(4.0)
    path = write(tmp_path / "a.wav", sound)
    recording = pulse.listen()
    paused_at = 0

    async def play() -> None:
        nonlocal paused_at
        async with listener() as listening:
            await listening.player.play(Turn(1, path, 1.0))
            await asyncio.sleep(1.2)
            paused_at = len(recording.so_far())
            await listening.player.pause()
            await asyncio.sleep(0.8)
            await listening.player.resume()
            await listening.until(PlaybackSilent)
            await asyncio.sleep(0.3)

    asyncio.run(play())
    heard = recording.stop()
    silent = np.abs(heard).max(axis=1) == 0
    silence = paused_at + int(np.argmax(silent[paused_at:]))
    resumed = silence + int(np.argmax(~silent[silence:]))
    assert silence - paused_at <= 0.1 * RATE
    assert resumed - silence >= 0.5 * RATE

    ramp = round(0.015 * RATE)
    before = sound[: RATE // 2]
    offset_before = find(heard[:silence], before)
    after = heard[resumed + 2 * ramp : resumed + 2 * ramp + RATE]
    # the sample at which the track goes on is the one behind the last that was heard
    offset_after = resumed + 2 * ramp - find(sound, after)
    read_during_pause = silence - offset_before
    # the first sample of a ramp up has gain 0 and is heard as silence
    assert resumed - offset_after in (read_during_pause, read_during_pause + 1)
    np.testing.assert_array_equal(after, sound[resumed + 2 * ramp - offset_after :][: len(after)])
    whole = np.concatenate([heard[offset_before:silence], heard[resumed:]])
    count = silence - offset_before - 2 * ramp
    np.testing.assert_array_equal(whole[:count], sound[:count])


def test_ten_steps_of_volume_do_not_click(pulse: PulseServer, tmp_path: Path) -> None:
    time = np.arange(5 * RATE)[:, None] / RATE
    sound = (0.4 * np.sin(2 * np.pi * 110 * time) * [1.0, 0.8]).astype(np.float32)
    path = write(tmp_path / "a.wav", sound)

    async def play() -> None:
        async with listener() as listening:
            await listening.player.play(Turn(1, path, 1.0))
            for step in range(10):
                await asyncio.sleep(0.2)
                await listening.player.set_volume(0.2 if step % 2 == 0 else 1.0)
            await asyncio.sleep(0.3)
            await listening.player.pause()
            await asyncio.sleep(0.3)

    heard = recorded(pulse, play)
    start = int(np.argmax(np.abs(heard).max(axis=1) > 0.01))
    changing = heard[start : start + round(2.4 * RATE)]
    assert bends(changing).max() <= 1.5 * bends(sound).max()
    jump = changing.copy()
    jump[RATE:] *= 0.5  # what an unramped step would do is far outside that range
    assert bends(jump).max() > 5 * bends(sound).max()


def bends(signal: Signal) -> Signal:
    """The energy of the second difference in windows of 5 ms: where a click would show."""
    second = np.diff(signal.astype(np.float64), n=2, axis=0)
    window = 220
    count = len(second) // window
    return np.square(second[: count * window]).reshape(count, window * 2).sum(axis=1)


def test_seeking_and_stopping_do_not_click(pulse: PulseServer, tmp_path: Path) -> None:
    time = np.arange(6 * RATE)[:, None] / RATE
    sound = (0.4 * np.sin(2 * np.pi * 110 * time) * [1.0, 0.8]).astype(np.float32)
    path = write(tmp_path / "a.wav", sound)

    async def play() -> None:
        async with listener() as listening:
            await listening.player.play(Turn(1, path, 1.0))
            for position in (3.0031, 1.0017, 4.0, 2.5003):
                await asyncio.sleep(0.25)
                await listening.player.seek(position)
            await asyncio.sleep(0.25)
            await listening.player.stop()
            await asyncio.sleep(0.3)

    heard = recorded(pulse, play)
    start = int(np.argmax(np.abs(heard).max(axis=1) > 0.01))
    assert bends(heard[start:]).max() <= 2.5 * bends(sound).max()


def test_a_device_is_chosen_by_name_and_changed_while_playing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = music(5.0)
    path = write(tmp_path / "a.wav", sound)
    with PulseServer(44100, ("first", "second")) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        one, two = server.listen("first"), server.listen("second")

        async def play() -> None:
            async with listener() as listening:
                await listening.player.set_device("second")
                names = {device["name"] for device in await listening.player.devices()}
                assert {"first", "second"} <= names
                await listening.player.play(Turn(1, path, 1.0))
                await asyncio.sleep(1.0)
                await listening.player.set_device("first")
                await asyncio.sleep(1.5)

        asyncio.run(play())
        on_first, on_second = one.stop(), two.stop()
    assert np.abs(on_second).max() > 0.1
    start = find(on_second, sound[:RATE])
    np.testing.assert_array_equal(on_second[start : start + RATE // 2], sound[: RATE // 2])
    later = int(np.argmax(np.abs(on_first).max(axis=1) > 0)) + 4410
    stretch = on_first[later : later + RATE]
    at = find(sound, stretch)
    assert at > RATE // 2
    np.testing.assert_array_equal(stretch, sound[at : at + RATE])


def test_a_sink_unloaded_while_playing_is_told_and_the_default_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.wav", music(20.0))
    with PulseServer(44100, ("stays", "leaves")) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        leaving, staying = server.listen("leaves"), server.listen("stays")

        async def play() -> list[PlaybackEvent]:
            async with listener() as listening:
                await listening.player.set_device("leaves")
                await listening.player.play(Turn(1, path, 1.0))
                await asyncio.sleep(1.0)
                server.unload_sink("leaves")
                await listening.until(PlaybackStarted, count=2)
                assert listening.player.table.state == "playing"
                await asyncio.sleep(1.0)
                return listening.events

        events = asyncio.run(play())
        leaving.stop()
        heard = staying.stop()
    names = [type(event).__name__ for event in events]
    assert names.index("PlaybackEnded") < len(names) - 1 - names[::-1].index("PlaybackStarted")
    resumed = [event for event in events if isinstance(event, PlaybackStarted)][-1]
    assert resumed.position_sec == pytest.approx(1.0, abs=3.5)
    assert resumed.position_sec > 0.5
    assert np.abs(heard[-RATE // 2 :]).max() > 0.1
