"""Retake, repaint, extend and audio-to-audio against the original's formulas.

The formulas are restated here from ace-step/ACE-Step, `acestep/pipeline_ace_step.py` at commit
d612523f50e252c0e138e68ae75b06223f96e934, and run on the PyTorch model of the reference set:

- retake, lines 938 to 964: cos(v·π/2)·noise + sin(v·π/2)·another seed's noise, then as always;
- repaint, lines 949 to 980: both noises are mixed so inside the mask, outside the first one stays;
  lines 1187 to 1196: the first n_min = int(N·(1 − v)) steps are left out, and the run begins with
  the source at that level; lines 1313 to 1326: Euler steps without the mean shift, after each of
  which what is outside the mask is put back to the source at the level reached;
- extend, lines 981 to 1053: the source is padded with zeros, the mask is one over the padding, and
  the noise is the second seed's there and the first's over the source; v is 1 (`ui/components.py`,
  line 801);
- audio-to-audio, lines 769 to 807.

Where this project is other than the original, on purpose:

- It has one noise for what is made and what stays: a mix of two independent normal noises, with
  squares of its weights that add up to one, is one normal noise. Which seeds a frame's noise comes
  from is no part of the formulas, which are compared with the original's noises.
- The original steps as Euler does in repaint and extend, whatever solver is asked for (Heun's
  doubled levels become steps of no length). Here the solver that is asked for takes its own steps;
  only the mean shift is left out, as there.
- A span of seconds begins and ends between two frames; the original rounds both ends down, this
  project the end up, so that all of the span is made (at most one frame more).
- More than 240 s, for which the original drops some of the source and glues it on again (lines 997
  to 1023, with a concatenation along the batch in line 1343 that cannot work), is refused. An
  extension of more frames than its source has fails there (line 1050) and works here.
- With v = 0 the original leaves every step out and returns the noise (line 1191); here it is the
  source. With a span over all of it, it is a retake and forgets the source (line 953); here v says
  how much of it is left.
- Audio-to-audio mixes the noise in at the level shift(1 − strength) and tells the model
  shift(shift(1 − strength)); here the model is told the level that the latents have, which is the
  step of the whole schedule that lies there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lofi_daemon.backends.kit.mel_diffusion.context import instrumental_lyric
from lofi_daemon.backends.kit.mel_diffusion.editing import FRAMES_PER_SEC, Kept, kept_of
from lofi_daemon.backends.kit.mel_diffusion.guidance import Guidance
from lofi_daemon.backends.kit.mel_diffusion.pipeline import NO_ERG, AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.requests import Diffusion
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.schedule import shift
from lofi_daemon.backends.kit.mel_diffusion.text import TokenIds
from lofi_daemon.backends.kit.noise import mixed_noise
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.backends.tasks import Source, Task
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings
from scripts.export_onnx.ace_step.checkpoint import TRANSFORMER_FOLDER, load_transformer
from tests.parity.reference_set import LOOP_LIMIT, ReferenceSet, difference

FRAMES = 24
STEPS = 10
SCALE = 15.0
OMEGA = 10.0
NEVER = CancelToken()


@dataclass(frozen=True)
class Original:
    """One run of the original's loop, of ten steps; every tensor float32 [1, 8, 16, T].

    predict(latents, timestep, with_prompt) is a call of the model.
    """

    predict: Callable[[Tensor, Tensor, bool], Tensor]
    cfg_type: str

    def levels(self) -> Tensor:
        """The ten of Euler's scheduler and 0, float32."""
        table = 3 * np.float32(0.001) / (1 + 2 * np.float32(0.001))
        line = np.linspace(1.0, float(table), STEPS)
        shifted = torch.from_numpy(3 * line / (1 + 2 * line)).float()
        return torch.cat((shifted, torch.zeros(1)))

    def whole(self, noise: Tensor) -> Tensor:
        """Text to music, and a retake from its mixed noise."""
        sigmas, latents, momentum = self.levels(), noise, [torch.zeros_like(noise)]
        stretch = 0.9 + 0.2 / (1 + np.exp(-0.1 * OMEGA))
        for i in range(STEPS):
            change = (sigmas[i + 1] - sigmas[i]) * self._guided(latents, sigmas[i], i, momentum)
            latents = latents + (change - change.mean()) * stretch + change.mean()
        return latents

    def held(self, source: Tensor, mask: Tensor, noise: Tensor, n_min: int) -> Tensor:
        """Repaint and extend: mask is 1 where music is made."""
        sigmas, momentum = self.levels(), [torch.zeros_like(noise)]
        latents = noise
        for i in range(STEPS):
            if i < n_min:
                continue
            if i == n_min:
                latents = (1 - sigmas[i]) * source + sigmas[i] * noise
            velocity = self._guided(latents, sigmas[i], i, momentum)
            latents = latents + (sigmas[i + 1] - sigmas[i]) * velocity
            held = (1 - sigmas[i + 1]) * source + sigmas[i + 1] * noise
            latents = torch.where(mask == 1, latents, held)
        return latents

    def _guided(self, latents: Tensor, sigma: Tensor, i: int, momentum: list[Tensor]) -> Tensor:
        with_prompt = self.predict(latents, sigma * 1000, True)
        if not int(STEPS * 0.25) <= i < int(STEPS * 0.75):
            return with_prompt
        without = self.predict(latents, sigma * 1000, False)
        if self.cfg_type == "cfg":
            return without + SCALE * (with_prompt - without)
        momentum[0] = with_prompt - without - 0.75 * momentum[0]
        length = momentum[0].norm(dim=(-1, -2), keepdim=True)
        limited = (momentum[0] * torch.clamp(2.5 / length, max=1.0)).double()
        along = torch.nn.functional.normalize(with_prompt.double(), dim=(-1, -2))
        across = limited - (limited * along).sum(dim=(-1, -2), keepdim=True) * along
        return with_prompt + (SCALE - 1) * across.float()


@pytest.fixture(scope="module")
def predict(
    reference: ReferenceSet, reference_checkpoint: Path
) -> Callable[[Tensor, Tensor, bool], Tensor]:
    arrays = reference["transformer"]
    model = load_transformer(reference_checkpoint / TRANSFORMER_FOLDER)
    mask = torch.from_numpy(arrays["encode.inst.mask"])
    states = {
        True: torch.from_numpy(arrays["encode.inst.cond"]),
        False: torch.from_numpy(arrays["encode.inst.null"]),
    }

    def call(latents: Tensor, timestep: Tensor, with_prompt: bool) -> Tensor:
        ones = torch.ones(1, latents.shape[-1])
        with torch.no_grad():
            return model.decode(latents, ones, states[with_prompt], mask, timestep.reshape(1))

    return call


@pytest.fixture(scope="module")
def pipeline(native_bundle: Path) -> AceStepPipeline:
    return AceStepPipeline(native_bundle, SessionSettings(threads=1))


@pytest.fixture(scope="module")
def noises(reference: ReferenceSet) -> tuple[np.ndarray, np.ndarray]:
    """Those of the first and of the second seed."""
    arrays = reference["loops"]
    return arrays["noise"], arrays["pingpong_noise"][0]


@pytest.fixture(scope="module")
def source(reference: ReferenceSet) -> np.ndarray:
    return reference["loops"]["euler.cfg.N4"]


def ours(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    noise: np.ndarray,
    kept: Kept | None = None,
    cfg_type: str = "apg",
    scheduler: str = "euler",
) -> np.ndarray:
    text = reference["umt5"]
    tokens = TokenIds(text["one.input_ids"], text["one.attention_mask"])
    return pipeline.diffuse(
        Diffusion(STEPS, scheduler, Guidance(SCALE, cfg_type), erg=False),
        0,
        pipeline.contexts(tokens, instrumental_lyric(), NO_ERG, NEVER),
        noise,
        ignore_progress,
        NEVER,
        kept=kept,
    )


def mixed(first: np.ndarray, second: np.ndarray, variance: float) -> np.ndarray:
    angle = torch.tensor(variance * np.pi / 2)
    mix = torch.cos(angle) * torch.from_numpy(first) + torch.sin(angle) * torch.from_numpy(second)
    return mix.numpy()


def task(name: str, start: int, stop: int, strength: float | None = None) -> Task:
    """From one frame to another."""
    seconds = FRAMES / FRAMES_PER_SEC
    span = (start / FRAMES_PER_SEC, stop / FRAMES_PER_SEC)
    whole = Source(Path("source.wav"), "0" * 64, seconds)
    return Task(name, whole, span, strength)  # pyright: ignore[reportArgumentType]


def mask_of(made: slice, frames: int) -> np.ndarray:
    mask = np.zeros((1, 8, 16, frames), dtype=np.float32)
    mask[..., made] = 1.0
    return mask


def tensors(*arrays: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(array) for array in arrays]


@pytest.mark.parametrize("cfg_type", ["apg", "cfg"])
def test_what_is_restated_here_is_what_the_original_computed(
    reference: ReferenceSet, predict: Callable[..., Tensor], cfg_type: str
) -> None:
    """The numbers of the reference set were made by the original's own code."""
    arrays = reference["loops"]
    found = Original(predict, cfg_type).whole(torch.from_numpy(arrays["noise"]))
    assert difference(found.numpy(), arrays[f"euler.{cfg_type}.N10"]) < LOOP_LIMIT


@pytest.mark.parametrize("variance", [0.2, 0.7, 1.0])
def test_retake(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    predict: Callable[..., Tensor],
    noises: tuple[np.ndarray, np.ndarray],
    variance: float,
) -> None:
    theirs = mixed(*noises, variance)
    noise = mixed_noise(*noises, variance)
    assert np.abs(noise - theirs).max() < 1e-6
    expected = Original(predict, "apg").whole(torch.from_numpy(theirs)).numpy()
    assert difference(ours(pipeline, reference, noise), expected) < LOOP_LIMIT


@pytest.mark.parametrize("cfg_type", ["apg", "cfg"])
@pytest.mark.parametrize("variance", [0.2, 0.7, 1.0])
def test_repaint(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    predict: Callable[..., Tensor],
    noises: tuple[np.ndarray, np.ndarray],
    source: np.ndarray,
    variance: float,
    cfg_type: str,
) -> None:
    made = slice(6, 15)
    mask = mask_of(made, FRAMES)
    noise = np.where(mask == 1.0, mixed(*noises, variance), noises[0])
    expected = Original(predict, cfg_type).held(
        *tensors(source, mask, noise), n_min=int(STEPS * (1 - variance))
    )
    kept = kept_of(task("repaint", made.start, made.stop, variance), source, FRAMES)
    assert np.array_equal(kept.new, mask[0, 0, 0] == 1.0)
    found = ours(pipeline, reference, noise, kept, cfg_type)
    assert difference(found, expected.numpy()) < LOOP_LIMIT
    assert np.array_equal(found[..., ~kept.new], source[..., ~kept.new])


@pytest.mark.parametrize("left", [10, 0])
def test_extend(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    predict: Callable[..., Tensor],
    noises: tuple[np.ndarray, np.ndarray],
    source: np.ndarray,
    left: int,
) -> None:
    right = 10 - left
    first, second = noises
    padding = ((0, 0), (0, 0), (0, 0), (left, right))
    padded = np.pad(source, padding)
    mask = np.pad(np.zeros_like(source), padding, constant_values=1.0)
    ends = second[..., :left], second[..., second.shape[-1] - right :]
    noise = np.concatenate((ends[0], first, ends[1]), axis=-1)
    expected = Original(predict, "apg").held(*tensors(padded, mask, noise), n_min=0)
    extend = task("extend", -left, 0) if left else task("extend", FRAMES, FRAMES + right)
    kept = kept_of(extend, source, FRAMES + 10)
    assert np.array_equal(kept.source, padded)
    assert np.array_equal(kept.new, mask[0, 0, 0] == 1.0)
    found = ours(pipeline, reference, noise, kept)
    assert difference(found, expected.numpy()) < LOOP_LIMIT


def test_the_mildest_mistake_is_seen(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    predict: Callable[..., Tensor],
    noises: tuple[np.ndarray, np.ndarray],
    source: np.ndarray,
) -> None:
    """With the mean shift that belongs to an ordinary run, repaint is outside the limit."""
    mask, noise = mask_of(slice(6, 15), FRAMES), noises[0]
    expected = Original(predict, "apg").held(*tensors(source, mask, noise), n_min=0).numpy()
    kept = kept_of(task("repaint", 6, 15), source, FRAMES)

    class Shifted(Kept):
        @property
        def holds_on(self) -> bool:
            return False

    shifted = Shifted(kept.source, kept.new)
    assert difference(ours(pipeline, reference, noise, shifted), expected) > LOOP_LIMIT


def test_the_end_of_a_span_is_rounded_up_and_its_beginning_down() -> None:
    for start, stop in ((0.31, 1.0), (0.5, 1.77), (0.9, 2.2)):
        whole = Source(Path("source.wav"), "0" * 64, FRAMES / FRAMES_PER_SEC)
        kept = kept_of(Task("repaint", whole, (start, stop)), np.zeros((1, 8, 16, FRAMES)), FRAMES)
        made = np.flatnonzero(kept.new)
        theirs = int(start * 44100 / 512 / 8), int(stop * 44100 / 512 / 8)
        assert (made[0], made[-1] + 1) == (theirs[0], theirs[1] + 1)


@pytest.mark.parametrize("scheduler", list(SOLVERS))
@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_new_music_from_a_sound_begins_at_the_noise_level_of_audio_to_audio(
    noises: tuple[np.ndarray, np.ndarray], source: np.ndarray, strength: float, scheduler: str
) -> None:
    """The level that the original mixes in lies within one step of the one that a run begins at."""
    guidance = Guidance(SCALE)
    sigmas = SOLVERS[scheduler].schedule(60, guidance).sigmas
    first = SOLVERS[scheduler].first_step(60, guidance, strength)
    begin = sigmas[first]
    neighbours = sigmas[max(0, first - 1)], sigmas[first + 1]
    if scheduler != "adams":  # whose levels do not lie as the original's do
        assert neighbours[1] <= shift(strength) <= neighbours[0]
    kept = Kept(source, np.ones(FRAMES, dtype=np.bool_), strength)
    expected = source * (1 - begin) + noises[0] * begin
    assert kept.noisy(noises[0], begin) == pytest.approx(expected, abs=1e-6)


def test_a_strength_of_nothing_is_the_source(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    noises: tuple[np.ndarray, np.ndarray],
    source: np.ndarray,
) -> None:
    kept = kept_of(task("repaint", 6, 15, 0.0), source, FRAMES)
    assert np.array_equal(ours(pipeline, reference, noises[0], kept), source)


@pytest.mark.parametrize("scheduler", list(SOLVERS))
def test_every_solver_walks_the_rest_of_its_way(
    pipeline: AceStepPipeline,
    reference: ReferenceSet,
    noises: tuple[np.ndarray, np.ndarray],
    source: np.ndarray,
    scheduler: str,
) -> None:
    """From near the source to near the source: the shorter the way, the nearer its end."""
    far = []
    for strength in (0.2, 0.5, 1.0):
        kept = Kept(source, np.ones(FRAMES, dtype=np.bool_), strength)
        found = ours(pipeline, reference, noises[0], kept, scheduler=scheduler)
        far.append(float(np.abs(found - source).mean()))
    assert far[0] < far[1] < far[2]
