"""Jobs in an event loop of their own: the radio's place, protection from eviction, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.jobs.events import JobCompleted, JobEvent, LastWord
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.tracks import TrackCache
from tests.tone_backend import ToneBackend


def wanted(prompt: str, backend: str = "demo", priority: str = "normal") -> GenerationParameters:
    return GenerationParameters.model_validate(
        {"prompt": prompt, "duration_sec": 5, "seed": 1, "backend": backend, "priority": priority}
    )


class House:
    """Jobs with what they need, and the ends that were published, in order."""

    def __init__(self, folder: Path, *backends: ToneBackend) -> None:
        settings = Settings(tracks_folder=folder / "tracks", cache_max_mb=1)
        factories = {backend.type: lambda _, backend=backend: backend for backend in backends}
        self.tracks = TrackCache(settings.tracks_folder, settings.cache_max_bytes)
        self.jobs = Jobs(settings, Registry(settings, factories), self.tracks)
        self.ends: list[LastWord] = []
        self._changed = asyncio.Event()
        self.jobs.subscribe(self._listen)

    def _listen(self, event: JobEvent) -> None:
        if not hasattr(event, "percent"):
            self.ends.append(event)  # pyright: ignore[reportArgumentType]
            self._changed.set()

    async def until(self, count: int) -> list[LastWord]:
        while len(self.ends) < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)
        return self.ends


def run(folder: Path, story: Callable[[House], Awaitable[None]], *backends: ToneBackend) -> None:
    async def live() -> None:
        house = House(folder, *(backends or (ToneBackend(),)))
        try:
            await story(house)
        finally:
            assert await house.jobs.close(5.0)

    asyncio.run(live())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def prompts(ends: list[LastWord]) -> list[str]:
    return [end.track.prompt for end in ends if isinstance(end, JobCompleted)]


def test_every_request_overtakes_the_radio(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        submit = house.jobs.submit
        submit(wanted("running"))
        submit(wanted("radio 1"), prefetch=True)
        submit(wanted("radio 2"), prefetch=True)
        submit(wanted("normal"))
        submit(wanted("urgent", priority="high"))
        assert submit(wanted("radio 2")).position == 3  # a listener asks for it too
        ends = await house.until(5)
        assert prompts(ends) == ["running", "urgent", "normal", "radio 2", "radio 1"]

    run(tmp_path, story, ToneBackend(seconds={Phase.DECODING: 0.1}))


def test_protected_tracks_are_not_evicted(tmp_path: Path) -> None:
    """The folder takes two of these; the playing one stays, however old."""

    async def story(house: House) -> None:
        playing = house.jobs.submit(wanted("playing")).track_id
        house.tracks.protect(lambda: {playing})
        for prompt in ("a", "b", "c"):
            house.jobs.submit(wanted(prompt))
        await house.until(4)
        assert {track.prompt for track in house.tracks.tracks()} == {"playing", "c"}

    run(tmp_path, story)


def test_one_model_in_memory(tmp_path: Path) -> None:
    first, second = ToneBackend(type="demo"), ToneBackend(type="ace_step")

    async def story(house: House) -> None:
        house.jobs.submit(wanted("one", "demo"))
        await house.until(1)
        assert first.loaded
        house.jobs.submit(wanted("two", "ace_step"))
        await house.until(2)
        assert (first.loaded, second.loaded) == (False, True)

    run(tmp_path, story, first, second)


def test_a_listener_hears_of_a_cached_track_after_the_ticket(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ticket = house.jobs.submit(wanted("rain"))
        await house.until(1)
        again = house.jobs.submit(wanted("rain"))
        assert (again.status, again.track_id) == ("cached", ticket.track_id)
        assert len(house.ends) == 1
        end = (await house.until(2))[1]
        assert isinstance(end, JobCompleted)
        assert end.generation_time_sec == 0.0
        assert end.path == house.tracks.path(end.track)

    run(tmp_path, story)


def test_what_a_run_took_is_the_next_forecast(tmp_path: Path) -> None:
    backend = ToneBackend(seconds={Phase.DECODING: 0.4})

    async def story(house: House) -> None:
        house.jobs.submit(wanted("a"))
        await house.until(1)

    run(tmp_path, story, backend)
    assert (tmp_path / "lofi.nvim" / "timings.json").exists()

    async def later(house: House) -> None:
        house.jobs.submit(wanted("b"))
        assert 0.4 <= house.jobs.estimated_wait_sec() < 30.0

    run(tmp_path, later, backend)
