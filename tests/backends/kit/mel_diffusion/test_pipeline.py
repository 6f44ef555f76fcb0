"""From a request to a clip, with the tiny bundle: real graphs, random weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds, instrumental_lyric
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for, latents_shape
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.protocol import GenerationRequest, Phase, PhaseProgress
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed
from tests.tiny_bundle import tiny_bundle

SHORT = GenerationRequest(
    "rainy night, rhodes", 5.0, 42, options=DiffusionOptions(inference_steps=2)
)

IN_ANOTHER_PROCESS = """
import hashlib, sys
from pathlib import Path
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.protocol import GenerationRequest
request = GenerationRequest("rainy night, rhodes", 5.0, 42, DiffusionOptions(inference_steps=2))
clip = AceStepPipeline(Path(sys.argv[1])).generate(request)
print(hashlib.sha256(clip.samples.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def pipeline() -> AceStepPipeline:
    return AceStepPipeline(tiny_bundle())


def test_the_same_seed_gives_the_same_bytes_in_another_process(pipeline: AceStepPipeline) -> None:
    here = hashlib.sha256(pipeline.generate(SHORT).samples.tobytes()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tiny_bundle())],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


@pytest.mark.parametrize("seconds", [5.0, 5.0001, 7.3, 11.9])
def test_the_length_is_exact(pipeline: AceStepPipeline, seconds: float) -> None:
    request = GenerationRequest(
        "rain", seconds, 1, options=DiffusionOptions(inference_steps=1, guidance_scale=1.0)
    )
    clip = pipeline.generate(request)
    assert clip.samples.shape == (2, round(seconds * 48000))
    assert clip.sample_rate == 48000


def test_the_peak_is_below_full_scale_and_only_the_end_fades(pipeline: AceStepPipeline) -> None:
    clip = pipeline.generate(SHORT)
    assert np.abs(clip.samples).max() == pytest.approx(0.89, abs=1e-4)
    assert not clip.samples[:, -1].any()
    assert np.abs(clip.samples[:, :480]).max() > 0.1
    assert np.abs(clip.samples[:, -4800:-2400]).max() > 0.1


def test_given_latents_take_the_place_of_the_seeds_noise(pipeline: AceStepPipeline) -> None:
    noise = gaussian_noise(42, 0, latents_shape(frames_for(5.0)))
    given = pipeline.generate(
        GenerationRequest(
            "rainy night, rhodes", 5.0, 7, options=DiffusionOptions(inference_steps=2)
        ),
        initial_latents=noise,
    )
    np.testing.assert_array_equal(given.samples, pipeline.generate(SHORT).samples)


def test_pingpong_draws_from_the_seed(pipeline: AceStepPipeline) -> None:
    noise = gaussian_noise(0, 0, latents_shape(frames_for(5.0)))

    def run(seed: int) -> np.ndarray:
        request = GenerationRequest(
            "rain", 5.0, seed, options=DiffusionOptions(inference_steps=2, scheduler="pingpong")
        )
        return pipeline.generate(request, initial_latents=noise).samples

    np.testing.assert_array_equal(run(1), run(1))
    assert np.abs(run(1) - run(2)).max() > 1e-3


def test_every_phase_is_told_in_order_and_its_share_only_grows(pipeline: AceStepPipeline) -> None:
    told: dict[Phase, list[float]] = defaultdict(list)
    steps: list[tuple[int, int]] = []

    def watch(progress: PhaseProgress) -> None:
        told[progress.phase].append(progress.fraction)
        if progress.phase is Phase.DIFFUSING:
            steps.append((progress.done, progress.total))

    request = GenerationRequest(
        "rain", 5.0, 1, options=DiffusionOptions(inference_steps=4, scheduler="heun")
    )
    pipeline.generate(request, on_progress=watch)
    assert list(told) == [Phase.ENCODING, Phase.DIFFUSING, Phase.DECODING]
    for shares in told.values():
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)
    assert steps == [(done, 7) for done in range(8)]
    # Iterations 1 and 2 of 7 are guided, so they cost two calls of the nine.
    np.testing.assert_allclose(np.array(told[Phase.DIFFUSING]) * 9, [0, 1, 3, 5, 6, 7, 8, 9])


@pytest.mark.parametrize("phase", [Phase.ENCODING, Phase.DIFFUSING, Phase.DECODING])
def test_cancelling_stops_in_every_phase(pipeline: AceStepPipeline, phase: Phase) -> None:
    cancel, seen = CancelToken(), list[Phase]()

    def watch(progress: PhaseProgress) -> None:
        seen.append(progress.phase)
        if progress.phase is phase:
            cancel.cancel()

    with pytest.raises(Cancelled):
        pipeline.generate(SHORT, on_progress=watch, cancel=cancel)
    assert seen[-1] is phase


def test_a_step_that_is_no_number_is_named(pipeline: AceStepPipeline) -> None:
    noise = gaussian_noise(1, 0, latents_shape(frames_for(5.0)))
    noise[0, 3, 2, 7] = np.inf
    with pytest.raises(ModelInferenceFailed, match="step 1 of 2 gave NaN or Inf") as caught:
        pipeline.generate(SHORT, initial_latents=noise)
    assert caught.value.data["step"] == 1


def test_erg_changes_the_music(pipeline: AceStepPipeline) -> None:
    request = GenerationRequest(
        "rain", 5.0, 1, options=DiffusionOptions(inference_steps=4, erg=False)
    )
    without = pipeline.generate(request).samples
    with_erg = pipeline.generate(
        GenerationRequest("rain", 5.0, 1, options=DiffusionOptions(inference_steps=4))
    ).samples
    assert pipeline.manifest.erg
    assert np.abs(without - with_erg).max() > 1e-3


def test_a_bundle_with_a_score_needs_its_composer() -> None:
    from lofi_daemon.backends.demo.files import BUNDLE

    with pytest.raises(ModelLoadFailed, match="needs a composer of the score 'lofi'"):
        AceStepPipeline(BUNDLE)


def test_the_composer_is_asked_for_the_lyric() -> None:
    asked: list[str] = []

    def compose(request: GenerationRequest) -> LyricIds:
        asked.append(request.prompt)
        return instrumental_lyric()

    AceStepPipeline(tiny_bundle(), compose=compose).generate(SHORT)
    assert asked == ["rainy night, rhodes"]
