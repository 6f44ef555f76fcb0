"""The daemon's own pipeline against the numbers of the original: contexts, every loop, decoding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lofi_daemon.backends.kit.mel_diffusion.bundle import RelativeCost, WindowFacts
from lofi_daemon.backends.kit.mel_diffusion.context import absent_lyric, instrumental_lyric
from lofi_daemon.backends.kit.mel_diffusion.guidance import (
    Guidance,
    adaptive_projected,
    cfg_zero_star,
    classifier_free,
)
from lofi_daemon.backends.kit.mel_diffusion.pipeline import (
    AceStepPipeline,
    ErgSwitches,
)
from lofi_daemon.backends.kit.mel_diffusion.requests import Diffusion
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.schedule import flow_schedule
from lofi_daemon.backends.kit.mel_diffusion.text import TokenIds
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.cancellation import CancelToken
from scripts.export_onnx.weight_rule import draw
from tests.parity.reference_set import (
    CONTEXT_LIMIT,
    DECODE_LIMIT,
    GUIDANCE_LIMIT,
    LOOP_LIMIT,
    REFERENCE,
    TEXT_LIMIT,
    ReferenceSet,
    difference,
)

LOOPS: dict[str, dict[str, Any]] = REFERENCE.info["loops"]
LYRICS = {"inst": instrumental_lyric, "null": absent_lyric}
NEVER = CancelToken()


@pytest.fixture(scope="module")
def native(native_bundle: Path) -> AceStepPipeline:
    return AceStepPipeline(native_bundle)


@pytest.fixture(scope="module")
def published(published_bundle: Path) -> AceStepPipeline:
    return AceStepPipeline(published_bundle)


def ignore(share: float) -> None:
    pass


def prompt_tokens(reference: ReferenceSet) -> TokenIds:
    text = reference["umt5"]
    return TokenIds(text["one.input_ids"], text["one.attention_mask"])


def uses_erg(loop: dict[str, Any]) -> bool:
    return loop["erg_tag"] or loop["erg_lyric"] or loop["erg_diffusion"]


def run_loop(
    pipeline: AceStepPipeline, reference: ReferenceSet, loop: dict[str, Any]
) -> np.ndarray:
    arrays = reference["loops"]
    contexts = pipeline.contexts(
        prompt_tokens(reference),
        LYRICS[loop["lyric"]](),
        ErgSwitches(loop["erg_tag"], loop["erg_lyric"], loop["erg_diffusion"]),
        NEVER,
    )
    guidance = Guidance(
        loop["guidance"],
        loop["cfg_type"],
        loop["guidance_interval"],
        loop["guidance_interval_decay"],
    )
    return pipeline.diffuse(
        Diffusion(loop["N"], loop["scheduler"], guidance, erg=uses_erg(loop)),
        0,
        contexts,
        arrays["noise"],
        ignore_progress,
        NEVER,
        fresh_noise=lambda step: arrays["pingpong_noise"][step],
    )


@pytest.mark.parametrize("name", LOOPS)
def test_loop_in_native_form(native: AceStepPipeline, reference: ReferenceSet, name: str) -> None:
    latents = run_loop(native, reference, LOOPS[name])
    assert difference(latents, reference["loops"][name]) < LOOP_LIMIT


@pytest.mark.parametrize(
    "name", [name for name, loop in LOOPS.items() if not uses_erg(loop) and loop["N"] <= 10]
)
def test_loop_in_published_form(
    published: AceStepPipeline, reference: ReferenceSet, name: str
) -> None:
    latents = run_loop(published, reference, LOOPS[name])
    assert difference(latents, reference["loops"][name]) < LOOP_LIMIT


@pytest.mark.parametrize("name", LOOPS)
def test_guided_iterations_and_model_calls(name: str) -> None:
    loop = LOOPS[name]
    guidance = Guidance(loop["guidance"], interval=loop["guidance_interval"])
    calls = SOLVERS[loop["scheduler"]].calls_after(loop["N"], guidance)
    assert len(calls) == loop["iterations"]
    assert calls[-1] == loop["model_calls"]
    assert list(guidance.guided_iterations(loop["N"])) == loop["guided_iterations"]


def test_a_mistake_is_seen(native: AceStepPipeline, reference: ReferenceSet) -> None:
    """The limits are tight enough for the mildest mistake: the guidance scale off by 0.1 %."""
    name = "euler.apg.N10"
    latents = run_loop(native, reference, {**LOOPS[name], "guidance": 15.015})
    assert difference(latents, reference["loops"][name]) > LOOP_LIMIT


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10, 27, 60])
def test_schedules_to_one_ulp(reference: ReferenceSet, steps: int) -> None:
    schedule, arrays = flow_schedule(steps), reference["schedules"]
    twice = [0, *(k for k in range(1, steps) for _ in (0, 1))]
    for solver in ("euler", "pingpong"):
        prefix = f"{solver}.N{steps}"
        np.testing.assert_array_max_ulp(schedule.sigmas, arrays[f"{prefix}.sigmas"], 1)
        np.testing.assert_array_max_ulp(schedule.timesteps, arrays[f"{prefix}.timesteps"], 1)
    np.testing.assert_array_max_ulp(
        schedule.timesteps[twice], arrays[f"heun.N{steps}.timesteps"], 1
    )
    np.testing.assert_array_max_ulp(
        np.append(schedule.sigmas[twice], np.float32(0.0)), arrays[f"heun.N{steps}.sigmas"], 1
    )


def test_guidance_alone(reference: ReferenceSet) -> None:
    arrays = reference["apg"]
    momentum = None
    for call in ("call0", "call1", "call2"):
        conditional, unconditional = arrays[f"{call}.cond"], arrays[f"{call}.uncond"]
        guided, momentum = adaptive_projected(conditional, unconditional, 15.0, momentum)
        alone, _ = adaptive_projected(conditional, unconditional, 7.0, None)
        for actual, name in (
            (guided, "out_g15"),
            (momentum, "momentum_after"),
            (alone, "out_g7_no_momentum"),
            (classifier_free(conditional, unconditional, 15.0), "cfg_g15"),
            (cfg_zero_star(conditional, unconditional, 15.0), "cfg_star_g15"),
        ):
            assert difference(actual, arrays[f"{call}.{name}"]) < GUIDANCE_LIMIT, (call, name)


def test_text_states_plain_and_weakened(native: AceStepPipeline, reference: ReferenceSet) -> None:
    tokens, arrays = prompt_tokens(reference), reference["umt5"]
    plain = native.text_encoder.encode(tokens, NEVER)
    weak = native.text_encoder.encode(tokens, NEVER, query_scale=0.01)
    assert difference(plain.hidden, arrays["one.last_hidden_state"]) < TEXT_LIMIT
    assert difference(weak.hidden, arrays["one.last_hidden_state_erg_null"]) < TEXT_LIMIT


@pytest.mark.parametrize("lyric", ["inst", "null"])
def test_contexts(native: AceStepPipeline, reference: ReferenceSet, lyric: str) -> None:
    tokens, arrays = prompt_tokens(reference), reference["transformer"]
    plain = native.contexts(tokens, LYRICS[lyric](), ErgSwitches(), NEVER)
    weak = native.contexts(tokens, LYRICS[lyric](), ErgSwitches(True, True, True), NEVER)
    for context, name in (
        (plain.conditional, "cond"),
        (plain.unconditional, "null"),
        (weak.unconditional, "erg"),
    ):
        assert difference(context.hidden, arrays[f"encode.{lyric}.{name}"]) < CONTEXT_LIMIT, name
        np.testing.assert_array_equal(context.mask, arrays[f"encode.{lyric}.mask"])


# The published graph always decodes 128 frames, and its attention spans them all.
@pytest.mark.parametrize(
    ("form", "frames"), [("native", 5), ("native", 16), ("native", 128), ("published", 128)]
)
def test_mel(
    reference: ReferenceSet, request: pytest.FixtureRequest, form: str, frames: int
) -> None:
    pipeline: AceStepPipeline = request.getfixturevalue(form)
    arrays = reference["decode"]
    mel = pipeline.decoder.mel(arrays[f"T{frames}.latents"], ignore, NEVER)
    raw = ((mel + 11.0) / 14.0 - 0.5) / 0.5
    if frames == 128:
        raw = raw[..., arrays["T128.mel_frames"]]
    assert difference(raw[None], arrays[f"T{frames}.dcae_raw"]) < DECODE_LIMIT


def waveform(pipeline: AceStepPipeline, latents: np.ndarray) -> np.ndarray:
    mel = pipeline.decoder.mel(latents, ignore, NEVER)
    return np.concatenate(list(pipeline.decoder.waveform(mel, ignore, NEVER)), axis=1)


def test_waveform(native: AceStepPipeline, reference: ReferenceSet) -> None:
    arrays = reference["decode"]
    short = waveform(native, arrays["T5.latents"])
    assert difference(short, arrays["T5.wav"]) < DECODE_LIMIT
    assert np.abs(short - arrays["T5.wav"]).max() < 5e-6
    longer = waveform(native, arrays["T16.latents"])
    assert difference(longer[:, ::13], arrays["T16.wav_every13"]) < DECODE_LIMIT


def latents_of(reference: ReferenceSet, frames: int) -> np.ndarray:
    if frames == 800:
        return draw(reference.params["weight_seed"], "input/lat800", (1, 8, 16, 800))
    return reference["decode"][f"T{frames}.latents"]


@pytest.mark.parametrize("frames", [300, 800])
def test_windowed_decode_is_closer_to_the_full_one_than_the_original(
    native: AceStepPipeline,
    reference: ReferenceSet,
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    record_property: pytest.RecordProperty,
) -> None:
    arrays = reference["decode"]
    windowed = WindowFacts(window_frames=256, overlap_frames=64)
    manifest = native.manifest.model_copy(update={"dcae": windowed})
    monkeypatch.setattr(native.decoder, "_manifest", manifest)
    full = arrays[f"T{frames}.full_wav.stride499"]
    theirs = arrays[f"T{frames}.overlap_wav.stride499"]
    ours = waveform(native, latents_of(reference, frames))[:, ::499]
    shared = min(full.shape[1], theirs.shape[1])
    our_error, their_error = (
        float(np.sqrt(np.mean((each[:, :shared] - full[:, :shared]) ** 2)))
        for each in (ours, theirs)
    )
    print(f"T={frames}: rms error ours {our_error:.4f}, the original's windows {their_error:.4f}")
    record_property("rms_error", json.dumps([our_error, their_error]))
    assert our_error < 0.5 * their_error


def test_a_published_folder_is_recognised_by_probing(published: AceStepPipeline) -> None:
    assert published.manifest.form == "published"
    assert published.manifest.mel.inside is None
    assert not published.can_weaken


def test_the_export_measured_what_each_phase_costs(native: AceStepPipeline) -> None:
    cost = native.manifest.relative_cost
    assert cost != RelativeCost()
    assert 0 < cost.model_call < 1
    assert 0 < cost.encoding < cost.loading
    assert cost.dcae < cost.vocoder * 10
