"""The solver that the bundle asks for: nearer to the limit than Euler at twice the model calls."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for, latents_shape
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.requests import diffusion_of
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken

SECONDS = 5.0
TARGET_CALLS = 200


@pytest.fixture(scope="module")
def pipeline() -> AceStepPipeline:
    return AceStepPipeline(BUNDLE, compose=compose_score)


def latents(
    pipeline: AceStepPipeline, prompt: str, options: DiffusionOptions
) -> tuple[Latents, int]:
    """What comes of it, and the model calls that it took."""
    request = GenerationRequest(prompt, SECONDS, 3, options)
    diffusion = diffusion_of(request, pipeline.manifest)
    cancel = CancelToken()
    contexts = pipeline.encode(request, ignore_progress, cancel, erg=diffusion.erg)
    noise = gaussian_noise(3, 0, latents_shape(frames_for(SECONDS)))
    made = pipeline.diffuse(diffusion, 3, contexts, noise, ignore_progress, cancel)
    calls = SOLVERS[diffusion.scheduler].calls_after(diffusion.steps, diffusion.guidance)
    return made, calls[-1]


@pytest.mark.parametrize("prompt", ["lofi with rhodes and upright bass", "rainy night piano"])
def test_half_the_calls_of_euler_are_nearer_to_the_limit(
    pipeline: AceStepPipeline, prompt: str
) -> None:
    many = DiffusionOptions(scheduler="adams", inference_steps=TARGET_CALLS)
    limit, _ = latents(pipeline, prompt, many)
    own, own_calls = latents(pipeline, prompt, DiffusionOptions())
    euler = DiffusionOptions(scheduler="euler", inference_steps=16)
    other, other_calls = latents(pipeline, prompt, euler)
    assert (own_calls, other_calls) == (16, 32)
    assert _distance(own, limit) < 0.8 * _distance(other, limit)


def _distance(one: Latents, other: Latents) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))
