"""What of a source has to be read, and where it lies in the new track."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.ace_step_15.bundle import AUDIO_TOKENS, ENCODER, AudioFacts, Manifest
from lofi_daemon.backends.ace_step_15.editing import Cover, Repaint, ramp_sec, repaint_of
from lofi_daemon.backends.ace_step_15.options import AceStep15Options
from lofi_daemon.backends.ace_step_15.requests import (
    expected_seconds,
    iterations_of,
    piece_of,
    skipped_steps,
)
from lofi_daemon.backends.ace_step_15.schedule import noise_levels
from lofi_daemon.backends.ace_step_15.source import graphs_needed, kept_latents, laid_out
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.backends.tasks import Source, Task
from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import parse
from lofi_daemon.sound.material import material_bytes

AUDIO = AudioFacts(channels=8)
TURBO = Manifest(model_version="1.5-turbo-int8", precision="int8", audio=AUDIO)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A track of six seconds with its latents beside it."""
    material = tmp_path / "material.npz"
    latents = np.arange(150 * 8, dtype=np.float16).reshape(1, 150, 8)
    material.write_bytes(material_bytes({"latents": latents}))
    return Source(
        tmp_path / "no.wav", "0" * 64, 6.0, "0" * 16, "ace_step_15", "1.5-turbo-int8", material
    )


def cover(source: Source, strength: float) -> Task:
    return Task("from_audio", source, None, strength)


def test_what_was_kept_is_not_read_again(source: Source) -> None:
    repaint = Task("repaint", source, (1.0, 2.0), 0.5)
    assert graphs_needed(repaint, 8) == ()
    others = [{"material": None}, {"backend": "demo"}]
    for change in others:
        elsewhere = replace(repaint, source=replace(source, **change))
        assert graphs_needed(elsewhere, 8) == (ENCODER,)
    assert graphs_needed(repaint, 64) == (ENCODER,)


def test_a_cover_needs_tokens_between_the_source_and_a_new_track(source: Source) -> None:
    foreign = replace(source, material=None, backend=None)
    assert graphs_needed(cover(source, 0.4), 8) == (AUDIO_TOKENS,)
    assert graphs_needed(cover(foreign, 0.4), 8) == (ENCODER, AUDIO_TOKENS)
    for strength in (0.0, 1.0):
        assert graphs_needed(cover(foreign, strength), 8) == ()


@pytest.mark.parametrize("array", [np.zeros((1, 8, 16, 4)), np.zeros((2, 150, 8)), None])
def test_another_models_material_is_no_latents(source: Source, array: np.ndarray | None) -> None:
    assert source.material is not None
    named = {"tokens": np.zeros(3)} if array is None else {"latents": array}
    source.material.write_bytes(material_bytes(named))
    assert kept_latents(cover(source, 0.5), 8) is None


def test_a_source_lies_where_its_sound_will(source: Source) -> None:
    silence = np.full((1, 250, 8), -1.0, dtype=np.float32)
    before = Task("extend", source, (-4.0, 0.1), 0.5)
    kept = kept_latents(before, 8)
    assert kept is not None
    laid = laid_out(kept, before, silence, AUDIO)
    np.testing.assert_array_equal(laid[:, 100:], kept)
    assert (laid[:, :100] == -1.0).all()
    after = Task("extend", source, (5.9, 8.0), 0.5)
    laid = laid_out(kept, after, silence[:, :200], AUDIO)
    np.testing.assert_array_equal(laid[:, :150], kept)
    assert (laid[:, 150:] == -1.0).all()
    # A track that was made longer than it is and cut.
    laid = laid_out(kept, cover(source, 0.5), silence[:, :140], AUDIO)
    np.testing.assert_array_equal(laid, kept[:, :140])


@pytest.mark.parametrize(
    ("span", "frames", "made"),
    [
        ((1.0, 2.0), 150, (25, 50)),
        ((1.01, 1.02), 150, (25, 26)),
        ((1.03, 1.09), 150, (25, 27)),
        ((0.0, 6.0), 150, (0, 150)),
        ((5.9, 8.0), 200, (147, 200)),
        ((-4.0, 0.05), 250, (0, 101)),
    ],
)
def test_the_frames_that_are_made(
    source: Source, span: tuple[float, float], frames: int, made: tuple[int, int]
) -> None:
    task = Task("repaint" if span[0] >= 0 and span[1] <= 6 else "extend", source, span, 0.5)
    repaint = repaint_of(task, np.zeros((1, frames, 8), np.float32), AUDIO, explicit=False)
    assert (repaint.start, repaint.stop) == made


@pytest.mark.parametrize(
    ("strength", "held"), [(0.0, (1.0, 25, 0.05)), (0.5, (0.5, 12, 0.025)), (1.0, (0.0, 0, 0.0))]
)
def test_strength_is_how_little_is_held_on_to(
    source: Source, strength: float, held: tuple[float, int, float]
) -> None:
    """The original's three modes are three of these strengths."""
    task = Task("repaint", source, (1.0, 2.0), strength)
    repaint = repaint_of(task, np.zeros((1, 150, 8), np.float32), AUDIO, explicit=False)
    assert (repaint.injection, repaint.crossfade, ramp_sec(task)) == held


def test_the_latents_outside_lead_over_and_stay() -> None:
    source, made = (np.full((1, 20, 2), value, np.float32) for value in (1.0, 3.0))
    blended = Repaint(source, 8, 12, 0.5, 3).finished(made)[0, :, 0]
    np.testing.assert_allclose(blended[:13], [1, 1, 1, 1, 1, 1.5, 2, 2.5, 3, 3, 3, 3, 2.5])
    np.testing.assert_allclose(blended[15:], 1.0)
    # At an end of the track there is less room: the ramp is as long as that.
    at_an_end = Repaint(source, 1, 20, 0.5, 3).finished(made)[0, :, 0]
    np.testing.assert_allclose(at_an_end[:2], [2.0, 3.0])


def test_the_model_is_told_what_is_made_or_nothing() -> None:
    source, silence = np.ones((1, 5, 2), np.float32), np.zeros((1, 5, 2), np.float32)
    for explicit, mask in ((False, [1, 1, 1, 1, 1]), (True, [0, 1, 1, 0, 0])):
        context = Repaint(source, 1, 3, 0.5, 0, explicit).context(silence)
        assert context[0, :, 0].tolist() == [1, 0, 0, 1, 1]
        assert context[0, :, 2].tolist() == mask


def test_a_cover_begins_at_the_nearest_level_and_leaves_its_outline() -> None:
    source, noise = np.ones((1, 4, 2), np.float32), np.zeros((1, 4, 2), np.float32)
    levels = noise_levels(8, 3.0)
    course = Cover(source, source, likeness=0.4, closeness=0.4).course(noise, levels)
    assert course.first_step == 5
    assert course.source_steps == 1
    np.testing.assert_allclose(course.start, 1.0 - levels[5], atol=1e-6)
    whole = Cover(source, source, likeness=1.0).course(noise, levels)
    assert (whole.first_step, whole.source_steps) == (0, 8)
    assert whole.start is noise


def test_what_is_skipped_costs_nothing(source: Source) -> None:
    def piece(strength: float) -> object:
        request = GenerationRequest("lofi", 6.0, 1, task=cover(source, strength))
        return piece_of(request, TURBO)

    walked = [iterations_of(piece(each), TURBO) for each in (0.0, 0.3, 0.5, 0.75, 1.0)]
    assert walked == [0, 1, 2, 4, 8]
    assert skipped_steps(piece(0.5)) == 6
    reading = expected_seconds(piece(0.5), TURBO, reads_sound=True)
    kept = expected_seconds(piece(0.5), TURBO)
    assert reading[Phase.ENCODING] > kept[Phase.ENCODING]
    assert reading[Phase.DIFFUSING] == kept[Phase.DIFFUSING]


def test_a_mask_is_for_what_is_made_anew(source: Source) -> None:
    options = parse(AceStep15Options, {"repaint_mask": "explicit"})
    for task in (None, cover(source, 0.5)):
        with pytest.raises(InvalidParams, match="repaint_mask"):
            piece_of(GenerationRequest("lofi", 6.0, 1, options, task=task), TURBO)
    repaint = Task("repaint", source, (1.0, 2.0), 0.5)
    assert piece_of(GenerationRequest("lofi", 6.0, 1, options, task=repaint), TURBO).explicit_mask
