"""Whole runs from noise to latents, and from text to waveform."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.ace_step_15.bundle import NULL_CONDITION, Defaults
from lofi_daemon.backends.ace_step_15.checkpoint import Checkpoint
from lofi_daemon.backends.ace_step_15.editing import Cover, Edit, Repaint
from lofi_daemon.backends.ace_step_15.encode import AudioTokens
from lofi_daemon.backends.ace_step_15.pipeline import PEAK, AceStep15Pipeline
from lofi_daemon.backends.ace_step_15.prompt import Facts, caption_text, lyric_text
from lofi_daemon.backends.ace_step_15.requests import Piece
from lofi_daemon.backends.kit.noise import mixed_noise
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.sound.clip import normalise_peak
from tests.parity.ace_step_15.conftest import SETTINGS
from tests.parity.ace_step_15.reference import REFERENCE, assert_same, pipeline_cases

Pipelines = dict[str, AceStep15Pipeline]

LOOPS = REFERENCE["loops"]
CONDITIONS = REFERENCE["condition"]
PIPELINE = REFERENCE["pipeline"]
CASES = pipeline_cases()
SOLVER_NAMES = {"ode": "euler", "sde": "pingpong", "heun": "heun", "apg": "euler"}
REPAINT_FORM = r"turbo\.repaint\.(\w+)\.(auto|explicit)(\.dcw)?"
COVER_FORM = (
    r"(turbo|base)\.cover\.(strength|noise)([\d.]*\d)(\.N\d+)?(\.shift\d+)?(\.g\d+)?(\.dcw)?"
)
# Injection ratio and frames of cross-fade of each way to repaint.
REPAINTS = {
    "balanced": (0.5, 12), "conservative": (1.0, 25), "aggressive": (0.0, 0), "small_fade": (0.5, 3)
}  # fmt: skip
FORM = r"(turbo|xl|base)\.(ode|sde|heun|apg|noguidance)(\.N\d+)?\.shift[\d.]+(\.g\d+)?(\.dcw)?"

PIECE = Piece(
    prompt="unused",
    duration_sec=1.0,
    seed=0,
    facts=Facts(),
    lyrics=None,
    language="unknown",
    inference_steps=8,
    scheduler="euler",
    shift=3.0,
    dcw=False,
    guidance_scale=1.0,
)


def piece_of(name: str) -> Piece:
    """The settings that a loop's name says."""
    parts = name.split(".")
    found = dict(re.findall(r"\.(N|g)(\d+)", name))
    shift = re.search(r"\.shift(\d+(?:\.\d+)?)", name)
    return replace(
        PIECE,
        scheduler=SOLVER_NAMES.get(parts[1], "euler"),
        inference_steps=int(found.get("N", 8)),
        guidance_scale=float(found.get("g", 1)),
        shift=3.0 if shift is None else float(shift[1]),
        dcw=name.endswith(".dcw"),
    )


def run(
    pipeline: AceStep15Pipeline,
    piece: Piece,
    rows: np.ndarray,
    noise: np.ndarray,
    edit: Edit | None = None,
    rows_alone: np.ndarray | None = None,
) -> np.ndarray:
    fresh = LOOPS["sde_noise"]
    return pipeline.diffuse(
        piece,
        rows,
        noise,
        ignore_progress,
        CancelToken(),
        fresh_noise=lambda step: fresh[step],
        edit=edit,
        rows_alone=rows_alone,
    )


@pytest.fixture
def base(sets: dict[str, Path], checkpoints: dict[str, Checkpoint]) -> AceStep15Pipeline:
    """The turbo weights in the base models' loop, as the reference has it."""
    np.save(sets["turbo"] / NULL_CONDITION, checkpoints["turbo"].tensor("null_condition_emb"))
    pipeline = AceStep15Pipeline(sets["turbo"], SETTINGS)
    pipeline.manifest = pipeline.manifest.model_copy(update={"is_turbo": False})
    return pipeline


PLAIN = [name for name in LOOPS if re.fullmatch(FORM, name)]


@pytest.mark.parametrize("name", PLAIN)
def test_loop(pipelines: Pipelines, base: AceStep15Pipeline, name: str) -> None:
    kind = name.split(".")[0]
    pipeline = base if kind == "base" else pipelines[kind]
    rows = CONDITIONS["xl.short.out" if kind == "xl" else "song.out"]
    assert_same(run(pipeline, piece_of(name), rows, LOOPS["noise"]), LOOPS[name])


def test_every_solver_and_kind_is_there() -> None:
    assert {"turbo.ode.shift3", "turbo.sde.shift3.dcw", "turbo.heun.shift3.dcw"} <= set(PLAIN)
    assert {"base.heun.N4.shift1.g7", "base.sde.N4.shift3.g7", "xl.ode.shift3.dcw"} <= set(PLAIN)
    assert len(PLAIN) > 15


@pytest.mark.parametrize("name", [name for name in LOOPS if re.fullmatch(REPAINT_FORM, name)])
def test_repaint(pipelines: Pipelines, name: str) -> None:
    way, mask, _ = re.fullmatch(REPAINT_FORM, name).groups()  # type: ignore[union-attr]
    injection, crossfade = REPAINTS[way]
    start, stop = (int(each) for each in LOOPS["repaint.window"])
    edit = Repaint(LOOPS["src"], start, stop, injection, crossfade, explicit=mask == "explicit")
    rows = CONDITIONS["song.out"]
    assert_same(run(pipelines["turbo"], piece_of(name), rows, LOOPS["noise"], edit), LOOPS[name])


@pytest.fixture
def rows_alone(pipelines: Pipelines) -> np.ndarray:
    """What a cover attends to once it has left its source: other words, the same lyrics."""
    encoder = pipelines["turbo"].encoder
    feeds = {
        "text_hidden_states": CONDITIONS["short.text"],
        "lyric_embeddings": CONDITIONS["song.lyric"],
        "timbre": encoder.timbre,
    }
    return encoder._condition.run(feeds, CancelToken())[0]


@pytest.mark.parametrize("name", [name for name in LOOPS if re.fullmatch(COVER_FORM, name)])
def test_cover(
    pipelines: Pipelines, base: AceStep15Pipeline, rows_alone: np.ndarray, name: str
) -> None:
    kind, what, amount, *_ = re.fullmatch(COVER_FORM, name).groups()  # type: ignore[union-attr]
    pipeline = base if kind == "base" else pipelines["turbo"]
    source = LOOPS["src"]
    tokens = AudioTokens(pipeline.folder, SETTINGS)
    outline = tokens.outline(source, pipeline.silence(source.shape[1]), CancelToken())
    edit = Cover(source, outline, likeness=1.0)
    if what == "noise":
        edit = replace(edit, closeness=float(amount))
    else:
        edit = replace(edit, likeness=float(amount))
    rows = CONDITIONS["song.out"]
    latents = run(pipeline, piece_of(name), rows, LOOPS["noise"], edit, rows_alone)
    assert_same(latents, LOOPS[name])


def test_a_cover_of_an_outline_that_is_given(pipelines: Pipelines) -> None:
    edit = Cover(LOOPS["src"], LOOPS["hints"], likeness=1.0)
    rows = CONDITIONS["song.out"]
    latents = run(pipelines["turbo"], PIECE, rows, LOOPS["noise"], edit)
    assert_same(latents, LOOPS["turbo.hints"])


def test_every_way_to_repaint_and_to_cover_is_there() -> None:
    repaints = {re.fullmatch(REPAINT_FORM, name) for name in LOOPS} - {None}
    assert {match[1] for match in repaints if match} == set(REPAINTS)
    covers = {"turbo.cover.strength0.5.dcw", "turbo.cover.noise0.4"}
    assert covers <= {name for name in LOOPS if re.fullmatch(COVER_FORM, name)}


def test_guidance_between_two_levels(base: AceStep15Pipeline) -> None:
    name = next(name for name in LOOPS if ".interval" in name)
    lowest, highest = name.split(".interval")[1].split("-")
    limits = {"guidance_from": float(lowest), "guidance_to": float(highest)}
    base.manifest = base.manifest.model_copy(
        update={"defaults": Defaults().model_copy(update=limits)}
    )
    rows = CONDITIONS["song.out"]
    assert_same(run(base, piece_of(name), rows, LOOPS["noise"]), LOOPS[name])


def test_variation_mixes_two_noises(pipelines: Pipelines) -> None:
    name = next(name for name in LOOPS if ".retake" in name and name.startswith("turbo"))
    noise = mixed_noise(LOOPS["noise"], LOOPS["retake_noise"], float(name.split(".retake")[1]))
    latents = run(
        pipelines["turbo"], piece_of(name.split(".retake")[0]), CONDITIONS["song.out"], noise
    )
    assert_same(latents, LOOPS[name])


def test_instrumental_under_another_condition(pipelines: Pipelines) -> None:
    latents = run(pipelines["turbo"], PIECE, CONDITIONS["one.out"], LOOPS["noise"])
    assert_same(latents, LOOPS["turbo.ode.shift3.instrumental_short"])


@pytest.mark.parametrize("name", ["vocal", "instrumental", "truncated", "xl", "base"])
def test_from_text_to_waveform(pipelines: Pipelines, base: AceStep15Pipeline, name: str) -> None:
    case, given = CASES[name], CASES[name]["kwargs"]
    pipeline = {"xl": pipelines["xl"], "base": base}.get(name, pipelines["turbo"])
    piece = replace(
        PIECE,
        prompt=given["prompt"],
        duration_sec=given["audio_duration"],
        facts=Facts(given.get("bpm"), given.get("keyscale"), given.get("timesignature")),
        lyrics=given.get("lyrics", ""),
        language=given.get("vocal_language", "en"),
        inference_steps=given.get("num_inference_steps", 8),
        shift=given.get("shift", 3.0),
        guidance_scale=given.get("guidance_scale", 1.0),
    )
    caption = caption_text(piece.prompt, piece.facts, piece.duration_sec)
    assert caption == case["text"][0]
    ids = pipeline.encoder.tokenize(caption, PIPELINE[f"{name}.text_ids"].shape[1])
    np.testing.assert_array_equal(ids, PIPELINE[f"{name}.text_ids"])
    lyrics = lyric_text(piece.lyrics_to_sing, piece.language)
    np.testing.assert_array_equal(
        pipeline.encoder.tokenize(lyrics, 2048), PIPELINE[f"{name}.lyric_ids"]
    )
    rows = pipeline.encode(piece, ignore_progress, CancelToken())
    assert_same(rows, PIPELINE[f"{name}.cond"])
    latents = run(pipeline, piece, rows, PIPELINE[f"{name}.noise"])
    assert_same(latents, PIPELINE[f"{name}.latents"])
    frames = latents.shape[1] * pipeline.manifest.audio.samples_per_frame
    samples = pipeline.decode(latents, frames, ignore_progress, CancelToken())
    assert float(np.abs(samples).max()) == pytest.approx(PIPELINE[f"{name}.raw_peak"][0], rel=1e-5)
    normalise_peak(samples, PEAK)
    assert_same(samples[:, :: stride(name)], waveform(name))


def waveform(name: str) -> np.ndarray:
    """What the reference has kept of a case's waveform."""
    return next(PIPELINE[key][0] for key in PIPELINE if key.startswith(f"{name}.wav"))


def stride(name: str) -> int:
    kept = next(key for key in PIPELINE if key.startswith(f"{name}.wav"))
    return int(kept.split("stride")[1]) if "stride" in kept else 1
