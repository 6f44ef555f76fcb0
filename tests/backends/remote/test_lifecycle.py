"""Cancelled and cut off in every phase: one end, at once, and the next request works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.backends.remote.backend import RemoteBackend
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import RemoteUnavailable
from lofi_daemon.sound.clip import AudioClip
from tests.backends.remote.conftest import BoxMachine, MakeRemote, request
from tests.tone_backend import ToneBackend

# What a phase takes in which something happens: much longer than anybody waits here.
LONG_SEC = 60.0
# What is asked of a quiet machine: a cancelled track ends in the first time, and one whose box died
# has its error in the second. Tests run on loaded machines, where threads wait for their turn, so
# they fail only beyond LOADED times these.
CANCEL_SEC = 0.25
ERROR_SEC = 1.0
LOADED = 20
SOON_SEC = LOADED * ERROR_SEC
PHASES = [Phase.LOADING, Phase.ENCODING, Phase.DIFFUSING, Phase.DECODING]


class Running:
    """A track being made, in a thread as the worker's."""

    def __init__(self, backend: RemoteBackend, seed: int = 1) -> None:
        self.token = CancelToken()
        self.outcome: AudioClip | BaseException | None = None
        self._seen: set[Phase] = set()
        self._changed = threading.Condition()
        self._backend = backend
        self._seed = seed
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def reach(self, phase: Phase) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: phase in self._seen or self._over, LONG_SEC)
        assert not self._over, self.outcome

    def cancelled(self) -> None:
        """Cancel it; fails the test where it does not end by that, at once."""
        self.token.cancel()
        assert isinstance(self.end(LOADED * CANCEL_SEC), Cancelled), self.outcome

    def end(self, within_sec: float = SOON_SEC) -> AudioClip | BaseException | None:
        """How it ended, which is to be soon."""
        self._thread.join(within_sec)
        assert not self._thread.is_alive()
        return self.outcome

    @property
    def _over(self) -> bool:
        return self.outcome is not None

    def _report(self, progress: PhaseProgress) -> None:
        with self._changed:
            self._seen.add(progress.phase)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._backend.load(self.token, self._report)
            self._report(PhaseProgress(Phase.PREPARING, 1, 1, 1.0))  # it is connected
            resolved = self._backend.resolve(request(self._seed))
            self.outcome = self._backend.generate(
                resolved, on_progress=self._report, cancel=self.token
            )
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error
        with self._changed:
            self._changed.notify_all()


def slow_in(phase: Phase) -> dict[str, object]:
    """A box that takes long in that phase of a track with more than a few steps, and else not."""
    seconds = LONG_SEC / 10 if phase is Phase.DIFFUSING else LONG_SEC
    return {"demo": {"seconds": {phase.value: seconds}}}


Toggled = tuple[Path, Callable[[dict[str, object]], list[str]]]


@pytest.fixture
def toggled(tmp_path: Path, box: BoxMachine) -> Toggled:
    """A file while which the box is away, and how to make a box that it concerns."""
    away = tmp_path / "away"
    return away, lambda backends: box.only_while(away, box.daemon(backends))


@pytest.mark.parametrize("phase", PHASES)
def test_cancelled_while_the_box_works(box: BoxMachine, remote: MakeRemote, phase: Phase) -> None:
    backend = remote(box.daemon(slow_in(phase)), "flac", ToneBackend())
    running = Running(backend)
    running.reach(Phase.PREPARING)
    if phase is not Phase.LOADING:
        running.reach(phase)
    running.cancelled()
    # the box is told, and takes the next one
    again = Running(backend, seed=2)
    again.reach(Phase.PREPARING if phase is Phase.LOADING else phase)
    again.cancelled()
    backend.unload()
    box.is_quiet()


def test_cancelled_while_it_is_reached(box: BoxMachine, remote: MakeRemote) -> None:
    running = Running(remote(box.fake("mute"), "flac", ToneBackend()))
    running.reach(Phase.LOADING)
    running.cancelled()
    box.is_quiet()


@pytest.mark.parametrize("phase", PHASES)
def test_the_box_dies_and_stays_away(
    box: BoxMachine, remote: MakeRemote, toggled: Toggled, phase: Phase
) -> None:
    away, command = toggled
    backend = remote(command(slow_in(phase)), "flac", ToneBackend())
    running = Running(backend)
    running.reach(Phase.PREPARING)
    if phase is not Phase.LOADING:
        running.reach(phase)
    away.touch()
    for process in box.processes():
        process.kill()
    error = running.end()
    assert isinstance(error, RemoteUnavailable)
    assert "gpubox cannot be reached: no route to host." in error.message
    assert "ssh gpubox lofi-daemon" in error.hint
    box.is_quiet()
    # the next request finds it again
    away.unlink()
    again = Running(backend)
    again.reach(Phase.PREPARING)
    again.cancelled()
    backend.unload()
    box.is_quiet()


def test_a_connection_that_breaks_once_costs_no_track(box: BoxMachine, remote: MakeRemote) -> None:
    backend = remote(box.daemon({"demo": {"seconds": {"encoding": 1.0}}}), "flac", ToneBackend())
    running = Running(backend)
    running.reach(Phase.ENCODING)
    for process in box.processes():
        process.kill()
    assert isinstance(running.end(), AudioClip), running.outcome


def test_the_box_dies_while_the_track_comes(
    box: BoxMachine, remote: MakeRemote, tmp_path: Path
) -> None:
    track = tmp_path / "track.flac"
    noise = np.random.default_rng(1).normal(0.0, 0.1, (5 * 48000, 2))
    soundfile.write(track, noise, 48000, subtype="PCM_16")
    running = Running(remote(box.fake("dies while fetched", str(track)), "flac", ToneBackend()))
    error = running.end()
    assert isinstance(error, RemoteUnavailable)
    assert "ended with status 1" in error.message
    box.is_quiet()
    # and cancelled there, where every piece takes as long as it wants
    slow = Running(remote(box.fake("slow pieces", str(track)), "flac", ToneBackend()))
    slow.reach(Phase.FETCHING)
    slow.cancelled()


def test_nobody_waits_between_two_tracks(
    box: BoxMachine, remote: MakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for longer than any silence is still good, and one that died
    meanwhile is made again."""
    from lofi_daemon.backends.remote import peer

    monkeypatch.setattr(peer, "SILENCE_SEC", 0.5)
    monkeypatch.setattr(peer, "PING_SEC", 0.2)
    backend = remote(box.daemon({"demo": {}}), "flac", ToneBackend())
    assert isinstance(Running(backend).end(), AudioClip)
    first = {process.pid for process in box.processes()}
    time.sleep(0.6)
    assert isinstance(Running(backend, seed=2).end(), AudioClip)
    assert {process.pid for process in box.processes()} == first
    for process in box.processes():
        process.kill()
    box.is_quiet()
    assert isinstance(Running(backend, seed=3).end(), AudioClip)
