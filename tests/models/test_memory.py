"""What fits stays loaded; what does not is loaded phase by phase, or refused with both numbers."""

from __future__ import annotations

import platform
import weakref
from pathlib import Path

import numpy as np
import psutil
import pytest

from lofi_daemon import memory
from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.latents import latents_shape
from lofi_daemon.backends.kit.mel_diffusion.needs import needs
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.requests import diffusion_of
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.kit.residency import Residents
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.cancellation import CancelToken
from tests.models.conftest import published_files

GIGABYTE = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of the published names: the transformer has the most."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path, contents in published_files(4_000_000).items():
        (folder / Path(path).name).write_bytes(contents)
    return folder


def test_the_need_of_a_phase_is_that_of_its_files(folder: Path) -> None:
    needed = needs(folder, 60.0)
    files = (folder / "transformer_decoder.onnx", folder / "transformer_decoder_weights.bin")
    assert needed[Phase.DIFFUSING].model == sum(file.stat().st_size for file in files)
    assert max(needed, key=lambda phase: needed[phase].total) is Phase.DIFFUSING


def test_only_the_transformers_work_grows_with_the_track(folder: Path) -> None:
    short, long = needs(folder, 60.0), needs(folder, 120.0)
    grown = [phase for phase in short if long[phase].working > short[phase].working]
    assert grown == [Phase.DIFFUSING]
    # Beyond a certain length the pair of guidance is no longer computed in one call.
    assert needs(folder, 130.0)[Phase.DIFFUSING].working < long[Phase.DIFFUSING].working


def test_the_decoders_work_grows_with_its_windows_which_have_an_end(folder: Path) -> None:
    decoder = folder / "dcae_decoder.onnx"
    decoder.write_bytes(bytes(302_000_000))  # of the real size
    short, half_a_minute, long = (
        needs(folder, seconds)[Phase.DECODING].working for seconds in (5.0, 30.0, 240.0)
    )
    assert 1_430_000_000 < half_a_minute < 1_700_000_000
    assert short < 0.35 * half_a_minute
    assert long == needs(folder, 120.0)[Phase.DECODING].working < 1.1 * half_a_minute


def test_phase_by_phase_makes_the_same_music() -> None:
    request = GenerationRequest("rain", 5.0, seed=3, options=DiffusionOptions(inference_steps=1))
    noise = gaussian_noise(3, 0, latents_shape(16))
    token = CancelToken()
    music: list[np.ndarray] = []
    for keep_loaded in (True, False):
        pipeline = AceStepPipeline(BUNDLE, compose=compose_score, keep_loaded=keep_loaded)
        diffusion = diffusion_of(request, pipeline.manifest)
        contexts = pipeline.encode(request, ignore_progress, token, erg=diffusion.erg)
        latents = pipeline.diffuse(diffusion, request.seed, contexts, noise, ignore_progress, token)
        music.append(pipeline.decode(latents, 48_000, ignore_progress, token).samples)
        assert pipeline.device == "cpu"
    np.testing.assert_array_equal(music[0], music[1])


def test_a_model_that_was_dropped_is_gone_and_comes_back(folder: Path) -> None:
    class Model:
        pass

    resident = Residents(folder, keep=True).add(Model, "transformer_decoder")
    assert resident.bytes > 0.8 * sum(file.stat().st_size for file in folder.iterdir())
    alive = weakref.ref(resident.get())
    assert resident.get() is alive()
    resident.drop()
    assert alive() is None
    assert isinstance(resident.get(), Model)


def test_the_limit_of_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "fs/outer/inner"
    group.mkdir(parents=True)
    (tmp_path / "self").write_text("0::/outer/inner\n")
    (tmp_path / "meminfo").write_text("MemTotal: 20000000 kB\nMemAvailable: 16000000 kB\n")
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text(f"{6 * GIGABYTE}\n")
    (group.parent / "memory.current").write_text(f"{2 * GIGABYTE}\n")
    (group.parent / "memory.stat").write_text(f"anon 5\ninactive_file {GIGABYTE}\n")
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "self")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "fs")
    monkeypatch.setattr("sys.platform", "linux")
    assert memory.available_memory() == 5 * GIGABYTE
    assert memory.total_memory() == 6 * GIGABYTE
    (group.parent / "memory.max").write_text("max\n")
    assert memory.available_memory() == 16_000_000 * 1024
    assert memory.total_memory() == 20_000_000 * 1024
    (tmp_path / "meminfo").unlink()
    assert memory.available_memory() is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory")
def test_freed_memory_goes_back_to_the_system() -> None:
    pieces = [np.ones(12_000) for _ in range(2000)]  # each too small for a mapping of its own
    last = pieces[-1]
    held = psutil.Process().memory_info().rss
    del pieces  # the last one keeps the heap from shrinking by itself
    memory.give_back_freed_memory()
    assert held - psutil.Process().memory_info().rss > 150_000_000
    assert last.all()
