"""When a track may begin to play while it is made, and what there is of it to hear."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.config import TrackFormat
from lofi_daemon.jobs.early import AT_MOST, HeardCopy, may_begin
from lofi_daemon.jobs.events import JobAudible, JobCancelled, JobCompleted, JobEvent, JobFailed
from lofi_daemon.sound.growing import GrowingFile
from lofi_daemon.sound.stream import SoundFacts
from lofi_daemon.tracks import TrackCache
from lofi_daemon.tracks.growing import GrowingTrack
from tests.jobs.test_jobs import House, run, wanted
from tests.tone_backend import ToneBackend

PIECES = (1.1, 2.2, *(4.0,) * 29, 0.7)


def played(
    pieces: Sequence[float], costs: Sequence[float], misjudged: float = 1.0, late: float = 0.0
) -> float:
    """Seconds of silence in a track that begins when the rule says so.

    costs: what each piece takes; misjudged: how much less that is than the eta claims; late: every
    piece after the beginning, in seconds that nothing foretold.
    """
    done = list(itertools.accumulate(costs))
    for index, now in enumerate(done):
        eta = (done[-1] - now) * misjudged
        if may_begin(sum(pieces[: index + 1]), pieces[index + 1 :], eta):
            break
    else:
        raise AssertionError("a whole track may always begin")
    done = [at + late if later > index else at for later, at in enumerate(done)]
    gap = 0.0
    for later in range(index + 1, len(pieces)):
        heard_until = now + gap + sum(pieces[:later])
        gap += max(0.0, done[later] - heard_until)
    return gap


@pytest.mark.parametrize("seconds_a_second", [0.05, 0.3, 0.8, 1.0, 1.5, 2.3, 10.0])
def test_no_machine_is_so_slow_or_fast_that_there_is_a_gap(seconds_a_second: float) -> None:
    assert played(PIECES, [seconds_a_second * piece for piece in PIECES]) == 0.0


def test_a_tenth_may_be_misjudged() -> None:
    for seconds_a_second in (0.3, 0.8, 1.2):
        costs = [seconds_a_second * piece for piece in PIECES]
        assert played(PIECES, costs, misjudged=AT_MOST) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seconds_a_second", [0.3, 0.4, 0.46, 0.8, 1.2])
def test_pieces_may_be_late_by_as_much_as_a_busy_machine_makes_them(
    seconds_a_second: float,
) -> None:
    costs = [seconds_a_second * piece for piece in PIECES]
    assert played(PIECES, costs, late=0.25) == 0.0


def test_a_fast_machine_begins_with_the_first_second_and_a_slow_one_as_late_as_needed() -> None:
    to_come = (2.2, *(4.0,) * 29)
    assert may_begin(1.1, to_come, 0.2 * sum(to_come))
    assert not may_begin(0.9, to_come, 0.0)
    assert not may_begin(1.1, to_come, 1.5 * sum(to_come))
    # 1.5 times slower than real time: from where the rest takes as long as all of it sounds
    begun = [
        there for there in range(1, 120)
        if may_begin(float(there), (1.0,) * (120 - there), 1.5 * (120 - there))
    ]  # fmt: skip
    assert 44 <= begun[0] <= 50
    assert begun == list(range(begun[0], 120))


def test_a_whole_track_may_begin() -> None:
    assert may_begin(5.0, (), 3.0)


class Story:
    """A house, and everything that its jobs told."""

    def __init__(self, house: House) -> None:
        self.events: list[JobEvent] = []
        self.heard: list[np.ndarray] = []
        self.partials: list[Path] = []
        house.jobs.subscribe(self._listen)
        self._house = house

    def _listen(self, event: JobEvent) -> None:
        self.events.append(event)
        if isinstance(event, JobAudible):
            track = event.track
            self.partials.append(track.path)
            self._file = GrowingFile(track.path, track.growth)
        elif isinstance(event, JobCompleted) and self.partials:
            # who opens it again in this moment still finds it
            assert self.partials[-1].exists()
            self.heard.append(self._file.read_block(1 << 30))

    def of(self, kind: type) -> list[JobEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def test_a_track_is_audible_before_it_is_whole_and_then_whole(tmp_path: Path) -> None:
    backend = ToneBackend(pieces=5, seconds={Phase.DECODING: 0.5})

    async def story(house: House) -> None:
        told = Story(house)
        ticket = house.jobs.submit(wanted("rain"), early=True)
        await house.until(2)
        audible, completed = told.of(JobAudible), told.of(JobCompleted)
        assert [event.track_id for event in (*audible, *completed)] == [ticket.track_id] * 2
        assert told.events.index(audible[0]) < told.events.index(completed[0])
        (heard,) = told.heard
        assert heard.shape == (5 * 48000, 2)
        await asyncio.sleep(0)
        assert not told.partials[0].exists()
        assert list(house.tracks.folder.glob(".*.partial")) == []

    run(tmp_path, story, backend)


def test_between_two_pieces_it_may_begin_when_little_enough_is_left_to_do(tmp_path: Path) -> None:
    """A machine slower than the music, whose last piece takes longer than what is there lasts."""
    told: list[GrowingTrack] = []
    left = 9.0
    copy = HeardCopy(
        TrackCache(tmp_path, 1 << 30),
        "0" * 16,
        "rain",
        eta_sec=lambda: left,
        on_audible=told.append,
    )
    copy.begin(SoundFacts(sample_rate=1000, channels=1, frames=10_000, pieces=(6000, 4000)))
    copy.hear(np.full((1, 6000), 0.1, dtype=np.float32))
    copy.look()
    assert told == []
    left = 4.0
    copy.look()
    copy.look()
    assert [track.track_id for track in told] == ["0" * 16]
    copy.close()


def test_what_is_reported_between_pieces_is_looked_at(tmp_path: Path) -> None:
    """The reports of the work come more often than its pieces."""
    looks: list[float] = []

    class Counting(HeardCopy):
        def look(self) -> None:
            looks.append(0.0)
            super().look()

    backend = ToneBackend(pieces=5, seconds={Phase.DIFFUSING: 0.2, Phase.DECODING: 0.2})

    async def story(house: House) -> None:
        house.jobs.submit(wanted("rain"), early=True)
        await house.until(2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lofi_daemon.jobs.worker.HeardCopy", Counting)
        run(tmp_path, story, backend)
    assert len(looks) > 10


def test_nobody_is_told_who_did_not_ask(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        told = Story(house)
        house.jobs.submit(wanted("rain"))
        await house.until(1)
        assert told.of(JobAudible) == []

    run(tmp_path, story, ToneBackend(pieces=5))


def test_one_who_asks_for_the_same_track_later_hears_it_too(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        told = Story(house)
        house.jobs.submit(wanted("rain"))
        house.jobs.submit(wanted("rain"), early=True)
        await house.until(2)
        assert len(told.of(JobAudible)) == 1

    run(tmp_path, story, ToneBackend(pieces=5))


@pytest.mark.parametrize("ending", ["fails", "cancelled"])
def test_nothing_is_left_of_a_track_that_is_given_up(tmp_path: Path, ending: str) -> None:
    backend = ToneBackend(pieces=5, seconds={Phase.DECODING: 2.0})
    backend.fails_at_piece = 4 if ending == "fails" else None

    async def story(house: House) -> None:
        told = Story(house)
        ticket = house.jobs.submit(wanted("rain"), early=True)
        if ending == "cancelled":
            while not told.of(JobAudible):
                await asyncio.sleep(0.01)
            house.jobs.cancel(ticket.track_id)
        await house.until(2)
        assert len(told.of(JobFailed if ending == "fails" else JobCancelled)) == 1
        await asyncio.sleep(0.3)
        assert list(house.tracks.folder.iterdir()) == []

    run(tmp_path, story, backend)


@pytest.mark.parametrize("track_format", ["wav16", "wav24", "flac"])
def test_the_file_and_its_sidecar_are_those_of_an_unheard_track(
    tmp_path: Path, track_format: TrackFormat
) -> None:
    digests: list[tuple[str, dict[str, object]]] = []
    for early in (False, True):

        async def story(house: House, early: bool = early) -> None:
            house.jobs._settings = house.jobs._settings.model_copy(
                update={"track_format": track_format}
            )
            house.jobs._worker.stop()
            house.jobs._worker = house.jobs._new_worker()
            house.jobs.submit(wanted("rain"), early=early)
            *_, end = await house.until(1 + early)
            assert isinstance(end, JobCompleted)
            sidecar = json.loads(end.path.with_suffix(".json").read_text())
            for time in ("created_at", "generation_time_sec"):
                del sidecar[time]
            digests.append((hashlib.sha256(end.path.read_bytes()).hexdigest(), sidecar))

        run(tmp_path / str(early), story, ToneBackend(pieces=5))
    assert digests[0] == digests[1]


def test_a_full_disk_for_what_is_heard_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[GrowingTrack] = []
    tracks = TrackCache(tmp_path, 1 << 30)
    copy = HeardCopy(tracks, "0" * 16, "rain", eta_sec=lambda: 0.0, on_audible=told.append)
    copy.begin(SoundFacts(1000, 2, 5000, pieces=(500,) * 10))
    copy.hear(np.zeros((2, 500), np.float32))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lofi_daemon.files.temporary.TemporaryFile.write", full)
    for _ in range(9):
        copy.hear(np.zeros((2, 500), np.float32))
    copy.finish()
    copy.close()
    assert told == []
    assert "No space left" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_comes_after_the_close_is_not_written(tmp_path: Path) -> None:
    tracks = TrackCache(tmp_path, 1 << 30)
    facts = SoundFacts(1000, 2, 5000, pieces=(500,) * 10)
    copy = HeardCopy(tracks, "0" * 16, "rain", eta_sec=lambda: 0.0, on_audible=lambda _: None)
    copy.begin(facts)
    copy.close()
    copy.hear(np.zeros((2, 500), np.float32))
    late = HeardCopy(tracks, "0" * 16, "rain", eta_sec=lambda: 0.0, on_audible=lambda _: None)
    late.close()
    late.begin(facts)
    late.hear(np.zeros((2, 500), np.float32))
    late.finish()
    assert list(tmp_path.iterdir()) == []
