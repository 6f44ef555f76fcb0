"""Tracks that end where they begin: the ring of latents, and the sound that closes."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.ace_step.backend import ace_step_backend
from lofi_daemon.backends.demo.backend import compose_score, demo_backend
from lofi_daemon.backends.demo.rescore import loop_bars
from lofi_daemon.backends.demo.score import LATENT_RATE, decode
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import BundleBackend
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for
from lofi_daemon.backends.kit.mel_diffusion.loop import (
    CONTEXT_FRAMES,
    OVERLAP_FRAMES,
    ring_of,
    seconds_of,
)
from lofi_daemon.backends.kit.ring import RAMP_SEC, Ring, closed
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.backends.tasks import Source, Task
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings, load_settings
from lofi_daemon.errors import InvalidDuration, InvalidParams
from lofi_daemon.sound.clip import AudioClip
from tests.tiny_bundle import tiny_bundle

RATE = 48000


def noise(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 8, 16, frames)).astype(np.float32)


def wanted(
    prompt: str = "rainy night", seconds: float = 9.0, seed: int = 3, **options: object
) -> GenerationRequest:
    return GenerationRequest(prompt, seconds, seed, DiffusionOptions(**{"loop": True, **options}))


def made(backend: BundleBackend, request: GenerationRequest) -> AudioClip:
    cancel = CancelToken()
    backend.load(cancel, lambda progress: None)
    resolved = backend.resolve(request)
    return backend.generate(resolved, on_progress=lambda progress: None, cancel=cancel)


def second_difference(samples: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(samples.astype(np.float64), 2, axis=1)).max(axis=0)


def wrap(samples: np.ndarray) -> float:
    """The largest second difference of those that reach over the seam."""
    return float(second_difference(np.hstack([samples[:, -2:], samples[:, :2]])).max())


def test_both_takes_of_the_beginning_become_one() -> None:
    ring = ring_of(60)
    latents = noise(ring.diffused_frames)
    joined = ring.made_one(latents)
    np.testing.assert_array_equal(joined[..., :OVERLAP_FRAMES], joined[..., 60:])
    # it comes as the take that knows the end, and goes as the one that the rest follows
    np.testing.assert_allclose(joined[..., 0], latents[..., 60], atol=1e-6)
    last = OVERLAP_FRAMES - 1
    np.testing.assert_allclose(joined[..., last], latents[..., last], atol=1e-6)
    np.testing.assert_array_equal(joined[..., OVERLAP_FRAMES:60], latents[..., OVERLAP_FRAMES:60])
    np.testing.assert_array_equal(ring.made_one(joined), joined)


def test_both_takes_start_from_the_same_noise() -> None:
    ring, drawn = ring_of(60), noise(92)
    tied = ring.tied(drawn)
    np.testing.assert_array_equal(tied[..., :60], drawn[..., :60])
    np.testing.assert_array_equal(tied[..., 60:], drawn[..., :OVERLAP_FRAMES])


def test_the_ring_goes_on_at_both_sides() -> None:
    latents = noise(60)
    around = ring_of(60).unrolled(latents)
    np.testing.assert_array_equal(around, np.take(latents, np.arange(-16, 76) % 60, axis=-1))


def test_sound_that_repeats_is_closed_to_itself() -> None:
    frames = 3 * RATE
    start = round(seconds_of(CONTEXT_FRAMES) * RATE)
    times = np.arange(-start, frames + start)
    sound = np.sin(2 * np.pi * 100 * times / frames)[np.newaxis].astype(np.float32)
    np.testing.assert_allclose(
        closed(sound, RATE, start, frames), sound[:, start : start + frames], atol=1e-6
    )


def test_the_end_passes_into_what_came_before_the_beginning() -> None:
    frames, start = RATE, round(seconds_of(CONTEXT_FRAMES) * RATE)
    sound = np.zeros((2, frames + 2 * start), np.float32)
    sound[:, :start] = 1.0
    track = closed(sound, RATE, start, frames)
    ramp = round(RAMP_SEC * RATE)
    assert track.shape == (2, frames)
    assert not track[:, : frames - ramp].any()
    assert (np.diff(track[0, frames - ramp :]) > 0).all()
    assert track[0, -1] == pytest.approx(ramp / (ramp + 1))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bundled_models_loop_has_no_seam(seed: int) -> None:
    backend = demo_backend(Settings())
    track = made(backend, wanted(seed=seed, inference_steps=8))
    own = second_difference(track.samples)
    assert wrap(track.samples) < np.quantile(own, 0.999)
    # nothing fades
    around = np.hstack([track.samples[:, -RATE // 2 :], track.samples[:, : RATE // 2]])
    assert np.sqrt(np.square(around).mean()) > 0.3 * np.sqrt(np.square(track.samples).mean())


def test_what_is_kept_of_it_leads_into_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of the diffusion leaves both takes of the beginning alike."""
    seen: list[np.ndarray] = []

    def watched(ring: Ring, latents: np.ndarray) -> np.ndarray:
        seen.append(step(ring, latents))
        return seen[-1]

    step = Ring.made_one
    monkeypatch.setattr(Ring, "made_one", watched)
    clip = made(demo_backend(Settings()), wanted(inference_steps=2))
    assert clip.material is not None
    last, kept = seen[-1], clip.material["latents"]
    frames = kept.shape[-1]
    assert last.shape[-1] == frames + OVERLAP_FRAMES
    np.testing.assert_array_equal(last[..., :OVERLAP_FRAMES], last[..., frames:])
    np.testing.assert_array_equal(last[..., :frames].astype(np.float16), kept)


def test_it_is_whole_bars_long_to_the_sample() -> None:
    backend = demo_backend(Settings())
    request = backend.resolve(wanted())
    score = decode(compose_score(request).ids[0].tolist())
    bars = request.duration_sec * LATENT_RATE / score.bar_frames
    assert bars == pytest.approx(round(bars), abs=1e-9)
    assert backend.resolve(request) == request
    clip = made(backend, request)
    assert clip.samples.shape[1] == round(request.duration_sec * RATE)
    assert clip.material is not None
    assert clip.material["latents"].shape[-1] == frames_for(request.duration_sec)


def test_its_score_neither_begins_nor_ends_and_begins_again() -> None:
    request = demo_backend(Settings()).resolve(wanted(seconds=60.0))
    score = decode(compose_score(request).ids[0].tolist())
    assert {bar.section for bar in score.bars}.isdisjoint({"intro", "outro", "ending"})
    bars = frames_for(request.duration_sec) // score.bar_frames
    further = score.bars[bars:]
    assert further == score.bars[: len(further)]
    assert len(further) * score.bar_frames >= OVERLAP_FRAMES


@pytest.mark.parametrize(
    ("sounding", "bars"), [(0.4, 2), (2.9, 2), (3.1, 4), (6.9, 6), (15.9, 16), (21.0, 20), (23, 24)]
)
def test_a_loop_is_of_whole_progressions_or_halves(sounding: float, bars: int) -> None:
    assert loop_bars(sounding) == bars


@pytest.mark.parametrize("seconds", [5.0, 240.0])
@pytest.mark.parametrize("seed", range(6))
def test_its_length_stays_in_the_models_range(seconds: float, seed: int) -> None:
    assert (
        5.0 <= demo_backend(Settings()).resolve(wanted("slow", seconds, seed)).duration_sec <= 240
    )


def test_a_length_out_of_range_is_refused_as_ever() -> None:
    with pytest.raises(InvalidDuration):
        demo_backend(Settings()).resolve(wanted(seconds=300.0))


def test_what_does_not_loop_is_what_it_was() -> None:
    backend = demo_backend(Settings())
    plain = backend.resolve(wanted(loop=None))
    assert backend.resolve(wanted(loop=False)) == plain
    assert "loop" not in plain.options.given
    assert backend.resolve(wanted()).options.given["loop"] is True


def test_only_what_begins_with_nothing_can_loop(tmp_path) -> None:
    source = Source(tmp_path / "a.wav", "0" * 64, 20.0, "a" * 16, "demo", "1")
    request = GenerationRequest(
        "rain", 30.0, 1, DiffusionOptions(loop=True), task=Task("extend", source, (20.0, 30.0))
    )
    with pytest.raises(InvalidParams, match="begins with nothing"):
        demo_backend(Settings()).resolve(request)


@pytest.mark.parametrize("scheduler", ["euler", "pingpong"])
def test_ace_steps_loop_is_whole_frames_long_and_closes(scheduler: str) -> None:
    backend = ace_step_backend(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(tiny_bundle())}))
    request = backend.resolve(wanted(seconds=6.0, inference_steps=2, scheduler=scheduler))
    assert request.duration_sec == pytest.approx(6.0, abs=0.1)
    track = made(backend, request)
    assert track.samples.shape[1] == round(request.duration_sec * RATE)
    assert wrap(track.samples) < second_difference(track.samples).max()
