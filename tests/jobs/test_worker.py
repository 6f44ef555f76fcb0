"""What the thread that generates makes of a model that is no longer the one that was asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lofi_daemon.backends.protocol import Availability, ProgressCallback, Residency
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.jobs.events import JobEvent, JobFailed, LastWord
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.tracks import TrackCache
from tests.tone_backend import ToneBackend


class Replaced(ToneBackend):
    """Its files are replaced between the request and the loading."""

    def load(
        self,
        cancel: CancelToken,
        on_progress: ProgressCallback,
        residency: Residency = Residency.KEPT,
    ) -> None:
        super().load(cancel, on_progress, residency)
        self.available = Availability(True, "tone-2")


def test_a_track_is_never_named_after_a_model_that_did_not_make_it(tmp_path: Path) -> None:
    async def outcome() -> LastWord:
        settings = load_settings({"XDG_CACHE_HOME": str(tmp_path)})
        tracks = TrackCache(tmp_path / "tracks", 10**9)
        registry = Registry(settings, {"demo": lambda settings: Replaced()})
        jobs = Jobs(settings, registry, tracks)
        end: asyncio.Future[LastWord] = asyncio.get_running_loop().create_future()

        def listen(event: JobEvent) -> None:
            if isinstance(event, LastWord) and not end.done():
                end.set_result(event)

        jobs.subscribe(listen)
        jobs.submit(parse(GenerationParameters, {"prompt": "rain", "duration_sec": 5, "seed": 1}))
        event = await asyncio.wait_for(end, 30)
        await jobs.close(timeout_sec=5.0)
        assert tracks.tracks() == []
        return event

    event = asyncio.run(outcome())
    assert isinstance(event, JobFailed)
    assert "changed while the track waited" in event.error.message
