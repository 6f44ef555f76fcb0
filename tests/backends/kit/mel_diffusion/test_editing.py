"""Latents that stay while others are made, through every solver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.editing import Kept, kept_of
from lofi_daemon.backends.kit.mel_diffusion.guidance import Guidance
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS, Run
from lofi_daemon.backends.kit.mel_diffusion.schedule import flow_schedule
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.backends.registry import Registry
from lofi_daemon.backends.tasks import Source, Task
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidParams
from lofi_daemon.sound.material import material_bytes
from tests.studio import RATE as STUDIO_RATE
from tests.studio import Studio, assert_no_seam
from tests.tiny_bundle import tiny_bundle

FRAMES = 30
RATE = 44100 / 4096
SOURCE = gaussian_noise(9, 0, (1, 8, 16, FRAMES))


def task(name: str, span: tuple[float, float], seconds: float = FRAMES / RATE) -> Task:
    return Task(name, Source(Path("x"), "0" * 64, seconds), span)  # pyright: ignore[reportArgumentType]


def run_of(kept: Kept, noise: Latents, seen: list[Latents]) -> Run:
    def velocity(latents: Latents, timestep: np.float32) -> Latents:
        seen.append(latents)
        return (0.3 * latents + 0.1).astype(np.float32)

    def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
        return velocity(latents, timestep), velocity(latents, timestep)

    return Run(
        start=noise,
        steps=6,
        guidance=Guidance(scale=2.0, cfg_type="cfg", interval=1.0, decay=0.0),
        conditional=velocity,
        both=both,
        fresh_noise=lambda step: gaussian_noise(1, step + 1, noise.shape),
        on_iteration=lambda iteration, latents: None,
        omega=10.0,
        after_step=kept.put_back(noise),
    )


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_what_is_not_new_ends_as_the_source_and_the_rest_does_not(solver: str) -> None:
    kept = kept_of(task("repaint", (1.0, 2.0)), SOURCE, FRAMES)
    noise = gaussian_noise(1, 0, SOURCE.shape)
    seen: list[Latents] = []
    end = SOLVERS[solver].solve(run_of(kept, noise, seen))
    new = slice(int(RATE), int(np.ceil(2 * RATE)))
    assert kept.new.nonzero()[0].tolist() == list(range(new.start, new.stop))
    assert np.array_equal(end[..., ~kept.new], SOURCE[..., ~kept.new])
    assert np.abs(end[..., new] - SOURCE[..., new]).min() > 0.0


def test_between_steps_the_source_is_as_noisy_as_the_rest() -> None:
    """x ← (1 − σ)·source + σ·noise, with the noise of the start, as in the original's loop."""
    kept = kept_of(task("repaint", (1.0, 2.0)), SOURCE, FRAMES)
    noise = gaussian_noise(1, 0, SOURCE.shape)
    seen: list[Latents] = []
    SOLVERS["euler"].solve(run_of(kept, noise, seen))
    sigmas = flow_schedule(6).sigmas
    for step, latents in enumerate(seen[::2]):
        expected = (1 - sigmas[step]) * SOURCE + sigmas[step] * noise
        assert latents[..., ~kept.new] == pytest.approx(expected[..., ~kept.new], abs=1e-6)


def test_an_extension_is_new_where_the_source_has_nothing() -> None:
    after = kept_of(task("extend", (2.5, 5.0)), SOURCE, 54)
    first = int(2.5 * RATE)
    assert after.new.tolist() == [frame >= first for frame in range(54)]
    assert np.array_equal(after.source[..., :FRAMES], SOURCE)
    before = kept_of(task("extend", (-20 / RATE, 0.0)), SOURCE, FRAMES + 20)
    assert before.new.tolist() == [frame < 20 for frame in range(FRAMES + 20)]
    assert np.array_equal(before.source[..., 20:], SOURCE)


def test_latents_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidParams, match="another kind of model"):
        kept_of(task("repaint", (1.0, 2.0)), np.zeros((1, 64, 30)), FRAMES)


def test_a_bundle_without_a_score_goes_on_from_its_latents_alone(tmp_path: Path) -> None:
    pipeline = AceStepPipeline(tiny_bundle())
    options = DiffusionOptions(inference_steps=2)
    clip = pipeline.generate(GenerationRequest("rain", 5.0, 42, options))
    assert clip.material is not None
    assert list(clip.material) == ["latents"]
    sound, material = tmp_path / "source.wav", tmp_path / "source.npz"
    soundfile.write(sound, clip.samples.T, clip.sample_rate, subtype="FLOAT")
    material.write_bytes(material_bytes(clip.material))
    source = Source(sound, "0" * 64, 5.0, track_id="ab" * 8, material=material)
    extend = Task("extend", source, (4.5, 7.0))
    request = GenerationRequest("rain", 7.0, 43, options, task=extend)
    longer = pipeline.generate(request)
    join = round(4.45 * clip.sample_rate)
    assert longer.samples.shape[1] == 7 * clip.sample_rate
    assert np.array_equal(longer.samples[:, :join], clip.samples[:, :join])
    assert np.abs(longer.samples[:, join + 9600 :]).max() > 0.01
    assert np.array_equal(pipeline.generate(request).samples, longer.samples)


def test_a_flow_hears_the_end_of_its_source_and_is_new_from_there_on() -> None:
    flow = replace(task("flow", (20 / RATE, 20 / RATE + 3.0)), lead_sec=8 / RATE)
    kept = kept_of(flow, SOURCE, 8 + 33)
    assert kept.new.tolist() == [frame >= 8 for frame in range(41)]
    assert np.array_equal(kept.source[..., :8], SOURCE[..., 12:20])


def test_a_bundle_without_a_score_flows_on_from_its_latents_alone(tmp_path: Path) -> None:
    variables = {"LOFI_ACE_STEP_MODEL_PATH": str(tiny_bundle())}
    studio = Studio(tmp_path, Registry(load_settings(variables)), "ace_step")
    first = studio.made(
        prompt="rain", seed=42, duration_sec=14, backend="ace_step", inference_steps=2
    )
    given = {"task": "flow", "source": first.track_id, "duration_sec": 6, "prompt": "snow"}
    flow = studio.made(**given, seed=43)
    assert (flow.duration_sec, flow.backend) == (6.0, "ace_step")
    assert flow.span is not None
    frames = flow.span[0] * RATE
    assert frames == pytest.approx(round(frames), abs=1e-6)
    assert studio.latents(flow).shape[-1] == np.ceil(6 * RATE)
    before, after = studio.sound(first), studio.sound(flow)
    left = round(flow.span[0] * STUDIO_RATE)
    assert np.abs(after[:, 0] - before[:, left]).max() < 0.02 * np.abs(before).max()
    assert_no_seam(np.concatenate([before[:, :left], after], axis=1), left + 480, 480)
    content = studio.tracks.path(flow).read_bytes()
    again = studio.made(**given, seed=43)
    assert studio.tracks.path(again).read_bytes() == content
    on = studio.made(task="flow", source=flow.track_id, duration_sec=5, seed=1)
    assert on.parent == flow.track_id
