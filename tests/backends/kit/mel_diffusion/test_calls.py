"""What a run costs: rows through the transformer, counted where they are computed."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.mel_diffusion.guidance import Guidance
from lofi_daemon.backends.kit.mel_diffusion.latents import latents_shape
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.requests import Diffusion
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.backends.protocol import GenerationRequest, PhaseProgress
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel


@pytest.mark.parametrize(("scheduler", "steps", "rows"), [("adams", 25, 25), ("euler", 8, 12)])
def test_rows_of_a_run(
    monkeypatch: pytest.MonkeyPatch, scheduler: str, steps: int, rows: int
) -> None:
    cancel, counted, told = CancelToken(), list[int](), list[PhaseProgress]()
    pipeline = AceStepPipeline(BUNDLE, compose=compose_score)
    contexts = pipeline.encode(
        GenerationRequest("rain", 5.0, 1), ignore_progress, cancel, erg=False
    )
    run = OnnxModel.run

    def counting(model: OnnxModel, feeds: dict, token: CancelToken) -> list:
        counted.append(len(feeds["hidden_states"]))
        return run(model, feeds, token)

    monkeypatch.setattr(OnnxModel, "run", counting)
    diffusion = Diffusion(steps, scheduler, Guidance(), erg=False)
    pipeline.diffuse(
        diffusion, 1, contexts, gaussian_noise(1, 0, latents_shape(8)), told.append, cancel
    )
    assert sum(counted) == rows
    assert (told[-1].done, told[-1].total) == (steps, steps)
