"""What is heard as soon as it may be: jobs on one side, a playback on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lofi_daemon.early import EarlySound
from lofi_daemon.errors import AudioDeviceError, MethodNotFound, ModelInferenceFailed
from lofi_daemon.jobs.events import (
    JobAudible,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
)
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.player.playback import Playback
from lofi_daemon.sound.growth import Growth
from lofi_daemon.tracks import TrackCache
from lofi_daemon.tracks.growing import GrowingTrack
from lofi_daemon.tracks.sidecar import Track, now

ONE = "1" * 16


class Pretended:
    """Jobs that tell what the test says, and a playback that writes down what it is told."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.listener: Callable[[JobEvent], None] = lambda event: None
        self.failure: AudioDeviceError | None = None
        self.failing_sec = 0.0
        self.grown: dict[str, GrowingTrack] = {}

    def subscribe(self, listener: Callable[[JobEvent], None]) -> None:
        self.listener = listener

    async def play_now(self, track_id: str) -> None:
        if self.failure is not None:
            await asyncio.sleep(self.failing_sec)
            raise self.failure
        self.done.append(("play", track_id))

    def grows(self, track: GrowingTrack) -> None:
        self.grown[track.track_id] = track
        self.done.append(("grows", track.track_id))

    def growing(self, track_id: str) -> GrowingTrack | None:
        return self.grown.get(track_id)

    def keep(self, track_ids: list[str], kept: bool) -> None:
        self.done.append(("keep", *track_ids, kept))

    def settled(self, track: Track) -> None:
        self.done.append(("settled", track.track_id))

    def forsaken(self, track_id: str, reason: str, message: str | None = None) -> None:
        self.done.append(("forsaken", track_id, reason, message))

    def cannot_be_played(self, track_id: str, error: Exception) -> None:
        self.done.append(("cannot", track_id, error))


def tell(
    *events: JobEvent,
    want: str | None = None,
    here: bool = True,
    failure: AudioDeviceError | None = None,
    forget: bool = False,
    keep: tuple[bool, ...] = (),
    failing_sec: float = 0.0,
    want_late: bool = False,
    refused: bool = False,
) -> list[tuple[Any, ...]]:
    pretended = Pretended()
    pretended.failure = failure
    pretended.failing_sec = failing_sec

    async def elsewhere(track_id: str) -> None:
        pretended.done.append(("play elsewhere", track_id))

    async def early_elsewhere(track: GrowingTrack) -> None:
        if refused:
            raise MethodNotFound("There is no shared method 'play_growing'.")
        pretended.done.append(("play early elsewhere", track.track_id))

    async def story() -> None:
        early = EarlySound(*cast("tuple[Jobs, Playback, TrackCache]", (pretended,) * 3))
        if not here:
            early.share(elsewhere, early_elsewhere)
        if want is not None:
            early.want(ONE, cast("Any", want))
        for event in events:
            pretended.listener(event)
            await asyncio.sleep(0)
            if forget:
                early.forget()
            if want_late and isinstance(event, JobAudible):
                early.want(ONE, "early")
                await asyncio.sleep(0)
            for kept in keep if isinstance(event, JobAudible) else ():
                assert early.keep(ONE, kept)
            assert not early.keep("2" * 16, True), "one that cannot be heard yet"
        await asyncio.sleep(0.1)

    asyncio.run(story())
    return pretended.done


@pytest.fixture
def audible(tmp_path: Path) -> JobAudible:
    return JobAudible(GrowingTrack(ONE, "rain", tmp_path / "a", Growth(48000, 2, 480_000)))


@pytest.fixture
def completed(tmp_path: Path) -> JobCompleted:
    track = Track(
        track_id=ONE, file=f"{ONE}.wav", backend="demo", model_version="1", prompt="rain",
        duration_sec=10.0, seed=0, sample_rate=48000, channels=2, bytes=1, created_at=now(),
        generation_time_sec=1.0, loudness_lufs=None, waveform=[],
    )  # fmt: skip
    return JobCompleted(track, tmp_path / track.file, 1.0)


def test_early_plays_what_grows_and_not_again_when_it_is_whole(
    audible: JobAudible, completed: JobCompleted
) -> None:
    done = tell(audible, completed, want="early")
    assert done == [("grows", ONE), ("play", ONE), ("settled", ONE)]


def test_early_plays_at_the_end_what_could_not_be_heard_before(completed: JobCompleted) -> None:
    assert tell(completed, want="early") == [("settled", ONE), ("play", ONE)]


@pytest.mark.parametrize("failing_sec", [0.0, 0.01])
def test_early_that_fails_is_tried_again_at_the_end(
    audible: JobAudible, completed: JobCompleted, failing_sec: float
) -> None:
    """The device may refuse before the track is whole, or after."""
    problem = AudioDeviceError("There is no sound device.")
    done = tell(audible, completed, want="early", failure=problem, failing_sec=failing_sec)
    assert [each[0] for each in done] == ["grows", "settled", "cannot"]
    assert done[2][2].message.startswith('"rain" is ready (')


def test_what_is_kept_while_it_grows_is_kept_when_it_is_whole(
    audible: JobAudible, completed: JobCompleted
) -> None:
    assert ("keep", ONE, True) in tell(audible, completed, keep=(True,))
    assert ("keep", ONE, True) not in tell(audible, completed, keep=(True, False))
    assert ("keep", ONE, True) not in tell(audible, JobCancelled(ONE, 1, 2), keep=(True,))


def test_ready_waits_for_the_whole_track(audible: JobAudible, completed: JobCompleted) -> None:
    done = tell(audible, completed, want="ready")
    assert done == [("grows", ONE), ("settled", ONE), ("play", ONE)]


def test_nothing_is_played_that_nobody_wants(audible: JobAudible, completed: JobCompleted) -> None:
    assert tell(audible, completed) == [("grows", ONE), ("settled", ONE)]
    forgotten = tell(JobCancelled("0", 1, 2), audible, completed, want="early", forget=True)
    assert ("play", ONE) not in forgotten


def test_what_is_forgotten_while_it_begins_is_not_tried_again(
    audible: JobAudible, completed: JobCompleted
) -> None:
    """The device refuses after the listener wanted silence."""
    problem = AudioDeviceError("There is no sound device.")
    for events in ((audible, completed), (audible,)):
        done = tell(*events, want="early", failure=problem, failing_sec=0.01, forget=True)
        assert not any(each[0] in ("play", "cannot") for each in done)


def test_early_plays_at_once_what_can_be_heard_already(
    audible: JobAudible, completed: JobCompleted
) -> None:
    done = tell(audible, completed, want_late=True)
    assert done == [("grows", ONE), ("play", ONE), ("settled", ONE)]


def test_another_daemon_that_plays_is_asked_to_play_it_early_or_else_when_it_is_whole(
    audible: JobAudible, completed: JobCompleted
) -> None:
    done = tell(audible, completed, want="early", here=False)
    assert done == [("grows", ONE), ("play early elsewhere", ONE), ("settled", ONE)]
    done = tell(audible, completed, want="early", here=False, refused=True)
    assert done == [("grows", ONE), ("settled", ONE), ("play elsewhere", ONE)]


def test_a_track_that_is_given_up_is_forsaken(audible: JobAudible) -> None:
    assert tell(audible, JobCancelled(ONE, 1, 2))[1:] == [("forsaken", ONE, "cancelled", None)]
    failed = JobFailed(ONE, ModelInferenceFailed("It made NaN."))
    (forsaken,) = tell(audible, failed)[1:]
    assert forsaken[:3] == ("forsaken", ONE, "error")
    assert "It made NaN." in forsaken[3]


def test_what_cannot_be_played_is_told(completed: JobCompleted) -> None:
    problem = AudioDeviceError("There is no sound device.")
    (told,) = tell(completed, want="early", failure=problem)[1:]
    assert told[:2] == ("cannot", ONE)
    assert isinstance(told[2], AudioDeviceError)
    assert told[2].message.startswith('"rain" is ready (')
    assert "but cannot be played: There is no sound device." in told[2].message
    assert told[2].hint == problem.hint
