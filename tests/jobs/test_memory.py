"""How a model is to be in memory for a job, where memory is as much as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lofi_daemon import memory
from lofi_daemon.backends.demo.backend import demo_backend
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.protocol import GenerationRequest, Need, Phase, Residency
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings, load_settings
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.jobs.events import JobCompleted, JobEvent, JobFailed, LastWord
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.jobs.memory import make_room, residency_in
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.tracks import TrackCache
from tests.tone_backend import ToneBackend

GIGABYTE = 1_000_000_000
REQUEST = GenerationRequest("rain", 30.0, 1)
NEEDS = {
    Phase.ENCODING: Need(2 * GIGABYTE, 0),
    Phase.DIFFUSING: Need(9 * GIGABYTE, 2 * GIGABYTE),
    Phase.DECODING: Need(GIGABYTE, 0),
}

FreeMemory = Callable[..., None]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> FreeMemory:
    """Sets the free memory, in gigabytes: one number after another, the last one for ever."""

    def set_free(*gigabytes: float | None) -> None:
        answers = [each if each is None else round(each * GIGABYTE) for each in gigabytes]

        def available() -> int | None:
            return answers.pop(0) if len(answers) > 1 else answers[0]

        monkeypatch.setattr(memory, "available_memory", available)

    return set_free


@dataclass
class HungryBackend(ToneBackend):
    """Needs as much as the test says."""

    hunger: Mapping[Phase, Need] | None = None
    way: Residency | None = None

    @property
    def residency(self) -> Residency | None:
        return self.way

    def needs(self, request: GenerationRequest) -> Mapping[Phase, Need]:
        return self.hunger or NEEDS

    def unload(self) -> None:
        super().unload()
        self.way = None


def test_everything_stays_where_four_gigabytes_are_left_to_others() -> None:
    assert residency_in(NEEDS, 18 * GIGABYTE) is Residency.KEPT
    assert residency_in(NEEDS, 18 * GIGABYTE - 1) is Residency.BY_PHASE


def test_a_small_model_stays_where_as_much_is_left_as_it_takes() -> None:
    small = {Phase.DIFFUSING: Need(100, 20), Phase.DECODING: Need(50, 10)}
    assert residency_in(small, 360) is Residency.KEPT
    assert residency_in(small, 359) is Residency.BY_PHASE


def test_what_fits_phase_by_phase_is_made_phase_by_phase(free: FreeMemory) -> None:
    free(11)
    assert make_room(HungryBackend(), REQUEST) is Residency.BY_PHASE
    free(18)
    assert make_room(HungryBackend(), REQUEST) is Residency.KEPT
    free(None)
    assert make_room(HungryBackend(), REQUEST) is Residency.KEPT


def test_what_does_not_fit_is_refused_with_both_numbers_and_what_helps(free: FreeMemory) -> None:
    free(10.9)
    backend = HungryBackend(type="ace_step", full_model=True)
    with pytest.raises(ModelLoadFailed) as failure:
        make_room(backend, REQUEST)
    assert failure.value.message == (
        "Diffusing 30 s of music with ace_step tone needs 11.0 GB of memory; 10.9 GB are available."
    )
    assert "a shorter track" in failure.value.hint
    free(8.9)
    with pytest.raises(ModelLoadFailed) as failure:
        make_room(backend, REQUEST)
    assert "a shorter track" not in failure.value.hint, "not even the model fits"


def test_a_loaded_model_stays_while_the_work_fits_beside_it(free: FreeMemory) -> None:
    backend = HungryBackend(loaded=True, way=Residency.KEPT)
    free(2)
    assert make_room(backend, REQUEST) is Residency.KEPT
    assert backend.loaded


def test_a_loaded_model_makes_room_for_a_track_that_does_not_fit_beside_it(
    free: FreeMemory,
) -> None:
    backend = HungryBackend(loaded=True, way=Residency.KEPT)
    free(1.9, 13)
    assert make_room(backend, REQUEST) is Residency.BY_PHASE
    assert not backend.loaded


def test_a_model_that_was_in_memory_by_phase_stays_once_there_is_room(free: FreeMemory) -> None:
    backend = HungryBackend(loaded=True, way=Residency.BY_PHASE)
    free(17, 18)
    assert make_room(backend, REQUEST) is Residency.KEPT


def outcome_of(folder: Path, parameters: dict[str, Any]) -> tuple[LastWord, Registry]:
    """The end of one job of the bundled model."""

    async def made() -> tuple[LastWord, Registry]:
        settings = load_settings({"XDG_CACHE_HOME": str(folder), "LOFI_THREADS": "1"})
        registry = Registry(settings, {"demo": demo_backend})
        jobs = Jobs(settings, registry, TrackCache(folder / "tracks", 10**9))
        end: asyncio.Future[LastWord] = asyncio.get_running_loop().create_future()

        def listen(event: JobEvent) -> None:
            if isinstance(event, LastWord) and not end.done():
                end.set_result(event)

        jobs.subscribe(listen)
        model = registry.taking_options(GenerationParameters)
        jobs.submit(parse(model, {"prompt": "rain", "duration_sec": 5, "seed": 1, **parameters}))
        event = await asyncio.wait_for(end, 60)
        residency = registry.get("demo").residency
        await jobs.close(timeout_sec=5.0)
        assert isinstance(event, JobFailed) or residency is not None
        return event, registry

    return asyncio.run(made())


def test_a_job_runs_by_phase_where_memory_is_short_and_sounds_the_same(
    tmp_path: Path, free: FreeMemory
) -> None:
    request = GenerationRequest("rain", 5.0, 1, DiffusionOptions(inference_steps=1))
    largest = max(need.total for need in demo_backend(Settings()).needs(request).values())
    sounds = []
    for name, gigabytes in (("kept", None), ("by phase", largest / GIGABYTE)):
        free(gigabytes)
        event, registry = outcome_of(tmp_path / name, {"inference_steps": 1})
        assert isinstance(event, JobCompleted)
        backend = registry.get("demo")
        assert backend.residency is (Residency.KEPT if gigabytes is None else Residency.BY_PHASE)
        sounds.append(event.path.read_bytes())
    np.testing.assert_array_equal(*(np.frombuffer(each, np.uint8) for each in sounds))


def test_a_job_that_does_not_fit_ends_in_an_error_with_both_numbers(
    tmp_path: Path, free: FreeMemory
) -> None:
    free(0.1)
    event, _ = outcome_of(tmp_path, {})
    assert isinstance(event, JobFailed)
    assert isinstance(event.error, ModelLoadFailed)
    assert "0.1 GB are available" in event.error.message


def test_a_longer_track_needs_more_of_every_diffusing_model() -> None:
    backend = demo_backend(Settings())
    backend.prepare(CancelToken(), lambda progress: None)
    short, long = (
        backend.needs(GenerationRequest("rain", seconds, 1))[Phase.DIFFUSING]
        for seconds in (10.0, 240.0)
    )
    assert short.model == long.model > 0
    assert short.working < long.working
