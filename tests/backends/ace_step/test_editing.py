"""ACE-Step's first version goes on from tracks and from sounds.

With the tiny bundle, whose music is noise; what is held here does not depend on its beauty.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from lofi_daemon.backends.kit.mel_diffusion.bundle import encoder_file
from lofi_daemon.backends.kit.mel_diffusion.encode import raise_if_missing
from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidDuration, InvalidParams, ModelNotFound
from lofi_daemon.tracks import Track
from tests.studio import RATE, Studio, likeness_db
from tests.tiny_bundle import tiny_bundle

GIVEN = {"prompt": "rhodes with drums", "seed": 3, "backend": "ace_step"}
SECONDS = 6
RAMP = round(0.05 * RATE)
ENCODER = "dcae_encoder.onnx"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(tiny_bundle(), tmp_path_factory.mktemp("ace-step") / "model"))
    # As it is where the files were there before what reads sound, which was put beside them.
    manifest = folder / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    del listed["files"][ENCODER]
    manifest.write_text(json.dumps(listed), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Studio:
    variables = {
        "LOFI_ACE_STEP_MODEL_PATH": str(model),
        "LOFI_ACE_STEP_STEPS": "5",
        "LOFI_THREADS": "1",
    }
    registry = Registry(load_settings(variables))
    return Studio(tmp_path_factory.mktemp("tracks"), registry, "ace_step")


@pytest.fixture(scope="module")
def source(studio: Studio) -> Track:
    return studio.made(**GIVEN, duration_sec=SECONDS)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file of one channel and another rate: a falling tone and a beat."""
    path = tmp_path_factory.mktemp("sounds") / "mine.flac"
    time = np.arange(SECONDS * 22050) / 22050
    tone = 0.3 * np.sin(2 * np.pi * (220 - 10 * time) * time)
    soundfile.write(path, tone * (1 + np.sin(2 * np.pi * 2 * time)) / 2, 22050)
    return path


def heard(path: Path) -> np.ndarray:
    sound, rate = soundfile.read(path)
    return np.tile(soxr.resample(sound, rate, RATE, "VHQ"), (2, 1))


def test_a_part_of_any_sound_is_made_anew(studio: Studio, foreign: Path) -> None:
    given = {"source": str(foreign), "prompt": "rain", "backend": "ace_step", "seed": 5}
    anew = studio.made(task="repaint", span=[2, 4], **given)
    before, after = heard(foreign), studio.sound(anew)
    start, stop = 2 * RATE - RAMP, 4 * RATE + RAMP
    assert likeness_db(before[:, 1000:start], after[:, 1000:start]) > 60
    assert likeness_db(before[:, stop:-1000], after[:, stop:-1000]) > 60
    assert likeness_db(before[:, 2 * RATE : 4 * RATE], after[:, 2 * RATE : 4 * RATE]) < 10
    assert (anew.parent, anew.source, anew.strength) == (None, str(foreign), None)
    content = studio.tracks.path(anew).read_bytes()
    studio.tracks.delete([anew.track_id])
    again = studio.made(task="repaint", span=[2, 4], **given)
    assert (again.track_id, studio.tracks.path(again).read_bytes()) == (anew.track_id, content)


def test_any_sound_is_gone_on_from_at_both_ends(studio: Studio, foreign: Path) -> None:
    given = {"source": str(foreign), "prompt": "rain", "backend": "ace_step", "seed": 5}
    after = studio.made(task="extend", span=[SECONDS, SECONDS + 3], **given)
    sound = studio.sound(after)
    kept = (SECONDS - 1) * RATE
    assert likeness_db(heard(foreign)[:, 1000:kept], sound[:, 1000:kept]) > 60
    assert sound.shape[1] == (SECONDS + 3) * RATE
    before = studio.made(task="extend", span=[-3, 0], **given)
    assert before.span is not None
    offset = round(-before.span[0] * RATE)
    later = studio.sound(before)[:, offset + RATE : offset + 5 * RATE]
    assert likeness_db(heard(foreign)[:, RATE : 5 * RATE], later) > 60


def test_what_was_read_of_a_sound_is_at_the_place_of_the_sound(
    studio: Studio, foreign: Path
) -> None:
    """The latents of what was made before it do not move those of the sound."""
    given = {"source": str(foreign), "prompt": "rain", "backend": "ace_step", "seed": 5}
    before = studio.latents(studio.made(task="extend", span=[-3, 0], **given))
    after = studio.latents(studio.made(task="extend", span=[SECONDS, SECONDS + 3], **given))
    frames = round(3 * 44100 / 4096)
    np.testing.assert_array_equal(before[..., frames + 2 : frames + 50], after[..., 2:50])


def test_strength_goes_from_the_source_to_a_new_track(studio: Studio, foreign: Path) -> None:
    given = {"prompt": "rain", "backend": "ace_step", "seed": 5}

    def like(strength: float | None) -> Track:
        asked: dict[str, Any] = {} if strength is None else {"strength": strength}
        return studio.made(task="from_audio", source=str(foreign), **asked, **given)

    assert likeness_db(heard(foreign), studio.sound(like(0.0))) > 60
    fresh = studio.sound(studio.made(**given, duration_sec=SECONDS))
    np.testing.assert_array_equal(studio.sound(like(1.0)), fresh)
    assert like(None).track_id == like(0.5).track_id
    latents = [studio.latents(like(each)) for each in (0.25, 0.5, 0.75, 1.0)]
    far = [float(np.abs(each - latents[-1]).mean()) for each in latents]
    assert far == sorted(far, reverse=True)
    assert far[2] > 0.01


def test_a_part_anew_goes_as_far_as_its_strength(studio: Studio, source: Track) -> None:
    given = {"task": "repaint", "source": source.track_id, "span": [2, 4], "seed": 9}
    made = [studio.made(**given, strength=each) for each in (0.0, 0.25, 0.6, 1.0)]
    far = [float(np.abs(studio.latents(each) - studio.latents(source)).mean()) for each in made]
    assert far == sorted(far)
    assert (far[0], len(set(far))) == (0.0, 4)
    whole = studio.made(**given)
    np.testing.assert_array_equal(studio.latents(whole), studio.latents(made[-1]))


def test_another_models_track_is_heard_and_its_latents_are_not_taken_for_ours(
    studio: Studio, tmp_path: Path
) -> None:
    demo = studio.registry.get("demo")
    demo.load(CancelToken(), lambda progress: None)
    track = studio.made(prompt="rain", seed=1, duration_sec=5, backend="demo", inference_steps=4)
    copied = tmp_path / "copied.wav"
    shutil.copyfile(studio.tracks.path(track), copied)
    given = {"prompt": "rain", "backend": "ace_step", "seed": 5, "task": "from_audio"}
    request = studio.asked(**given, source=track.track_id).recipe.request
    assert request.task is not None
    assert (track.material_bytes or 0) > 0
    assert request.task.source.material is None
    made = studio.latents(studio.made(**given, source=track.track_id))
    heard_only = studio.latents(studio.made(**given, source=str(copied)))
    np.testing.assert_array_equal(made, heard_only)


def test_its_own_tracks_need_no_encoder(
    studio: Studio, source: Track, foreign: Path, model: Path, tmp_path: Path
) -> None:
    shutil.move(model / ENCODER, tmp_path / ENCODER)
    try:
        given = {"prompt": "rain", "backend": "ace_step", "seed": 77}
        repaint = {"task": "repaint", "span": [2, 4]}
        assert studio.made(**given, **repaint, source=source.track_id).duration_sec == SECONDS
        with pytest.raises(ModelNotFound, match=ENCODER) as failure:
            studio.asked(**given, **repaint, source=str(foreign))
        assert "--only-encoder" in failure.value.hint
        # Neither end of the way from the source needs it.
        for strength in (0.0, 1.0):
            studio.made(**given, task="from_audio", source=str(foreign), strength=strength)
    finally:
        shutil.move(tmp_path / ENCODER, model / ENCODER)


def test_a_smaller_set_reads_with_the_encoder_of_the_folder_around_it(
    studio: Studio, model: Path, tmp_path: Path
) -> None:
    assert encoder_file(model / "int8") == model / ENCODER
    raise_if_missing(model / "int8")
    with pytest.raises(ModelNotFound):
        raise_if_missing(tmp_path)


def test_sound_that_has_to_be_read_is_work_that_is_told(
    studio: Studio, source: Track, foreign: Path
) -> None:
    given = {"prompt": "rain", "backend": "ace_step", "seed": 5, "task": "from_audio"}
    kept = studio.asked(**given, source=source.track_id).recipe.request
    read = studio.asked(**given, source=str(foreign)).recipe.request
    backend = studio.registry.get("ace_step")
    assert backend.workload(read)[Phase.ENCODING] > backend.workload(kept)[Phase.ENCODING]
    needs = [backend.needs(each)[Phase.ENCODING].model for each in (kept, read)]
    assert needs[0] < needs[1]
    for request in (kept, read):
        seen: list[PhaseProgress] = []
        backend.generate(request, on_progress=seen.append, cancel=CancelToken())
        fractions = [each.fraction for each in seen if each.phase is Phase.ENCODING]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        done = [each for each in seen if each.phase is Phase.DIFFUSING]
        assert (done[0].done, done[-1].done, done[-1].fraction) == (0, done[-1].total, 1.0)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        backend.generate(read, on_progress=lambda progress: cancel.cancel(), cancel=cancel)


def test_a_shorter_way_is_less_work(studio: Studio, source: Track) -> None:
    backend = studio.registry.get("ace_step")
    given = {"source": source.track_id, "seed": 5, "task": "repaint", "span": [2, 4]}
    seconds = [
        backend.workload(studio.asked(**given, strength=each).recipe.request)[Phase.DIFFUSING]
        for each in (0.0, 0.5, 1.0)
    ]
    assert seconds[0] == 0.0
    assert seconds[0] < seconds[1] < seconds[2]


def test_what_it_cannot_do_is_refused(studio: Studio, source: Track) -> None:
    with pytest.raises(InvalidDuration):
        studio.asked(task="extend", source=source.track_id, span=[SECONDS, 241])
    with pytest.raises(InvalidParams, match="takes no strength for extend"):
        studio.asked(task="extend", source=source.track_id, strength=0.5)
    with pytest.raises(InvalidParams, match="its own tracks only"):
        studio.asked(task="repaint", source=source.track_id, span=[2, 4], backend="demo")
