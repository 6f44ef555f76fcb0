"""The bundle as a backend: what it says of itself is true of what makes the sound."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.demo.backend import compose_score, demo_backend
from lofi_daemon.backends.demo.files import BUNDLE, DemoFiles
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import BundleBackend
from lofi_daemon.backends.protocol import GenerationRequest, Phase, PhaseProgress, Residency
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import ModelInferenceFailed
from lofi_daemon.models.model_files import ModelConfiguration

OPEN = GenerationRequest("rain", 5.0, 1, DiffusionOptions(inference_steps=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


@pytest.fixture
def backend(folder: Path) -> BundleBackend:
    info = demo_backend(Settings()).info
    return BundleBackend(
        info, DemoFiles(folder, ModelConfiguration(), threads=1), compose=compose_score
    )


def become(folder: Path, version: str) -> None:
    """Other files in the place of these: a manifest of that version, a loader of lower level."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model_version"] = version
    manifest["mastering"] = None
    (folder / "manifest.json").write_text(json.dumps(manifest))


def make(
    backend: BundleBackend, watch: object = None, residency: Residency = Residency.KEPT
) -> np.ndarray:
    cancel = CancelToken()
    backend.load(cancel, lambda progress: None, residency)
    request = backend.resolve(OPEN)
    seen = watch if callable(watch) else lambda progress: None
    return backend.generate(request, on_progress=seen, cancel=cancel).samples


def test_new_files_under_a_loaded_model_are_loaded_before_the_next_track(
    backend: BundleBackend, folder: Path
) -> None:
    first = make(backend)
    np.testing.assert_array_equal(make(backend), first)
    become(folder, "another-1")
    assert backend.availability().model_version == "another-1"
    second = make(backend)
    assert backend.availability().model_version == "another-1"
    assert np.abs(second - first).max() > 0.01


def test_a_model_whose_files_stay_is_loaded_once(backend: BundleBackend) -> None:
    cancel, loads = CancelToken(), list[PhaseProgress]()
    backend.load(cancel, loads.append)
    assert {progress.phase for progress in loads} == {Phase.LOADING}
    loads.clear()
    backend.load(cancel, loads.append)
    assert loads == []


def test_files_that_change_between_two_phases_make_no_track(
    backend: BundleBackend, folder: Path
) -> None:
    """Where memory is short each phase reads its own graphs, so they might not belong together."""
    changed: list[Phase] = []

    def watch(progress: PhaseProgress) -> None:
        if progress.phase is Phase.DIFFUSING and not changed:
            changed.append(progress.phase)
            become(folder, "another-1")

    with pytest.raises(ModelInferenceFailed, match="changed while the track was made"):
        make(backend, watch, Residency.BY_PHASE)


def test_loading_is_forecast_until_the_model_is_loaded(backend: BundleBackend) -> None:
    request = backend.resolve(OPEN)
    assert backend.workload(request)[Phase.LOADING] > 0.0
    backend.load(CancelToken(), lambda progress: None)
    assert Phase.LOADING not in backend.workload(request)


def test_a_model_that_is_asked_for_otherwise_is_loaded_anew(backend: BundleBackend) -> None:
    cancel, loads = CancelToken(), list[PhaseProgress]()
    backend.load(cancel, loads.append, Residency.BY_PHASE)
    assert backend.residency is Residency.BY_PHASE
    assert len(loads) == 1, "nothing is read before a phase needs it"
    backend.load(cancel, loads.append, Residency.KEPT)
    assert backend.residency is Residency.KEPT
    assert loads[-1].fraction == 1.0
    backend.unload()
    assert backend.residency is None


def test_unloading_gives_the_memory_back_at_once(backend: BundleBackend) -> None:
    """Without waiting for somebody to look for cycles."""
    backend.load(CancelToken(), lambda progress: None)
    assert backend._pipeline is not None
    decoder = weakref.ref(backend._pipeline.decoder)
    gc.disable()
    try:
        backend.unload()
        assert decoder() is None
    finally:
        gc.enable()


def sound(backend: BundleBackend, **options: float) -> np.ndarray:
    asked = replace(OPEN, options=DiffusionOptions(inference_steps=1, **options))
    backend.load(CancelToken(), lambda progress: None)
    clip = backend.generate(
        backend.resolve(asked), on_progress=lambda progress: None, cancel=CancelToken()
    )
    return clip.samples


def test_a_variation_goes_from_one_track_to_another(backend: BundleBackend) -> None:
    own = sound(backend)
    np.testing.assert_array_equal(sound(backend, variation=0.0, variation_seed=9), own)
    little, much = (np.abs(sound(backend, variation=each) - own).mean() for each in (0.05, 0.8))
    assert 0.0 < little < much
    to_others = [sound(backend, variation=0.8, variation_seed=seed) for seed in (2, 9)]
    np.testing.assert_array_equal(sound(backend, variation=0.8), to_others[0])
    assert np.abs(to_others[0] - to_others[1]).max() > 0.0


def test_only_a_variation_is_written_into_the_request(backend: BundleBackend) -> None:
    assert "variation_seed" not in backend.resolve(OPEN).options.given
    asked = replace(OPEN, options=DiffusionOptions(variation=0.0, variation_seed=9))
    assert "variation_seed" not in backend.resolve(asked).options.given
    asked = replace(OPEN, options=DiffusionOptions(variation=0.2))
    assert backend.resolve(asked).options.given["variation_seed"] == OPEN.seed + 1
