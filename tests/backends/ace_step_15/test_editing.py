"""ACE-Step 1.5 goes on from tracks and from sounds: longer, a part anew, something like it.

With the tiny checkpoint, whose music is noise; what is held here does not depend on its beauty.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends.ace_step_15.bundle import AUDIO_TOKENS, ENCODER
from lofi_daemon.backends.protocol import GenerationRequest, Phase, PhaseProgress
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidDuration, ModelNotFound
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import Track
from tests.studio import RATE, Studio, assert_no_seam, likeness_db

GIVEN = {"prompt": "rhodes with drums", "seed": 3, "backend": "ace_step_15"}
SECONDS = 6
# Of the usual strength: new music and its source pass into each other for so long.
RAMP = round(0.025 * RATE)


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
def source(studio: Studio) -> Track:
    return studio.made(**GIVEN, duration_sec=SECONDS)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file of one channel and another rate: a falling tone and a beat."""
    path = tmp_path_factory.mktemp("sounds") / "mine.flac"
    time = np.arange(SECONDS * 44100) / 44100
    tone = 0.3 * np.sin(2 * np.pi * (220 - 10 * time) * time)
    soundfile.write(path, tone * (1 + np.sin(2 * np.pi * 2 * time)) / 2, 44100)
    return path


def folder_of(studio: Studio) -> Path:
    files = studio.registry.get("ace_step_15").info.files
    assert files is not None
    return files.running_folder()


def test_what_a_track_was_made_of_lies_beside_it(studio: Studio, source: Track) -> None:
    path = studio.tracks.material(source)
    assert path is not None
    latents = read_material(path)["latents"]
    assert (latents.dtype, latents.shape) == (np.float16, (1, 25 * SECONDS, 8))
    assert source.material_bytes == path.stat().st_size
    other = studio.made(**{**GIVEN, "seed": 4}, duration_sec=5)
    beside = studio.tracks.material(other)
    assert beside is not None
    studio.tracks.delete([other.track_id])
    assert not beside.exists()


def test_its_own_track_is_decoded_from_what_was_kept(studio: Studio, source: Track) -> None:
    """Half precision of the latents is not heard."""
    backend = studio.registry.get("ace_step_15")
    pipeline = backend._pipeline  # type: ignore[attr-defined]
    samples = pipeline.decode(
        studio.latents(source), SECONDS * RATE, lambda progress: None, CancelToken()
    )
    kept = samples * (np.abs(studio.sound(source)).max() / np.abs(samples).max())
    whole = slice(0, (SECONDS - 1) * RATE)
    assert likeness_db(studio.sound(source)[:, whole], kept[:, whole]) > 50


@pytest.mark.parametrize("seed", [9, 10])
def test_a_part_anew_leaves_the_rest_as_it_was(studio: Studio, source: Track, seed: int) -> None:
    given = {"task": "repaint", "source": source.track_id, "span": [2, 4], "seed": seed}
    anew = studio.made(**given, prompt="flute")
    before, after = studio.sound(source), studio.sound(anew)
    assert after.shape == before.shape
    start, stop = 2 * RATE - RAMP, 4 * RATE + RAMP
    assert likeness_db(before[:, :start], after[:, :start]) > 60
    assert likeness_db(before[:, stop:], after[:, stop:]) > 60
    assert likeness_db(before[:, 2 * RATE : 4 * RATE], after[:, 2 * RATE : 4 * RATE]) < 10
    assert_no_seam(after, 2 * RATE, RAMP)
    assert_no_seam(after, 4 * RATE + RAMP, RAMP)
    content = studio.tracks.path(anew).read_bytes()
    again = studio.made(**given, prompt="flute")
    assert again.track_id == anew.track_id
    assert studio.tracks.path(again).read_bytes() == content
    assert (anew.parent, anew.strength, anew.span) == (source.track_id, 0.5, (2.0, 4.0))


def test_latents_outside_a_part_anew_stay_too(studio: Studio, source: Track) -> None:
    anew = studio.made(task="repaint", source=source.track_id, span=[2, 4], seed=9)
    before, after = studio.latents(source), studio.latents(anew)
    np.testing.assert_array_equal(before[:, : 50 - 12], after[:, : 50 - 12])
    np.testing.assert_array_equal(before[:, 100 + 12 :], after[:, 100 + 12 :])
    assert np.abs(before - after)[:, 50:100].mean() > 0.1


def test_every_word_of_it_counts(studio: Studio, source: Track) -> None:
    given = {"task": "repaint", "source": source.track_id, "span": [2, 4], "seed": 9}
    changes: list[dict[str, Any]] = [
        {},
        {"prompt": "snow"},
        {"seed": 8},
        {"span": [2, 4.5]},
        {"strength": 0.2},
        {"repaint_mask": "explicit"},
    ]
    made = [studio.made(**{**given, **change}) for change in changes]
    assert len({each.track_id for each in made}) == len(changes)
    assert len({studio.tracks.path(each).read_bytes() for each in made}) == len(changes)


def test_the_usual_strength_is_the_same_track_said_or_not(studio: Studio, source: Track) -> None:
    given = {"task": "repaint", "source": source.track_id, "span": [2, 4], "seed": 9}
    ids = [studio.asked(**given, **more).recipe.track_id for more in ({}, {"strength": 0.5})]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_an_extension_is_its_parent_up_to_the_join_and_goes_on_without_a_seam(
    studio: Studio, source: Track, strength: float
) -> None:
    given = {"task": "extend", "source": source.track_id, "span": [SECONDS, SECONDS + 3]}
    longer = studio.made(**given, seed=1, strength=strength)
    assert longer.duration_sec == SECONDS + 3
    assert longer.span is not None
    join, ramp = round(longer.span[0] * RATE), round(0.05 * (1 - strength) * RATE)
    assert 0 < SECONDS * RATE - join < 0.2 * RATE
    before, after = studio.sound(source), studio.sound(longer)
    assert likeness_db(before[:, : join - ramp], after[:, : join - ramp]) > 60
    assert_no_seam(after, join, ramp)
    new, old = (np.sqrt(np.mean(part**2)) for part in (after[:, join:], before[:, :join]))
    assert 0.25 < new / old < 4


def test_an_extension_can_be_extended_at_both_ends(studio: Studio, source: Track) -> None:
    longer = studio.made(task="extend", source=source.track_id, span=[SECONDS, SECONDS + 2], seed=1)
    longest = studio.made(task="extend", source=longer.track_id, span=[-2.5, 0], seed=1)
    assert longest.span is not None
    # Whole frames of a twenty-fifth of a second.
    offset = round(-longest.span[0] * RATE)
    assert offset % 1920 == 0
    before, after = studio.sound(longer), studio.sound(longest)
    first = round(longest.span[1] * RATE) + RAMP
    kept = after[:, offset + first : offset + before.shape[1]]
    assert likeness_db(before[:, first : first + kept.shape[1]], kept) > 60
    assert_no_seam(after, offset + first, RAMP)
    assert longest.parent == longer.track_id


def test_a_flow_begins_with_the_next_sample_of_its_source_alone(
    studio: Studio, source: Track
) -> None:
    given = {"task": "flow", "source": source.track_id, "duration_sec": 5, "prompt": "rain"}
    flow = studio.made(**given, seed=1)
    assert (flow.duration_sec, flow.strength, flow.task) == (5.0, 0.5, "flow")
    assert flow.span is not None
    left = round(flow.span[0] * RATE)
    assert left % 1920 == 0
    assert studio.latents(flow).shape[1] == 125
    before, after = studio.sound(source), studio.sound(flow)
    assert after.shape[1] == 5 * RATE
    assert np.abs(after[:, 0] - before[:, left]).max() < 0.02 * np.abs(before).max()
    assert_no_seam(np.concatenate([before[:, :left], after], axis=1), left + 480, 480)
    content = studio.tracks.path(flow).read_bytes()
    assert studio.tracks.path(studio.made(**given, seed=1)).read_bytes() == content
    on = studio.made(**{**given, "source": flow.track_id}, seed=2)
    assert on.parent == flow.track_id
    request = studio.asked(**given, seed=1).recipe.request
    assert request.made_sec == pytest.approx(5.0 + min(10.0, flow.span[0]))


def test_a_flow_is_told_the_tempo_and_the_key_of_its_source(studio: Studio) -> None:
    first = studio.made(**{**GIVEN, "prompt": "rhodes, 82 bpm, A minor"}, duration_sec=SECONDS)
    flow = studio.asked(
        task="flow", source=first.track_id, prompt="flute, 120 bpm", duration_sec=5
    ).recipe.request
    told = flow.options.given
    assert (told["bpm"], told["key"].lower()) == (82, "a minor")


def test_any_sound_flows_on(studio: Studio, foreign: Path) -> None:
    given = {"source": str(foreign), "prompt": "rain", "backend": "ace_step_15", "seed": 5}
    flow = studio.made(task="flow", duration_sec=5, **given)
    assert (flow.duration_sec, flow.source, flow.parent) == (5.0, str(foreign), None)


def test_any_sound_can_be_gone_on_from(studio: Studio, foreign: Path) -> None:
    given = {"source": str(foreign), "prompt": "rain", "backend": "ace_step_15", "seed": 5}
    anew = studio.made(task="repaint", span=[2, 4], **given)
    sound, rate = soundfile.read(foreign)
    assert rate != RATE
    import soxr

    before = np.tile(soxr.resample(sound, rate, RATE, "VHQ"), (2, 1))
    after = studio.sound(anew)
    start, stop = 2 * RATE - RAMP, 4 * RATE + RAMP
    assert likeness_db(before[:, 1000:start], after[:, 1000:start]) > 60
    assert likeness_db(before[:, stop:-1000], after[:, stop:-1000]) > 60
    assert likeness_db(before[:, 2 * RATE : 4 * RATE], after[:, 2 * RATE : 4 * RATE]) < 10
    assert (anew.parent, anew.source) == (None, str(foreign))
    longer = studio.made(task="extend", span=[SECONDS, SECONDS + 2], **given)
    assert longer.duration_sec == SECONDS + 2


def test_strength_goes_from_the_source_to_a_new_track(studio: Studio, foreign: Path) -> None:
    given = {"prompt": "rain", "backend": "ace_step_15", "seed": 5}

    def like(strength: float) -> Track:
        return studio.made(task="from_audio", source=str(foreign), strength=strength, **given)

    sound = studio.sound(like(0.0))
    original = soundfile.read(foreign)[0]
    import soxr

    assert likeness_db(np.tile(soxr.resample(original, 44100, RATE, "VHQ"), (2, 1)), sound) > 60
    fresh = studio.sound(studio.made(**given, duration_sec=SECONDS))
    np.testing.assert_array_equal(studio.sound(like(1.0)), fresh)
    latents = [studio.latents(like(each)) for each in (0.3, 0.5, 0.75, 1.0)]
    far = [float(np.abs(each - latents[-1]).mean()) for each in latents]
    assert far == sorted(far, reverse=True)
    assert far[2] > 0.01


def test_a_track_is_like_another(studio: Studio, source: Track) -> None:
    given = {"task": "from_audio", "source": source.track_id, "backend": "ace_step_15", "seed": 5}
    like = studio.made(**given, strength=0.3)
    assert (like.duration_sec, like.parent) == (source.duration_sec, source.track_id)
    far = [np.abs(studio.latents(studio.made(**given, strength=each)) - studio.latents(source)) for
           each in (0.0, 0.3, 0.9)]  # fmt: skip
    assert far[0].max() == 0.0
    assert far[1].mean() < far[2].mean()


def test_sound_that_has_to_be_read_is_work_that_is_told(
    studio: Studio, source: Track, foreign: Path
) -> None:
    given = {"prompt": "rain", "backend": "ace_step_15", "seed": 5, "task": "from_audio"}
    kept = studio.asked(**given, source=source.track_id).recipe.request
    heard = studio.asked(**given, source=str(foreign)).recipe.request
    backend = studio.registry.get("ace_step_15")
    assert backend.workload(heard)[Phase.ENCODING] > backend.workload(kept)[Phase.ENCODING]
    needs = [backend.needs(each)[Phase.ENCODING].model for each in (kept, heard)]
    assert needs[0] < needs[1]
    for request in (kept, heard):
        seen: list[PhaseProgress] = []
        backend.generate(request, on_progress=seen.append, cancel=CancelToken())
        fractions = [each.fraction for each in seen if each.phase is Phase.ENCODING]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        assert [each.done for each in seen if each.phase is Phase.DIFFUSING] == [0, 1, 2]
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        backend.generate(heard, on_progress=lambda progress: cancel.cancel(), cancel=cancel)


@pytest.mark.parametrize(
    ("graph", "task"), [(ENCODER, {"task": "extend"}), (AUDIO_TOKENS, {"task": "from_audio"})]
)
def test_an_older_set_makes_music_of_words_and_says_what_reads_music(
    studio: Studio, foreign: Path, graph: str, task: dict[str, Any], tmp_path: Path
) -> None:
    folder = folder_of(studio)
    moved = [folder / f"{graph}.onnx", folder / f"{graph}.bin"]
    manifest = folder / "manifest.json"
    whole = manifest.read_text(encoding="utf-8")
    import json

    listed = json.loads(whole)
    for path in moved:
        shutil.move(path, tmp_path / path.name)
        del listed["files"][path.name]
    manifest.write_text(json.dumps(listed), encoding="utf-8")
    try:
        backend = studio.registry.get("ace_step_15")
        assert backend.availability().error is None
        studio.asked(**GIVEN, duration_sec=5)
        with pytest.raises(ModelNotFound, match=f"{graph}.onnx") as failure:
            studio.asked(**task, source=str(foreign), prompt="rain", backend="ace_step_15")
        assert f"Delete {folder}" in failure.value.hint
    finally:
        for path in moved:
            shutil.move(tmp_path / path.name, path)
        manifest.write_text(whole, encoding="utf-8")


def test_no_track_becomes_longer_than_the_model_makes_them(studio: Studio, source: Track) -> None:
    with pytest.raises(InvalidDuration):
        studio.asked(task="extend", source=source.track_id, span=[SECONDS, 601])


def test_a_variation_of_a_part_anew_is_near_it(studio: Studio, source: Track) -> None:
    anew = studio.made(task="repaint", source=source.track_id, span=[2, 4], seed=9)
    near = studio.asked(task="variation", source=anew.track_id, strength=0.1).recipe.request
    assert near.task is not None
    original: GenerationRequest = studio.asked(
        task="repaint", source=source.track_id, span=[2, 4], seed=9
    ).recipe.request
    assert near.task == original.task
    assert near.parent == anew.track_id
    assert replace(near, parent=None, options=original.options) == replace(original, parent=None)


def test_how_a_part_was_masked_is_that_tracks_own(studio: Studio, source: Track) -> None:
    given = {"source": source.track_id, "span": [2, 4], "seed": 9, "repaint_mask": "explicit"}
    anew = studio.made(task="repaint", **given)
    near = studio.asked(task="variation", source=anew.track_id, strength=0.1).recipe.request
    assert near.options.given["repaint_mask"] == "explicit"
    like = studio.asked(task="from_audio", source=anew.track_id, backend="ace_step_15")
    assert "repaint_mask" not in like.recipe.request.options.given
