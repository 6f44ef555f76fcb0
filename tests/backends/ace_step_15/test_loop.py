"""Tracks of ACE-Step 1.5 that end where they begin, with the tiny checkpoint (its music: noise)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.ace_step_15.bundle import AudioFacts
from lofi_daemon.backends.ace_step_15.loop import Loop, ring_of, whole_sec
from lofi_daemon.backends.ace_step_15.schedule import noise_levels
from lofi_daemon.backends.kit.ring import Ring
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidDuration, InvalidParams
from lofi_daemon.tracks import Track
from tests.studio import RATE, Studio

GIVEN = {"prompt": "rhodes with drums", "seed": 3, "backend": "ace_step_15", "loop": True}
AUDIO = AudioFacts(channels=8)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, pristine_checkpoint: Path) -> Studio:
    folder = tmp_path_factory.mktemp("ace-step-15")
    model = shutil.copytree(pristine_checkpoint, folder / "model")
    variables = {
        "LOFI_ACE_STEP_15_MODEL_PATH": str(model),
        "LOFI_ACE_STEP_15_VARIANT": "fp32",
        "LOFI_THREADS": "2",
    }
    return Studio(folder / "tracks", Registry(load_settings(variables)), "ace_step_15")


@pytest.fixture(scope="module")
def loop(studio: Studio) -> Track:
    return studio.made(**GIVEN, duration_sec=6.51)


def wrap(sound: np.ndarray) -> float:
    """The largest second difference of those that reach over the seam."""
    return float(np.abs(np.diff(np.hstack([sound[:, -2:], sound[:, :2]]), 2, axis=1)).max())


def test_it_leads_into_itself_and_is_whole_frames_long(studio: Studio, loop: Track) -> None:
    assert (loop.duration_sec, loop.loops) == (pytest.approx(6.52), True)
    sound = studio.sound(loop)
    assert sound.shape[1] == 163 * 1920
    inner = np.abs(np.diff(sound[:, 2:-2], 2, axis=1)).max(axis=0)
    assert wrap(sound) <= np.quantile(inner, 0.999)
    # nothing fades
    ends = np.hstack([sound[:, -RATE // 4 :], sound[:, : RATE // 4]])
    assert np.sqrt(np.mean(ends**2)) > 0.3 * np.sqrt(np.mean(sound**2))
    assert studio.latents(loop).shape == (1, 163, 8)


def test_a_track_that_is_no_loop_has_a_seam(studio: Studio, loop: Track) -> None:
    plain = studio.made(**{**GIVEN, "loop": None}, duration_sec=6.52)
    assert plain.track_id != loop.track_id
    before, after = (np.hstack([each[:, -960:], each[:, :960]]) for each in
                     (studio.sound(plain), studio.sound(loop)))  # fmt: skip
    # a track fades at its end; a loop goes on
    assert np.mean(before[:, :960] ** 2) < 0.5 * np.mean(after[:, :960] ** 2)


@pytest.mark.parametrize("scheduler", ["euler", "heun", "pingpong"])
def test_same_request_same_bytes_with_every_solver(studio: Studio, scheduler: str) -> None:
    given = {**GIVEN, "scheduler": scheduler, "duration_sec": 5.2}
    first = studio.made(**given)
    content = studio.tracks.path(first).read_bytes()
    again = studio.made(**given)
    assert again.track_id == first.track_id
    assert studio.tracks.path(again).read_bytes() == content


def test_both_takes_of_its_beginning_are_one_after_every_step() -> None:
    loop = Loop(ring_of(6.0, AUDIO))
    assert loop.ring == Ring(150, 75, 13)
    noise = np.random.default_rng(0).standard_normal((1, 225, 8)).astype(np.float32)
    course = loop.course(noise, noise_levels(8, 3.0))
    np.testing.assert_array_equal(course.start[:, 150:], course.start[:, :75])
    after = course.after_step(noise, 7, np.float32(0.0))
    np.testing.assert_array_equal(after[:, 150:], after[:, :75])
    np.testing.assert_allclose(after[:, 0], noise[:, 150], atol=1e-6)
    np.testing.assert_array_equal(after[:, 75:150], noise[:, 75:150])
    around = loop.unrolled(loop.finished(after))
    np.testing.assert_array_equal(around[:, :13], after[:, 137:150])
    np.testing.assert_array_equal(around[:, -13:], after[:, :13])


@pytest.mark.parametrize(("asked", "made"), [(5.0, 5.12), (6.51, 6.52), (600.0, 600.0)])
def test_its_length_is_whole_frames_and_what_the_model_makes(asked: float, made: float) -> None:
    assert whole_sec(asked, AUDIO) == pytest.approx(made)


def test_what_begins_with_other_music_is_no_loop(studio: Studio, loop: Track) -> None:
    for task in ({"task": "extend"}, {"task": "from_audio"}, {"task": "flow"}):
        with pytest.raises(InvalidParams, match="begins with nothing"):
            studio.asked(**task, source=loop.track_id, loop=True, backend="ace_step_15")
    with pytest.raises(InvalidDuration):
        studio.asked(**GIVEN, duration_sec=700)
    longer = studio.asked(task="extend", source=loop.track_id).recipe.request
    assert "loop" not in longer.options.given


def test_what_does_not_loop_is_what_it_was(studio: Studio) -> None:
    plain = studio.asked(**{**GIVEN, "loop": None}, duration_sec=6).recipe.request
    assert "loop" not in plain.options.given
    assert studio.asked(**{**GIVEN, "loop": False}, duration_sec=6).recipe.request == plain
