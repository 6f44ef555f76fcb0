"""The backend from its folder to a track."""

from __future__ import annotations

import gc
import hashlib
import shutil
import weakref
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lofi_daemon.backends.ace_step_15.backend import AceStep15Backend, ace_step_15_backend
from lofi_daemon.backends.ace_step_15.options import AceStep15Options
from lofi_daemon.backends.protocol import GenerationRequest, Phase, PhaseProgress
from lofi_daemon.backends.registry import FACTORIES
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import InvalidDuration, ModelLoadFailed, ModelNotFound
from lofi_daemon.parameters import parse
from lofi_daemon.sound.clip import AudioClip
from tests.backends.ace_step_15.conftest import MODEL


def backend_in(folder: Path, **settings: Any) -> AceStep15Backend:
    return ace_step_15_backend(
        Settings(
            backend_variables={
                "LOFI_ACE_STEP_15_MODEL_PATH": str(folder),
                "LOFI_ACE_STEP_15_VARIANT": "fp32",
            },
            threads=2,
            **settings,
        )
    )


def asked(sec: float = 5.0, seed: int = 7, **options: Any) -> GenerationRequest:
    return GenerationRequest("lofi, 70 bpm", sec, seed, parse(AceStep15Options, options))


def made(backend: AceStep15Backend, request: GenerationRequest) -> AudioClip:
    resolved = backend.resolve(request)
    backend.load(CancelToken(), lambda progress: None)
    return backend.generate(resolved, on_progress=lambda progress: None, cancel=CancelToken())


def digest(clip: AudioClip) -> str:
    return hashlib.sha256(np.ascontiguousarray(clip.samples).tobytes()).hexdigest()


def test_it_is_the_first_of_the_full_models() -> None:
    assert next(iter(FACTORIES)) == "ace_step_15"


def test_from_nothing_to_ready(model_folder: Path, tmp_path: Path) -> None:
    absent = backend_in(tmp_path / "nothing")
    assert not absent.availability().installed
    with pytest.raises(ModelNotFound):
        absent.load(CancelToken(), lambda progress: None)
    backend = backend_in(model_folder)
    before = backend.availability()
    assert (before.installed, before.error, before.model_version) == (True, None, "1.5-turbo-fp32")
    assert Phase.PREPARING in backend.workload(backend.resolve(asked()))
    seen: list[PhaseProgress] = []
    backend.load(CancelToken(), seen.append)
    for phase in (Phase.PREPARING, Phase.LOADING):
        fractions = [progress.fraction for progress in seen if progress.phase is phase]
        assert fractions == sorted(fractions)
    assert [phase for phase, _ in groupby(progress.phase for progress in seen)] == [
        Phase.PREPARING,
        Phase.LOADING,
    ]
    after = backend.availability()
    assert (after.error, after.model_version) == (None, "1.5-turbo-fp32")
    assert after.memory_bytes


def test_a_track_is_as_long_as_asked_loud_and_the_same_again(model_folder: Path) -> None:
    backend = backend_in(model_folder)
    clip = made(backend, asked(5.5))
    assert clip.samples.shape == (2, 264_000)
    assert float(np.abs(clip.samples).max()) == pytest.approx(10 ** (-1 / 20), rel=1e-3)
    assert digest(made(backend, asked(5.5))) == digest(clip)
    assert digest(made(backend, asked(5.5, seed=8))) != digest(clip)
    backend.unload()
    assert digest(made(backend, asked(5.5))) == digest(clip)


@pytest.mark.parametrize(
    "options",
    [
        {"bpm": 90},
        {"key": "A minor"},
        {"time_signature": "3"},
        {"lyrics": "[verse]\nla"},
        {"shift": 2.0},
        {"dcw": False},
        {"scheduler": "heun"},
        {"scheduler": "pingpong"},
        {"inference_steps": 4},
        {"variation": 0.2},
    ],
)
def test_every_option_changes_the_sound(model_folder: Path, options: dict[str, Any]) -> None:
    backend = backend_in(model_folder)
    assert digest(made(backend, asked(**options))) != digest(made(backend, asked()))


def test_a_variation_of_nothing_is_the_track_and_of_all_is_the_other(model_folder: Path) -> None:
    backend = backend_in(model_folder)
    nothing = made(backend, asked(variation=0.0, variation_seed=3))
    assert digest(nothing) == digest(made(backend, asked()))
    whole = made(backend, asked(variation=1.0, variation_seed=3)).samples
    other = made(backend, asked(seed=3)).samples
    np.testing.assert_allclose(whole, other, atol=1e-4)


def test_progress_and_cancellation_at_every_phase(model_folder: Path) -> None:
    backend = backend_in(model_folder)
    backend.load(CancelToken(), lambda progress: None)
    request = backend.resolve(asked())
    assert set(backend.workload(request)) == {Phase.ENCODING, Phase.DIFFUSING, Phase.DECODING}
    seen: list[PhaseProgress] = []
    backend.generate(request, on_progress=seen.append, cancel=CancelToken())
    steps = [each.done for each in seen if each.phase is Phase.DIFFUSING]
    assert steps == list(range(9))
    for phase in (Phase.ENCODING, Phase.DIFFUSING, Phase.DECODING):
        cancel = CancelToken()

        def stop(
            progress: PhaseProgress, phase: Phase = phase, cancel: CancelToken = cancel
        ) -> None:
            if progress.phase is phase:
                cancel.cancel()

        with pytest.raises(Cancelled):
            backend.generate(request, on_progress=stop, cancel=cancel)


def test_durations_beyond_its_range(model_folder: Path) -> None:
    backend = backend_in(model_folder)
    for seconds in (4.9, 600.1):
        with pytest.raises(InvalidDuration):
            backend.resolve(asked(seconds))


def test_a_damaged_set_is_told_and_a_changed_one_is_loaded_anew(model_folder: Path) -> None:
    backend = backend_in(model_folder)
    backend.load(CancelToken(), lambda progress: None)
    first = digest(made(backend, asked()))
    folder = model_folder / "fp32"
    config = model_folder / MODEL / "config.json"
    shutil.rmtree(folder)
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 0.5'))
    assert digest(made(backend, asked())) != first
    shutil.rmtree(model_folder / MODEL)
    weights = folder / "transformer.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "transformer.bin" in str(backend.availability().error)
    backend.unload()
    with pytest.raises(ModelLoadFailed, match=r"transformer\.bin"):
        backend.load(CancelToken(), lambda progress: None)


def test_what_was_understood() -> None:
    understood = backend_in(Path("nowhere")).info.understood("rainy, 72 bpm, in A minor")
    assert understood is not None
    assert (understood.tempo, understood.key, understood.text) == (72, "A minor", "72 bpm, A minor")


def test_where_nothing_was_understood_nothing_is_said() -> None:
    assert backend_in(Path("nowhere")).info.understood("slow flute") is None


def test_a_longer_track_needs_more_to_diffuse_and_no_more_to_decode(model_folder: Path) -> None:
    backend = backend_in(model_folder)
    backend.prepare(CancelToken(), lambda progress: None)
    short, long = backend.needs(asked(60.0)), backend.needs(asked(600.0))
    grown = [phase for phase in short if long[phase].working > short[phase].working]
    assert grown == [Phase.DIFFUSING]
    assert [need.model for need in long.values()] == [need.model for need in short.values()]


def test_unloading_gives_the_memory_back_at_once(model_folder: Path) -> None:
    """Without waiting for somebody to look for cycles."""
    backend = backend_in(model_folder)
    backend.load(CancelToken(), lambda progress: None)
    assert backend._pipeline is not None
    transformer = weakref.ref(backend._pipeline.transformer)
    gc.disable()
    try:
        backend.unload()
        assert transformer() is None
    finally:
        gc.enable()
