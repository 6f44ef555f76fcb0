"""A track is the same on disk whether somebody heard it while it was made or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings, TrackFormat
from lofi_daemon.jobs.events import JobAudible, JobCompleted, JobEvent, JobFailed
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.tracks import TrackCache
from tests import tiny_musicgen
from tests.parity.ace_step_15.checkpoints import write_original
from tests.tiny_bundle import tiny_bundle

TIMES = {"created_at", "generation_time_sec", "last_played_at"}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_original(tmp_path_factory.mktemp("ace-step-15"))


@pytest.fixture
def configured(backend: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that have this backend run a small model made from a seed."""
    variables: dict[str, Callable[[], dict[str, str]]] = {
        "demo": dict,
        "ace_step": lambda: {
            "LOFI_ACE_STEP_MODEL_PATH": str(tiny_bundle()),
        },
        "ace_step_15": lambda: {
            "LOFI_ACE_STEP_15_MODEL_PATH": str(request.getfixturevalue("checkpoint")),
            "LOFI_ACE_STEP_15_VARIANT": "fp32",
        },
        "musicgen": lambda: {"LOFI_MUSICGEN_MODEL_PATH": str(tiny_musicgen.native_folder())},
    }
    return variables[backend]()


def made(settings: Settings, backend: str, *, early: bool) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the track's file, and what its sidecar says but for times."""
    events: list[JobEvent] = []

    async def story() -> None:
        tracks = TrackCache(settings.tracks_folder, settings.cache_max_bytes)
        registry = Registry(settings)
        jobs = Jobs(settings, registry, tracks)
        jobs.subscribe(events.append)
        model = registry.taking_options(GenerationParameters)
        asked = {"prompt": "rain, 80 bpm", "duration_sec": 12.0, "seed": 7, "backend": backend}
        if backend != "musicgen":
            asked["inference_steps"] = 2
        jobs.submit(parse(model, asked), early=early)
        while not any(isinstance(event, JobCompleted | JobFailed) for event in events):
            await asyncio.sleep(0.02)
        await jobs.close(5.0)

    asyncio.run(asyncio.wait_for(story(), 120))
    assert any(isinstance(event, JobAudible) for event in events) == early
    (ended,) = (event for event in events if isinstance(event, JobCompleted | JobFailed))
    assert isinstance(ended, JobCompleted), ended
    sidecar = json.loads(ended.path.with_suffix(".json").read_text())
    return ended.path.read_bytes(), {k: v for k, v in sidecar.items() if k not in TIMES}


@pytest.mark.parametrize("track_format", ["wav16", "wav24", "flac"])
@pytest.mark.parametrize("backend", ["demo", "ace_step", "ace_step_15", "musicgen"])
def test_whoever_listens_changes_nothing(
    backend: str,
    track_format: TrackFormat,
    configured: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    results = [
        made(
            Settings(
                tracks_folder=tmp_path / str(early),
                track_format=track_format,
                threads=1,
                backend_variables=configured,
            ),
            backend,
            early=early,
        )
        for early in (False, True)
    ]
    (alone, said_alone), (heard, said_heard) = results
    assert said_alone == said_heard
    assert alone == heard
