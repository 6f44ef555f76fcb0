"""MusicGen goes on from tracks and from sounds, by their tokens.

With the tiny model, whose music is noise; what is held here does not depend on its beauty.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from lofi_daemon.backends.musicgen.bundle import encoder_file, read_config
from lofi_daemon.backends.musicgen.editing import kept_tokens
from lofi_daemon.backends.musicgen.encoder import EncodecEncoder
from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
from lofi_daemon.backends.protocol import Phase, PhaseProgress
from lofi_daemon.backends.registry import Registry
from lofi_daemon.backends.tasks import Source, Task
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidDuration, InvalidParams, ModelNotFound
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import Track
from tests import tiny_musicgen
from tests.studio import Studio, likeness_db

RATE = 32000
HOP = 640
SECONDS = 6
RAMP = round(0.05 * RATE)
ENCODER = "encodec_encode.onnx"
GIVEN = {"prompt": "lofi piano", "seed": 3, "backend": "musicgen"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("musicgen") / "model"
    shutil.copytree(tiny_musicgen.native_folder(), folder)
    # As it is where the files were there before what reads sound.
    manifest = folder / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    for name in [*listed["files"]]:
        if name.startswith("encodec_encode"):
            del listed["files"][name]
    manifest.write_text(json.dumps(listed), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Studio:
    variables = {"LOFI_MUSICGEN_MODEL_PATH": str(model), "LOFI_THREADS": "1"}
    registry = Registry(load_settings(variables))
    return Studio(tmp_path_factory.mktemp("tracks"), registry, "musicgen")


@pytest.fixture(scope="module")
def source(studio: Studio) -> Track:
    return studio.made(**GIVEN, duration_sec=SECONDS)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file of two channels and another rate: a falling tone and a beat."""
    path = tmp_path_factory.mktemp("sounds") / "mine.flac"
    time = np.arange(SECONDS * 44100) / 44100
    tone = 0.3 * np.sin(2 * np.pi * (220 - 10 * time) * time)
    beat = tone * (1 + np.sin(2 * np.pi * 2 * time)) / 2
    soundfile.write(path, np.stack((beat, 0.5 * beat), axis=1), 44100)
    return path


def heard(path: Path) -> np.ndarray:
    sound, rate = soundfile.read(path)
    return soxr.resample(sound.mean(axis=1), rate, RATE, "VHQ")


def tokens(studio: Studio, track: Track) -> np.ndarray:
    path = studio.tracks.material(track)
    assert path is not None
    return read_material(path)["tokens"]


def test_a_tracks_tokens_lie_beside_it(studio: Studio, source: Track) -> None:
    codes = tokens(studio, source)
    assert (codes.dtype, codes.shape) == (np.int16, (4, 50 * SECONDS))
    pipeline: MusicGenPipeline = studio.registry.get("musicgen")._pipeline  # type: ignore[attr-defined]
    again = pipeline.decode(
        [codes.astype(np.int64)], SECONDS, lambda progress: None, CancelToken()
    ).samples
    assert likeness_db(studio.sound(source), again[0].astype(np.float64)) > 60


def test_an_extension_is_its_parent_and_goes_on_from_its_tokens(
    studio: Studio, source: Track
) -> None:
    given = {"task": "extend", "source": source.track_id, "span": [SECONDS, SECONDS + 3]}
    longer = studio.made(**given, seed=1)
    assert (longer.duration_sec, longer.parent) == (SECONDS + 3, source.track_id)
    assert longer.span is not None
    join = round(longer.span[0] * RATE)
    assert join % HOP == 0
    assert 0 < SECONDS * RATE - join < 0.2 * RATE
    before, after = studio.sound(source), studio.sound(longer)
    assert likeness_db(before[: join - RAMP], after[: join - RAMP]) > 60
    assert np.sqrt(np.mean(after[join:] ** 2)) > 0.01
    frames = join // HOP
    old, new = tokens(studio, source), tokens(studio, longer)
    np.testing.assert_array_equal(new[:, :frames], old[:, :frames])
    assert len(np.unique(new[:, frames:])) > 8
    content = studio.tracks.path(longer).read_bytes()
    studio.tracks.delete([longer.track_id])
    again = studio.made(**given, seed=1)
    assert (again.track_id, studio.tracks.path(again).read_bytes()) == (longer.track_id, content)
    other = studio.made(**given, seed=2)
    assert other.track_id != longer.track_id
    assert not np.array_equal(tokens(studio, other), new)


def test_any_sound_can_be_gone_on_from(studio: Studio, foreign: Path) -> None:
    given = {"prompt": "lofi rain", "backend": "musicgen", "seed": 5, "source": str(foreign)}
    longer = studio.made(task="extend", span=[SECONDS, SECONDS + 2], **given)
    assert longer.span is not None
    join = round(longer.span[0] * RATE) - RAMP
    before, after = heard(foreign), studio.sound(longer)
    assert likeness_db(before[1000:join], after[1000:join]) > 60
    assert longer.duration_sec == SECONDS + 2
    assert (longer.parent, longer.source) == (None, str(foreign))


def test_strength_says_how_much_of_the_beginning_stays(studio: Studio, foreign: Path) -> None:
    given = {"prompt": "lofi rain", "backend": "musicgen", "seed": 5}

    def like(strength: float | None) -> Track:
        asked: dict[str, Any] = {} if strength is None else {"strength": strength}
        return studio.made(task="from_audio", source=str(foreign), **asked, **given)

    before = heard(foreign)
    assert likeness_db(before, studio.sound(like(0.0))) > 60
    fresh = studio.sound(studio.made(**given, duration_sec=SECONDS))
    np.testing.assert_array_equal(studio.sound(like(1.0)), fresh)
    assert like(None).track_id == like(0.5).track_id
    for strength in (0.25, 0.5, 0.75):
        after = studio.sound(like(strength))
        assert after.shape == before.shape
        join = round((1 - strength) * SECONDS * RATE)
        assert likeness_db(before[1000 : join - RAMP], after[1000 : join - RAMP]) > 60
        assert likeness_db(before[join:], after[join:]) < 10


def test_a_track_is_like_another(studio: Studio, source: Track) -> None:
    like = studio.made(
        task="from_audio", source=source.track_id, backend="musicgen", seed=5, strength=0.5
    )
    assert (like.duration_sec, like.parent) == (source.duration_sec, source.track_id)
    old, new = tokens(studio, source), tokens(studio, like)
    np.testing.assert_array_equal(new[:, :150], old[:, :150])
    assert not np.array_equal(new[:, 150:], old[:, 150:])


def test_its_own_tracks_need_no_encoder(
    studio: Studio, source: Track, foreign: Path, model: Path, tmp_path: Path
) -> None:
    moved = sorted(model.glob("encodec_encode*"))
    assert model / ENCODER in moved
    for path in moved:
        shutil.move(path, tmp_path / path.name)
    try:
        given = {"prompt": "lofi rain", "backend": "musicgen", "seed": 7}
        assert studio.registry.get("musicgen").availability().error is None
        span = {"task": "extend", "span": [SECONDS, SECONDS + 1]}
        studio.made(**given, **span, source=source.track_id)
        with pytest.raises(ModelNotFound, match=ENCODER) as failure:
            studio.asked(**given, **span, source=str(foreign))
        assert "--only-encoder" in failure.value.hint
        for strength in (0.0, 1.0):
            studio.made(**given, task="from_audio", source=str(foreign), strength=strength)
    finally:
        for path in moved:
            shutil.move(tmp_path / path.name, path)


def test_a_set_made_of_published_files_takes_the_encoder_along(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_musicgen.published_folder(), tmp_path / "model"))
    variables = {"LOFI_MUSICGEN_MODEL_PATH": str(folder), "LOFI_THREADS": "1"}
    made = Registry(load_settings(variables)).get("musicgen")
    made.prepare(CancelToken(), lambda progress: None)
    native = folder / "native-fp32"
    sound = 0.1 * np.random.default_rng(1).standard_normal((1, 20 * HOP)).astype(np.float32)
    codes = [
        EncodecEncoder(each, read_config(folder), SessionSettings(threads=1)).codes(
            sound, lambda share: None, CancelToken()
        )
        for each in (folder, native)
    ]
    assert encoder_file(native) == native / ENCODER
    np.testing.assert_array_equal(codes[0], codes[1])


def test_a_set_made_of_published_files_reads_with_the_encoder_beside_those(tmp_path: Path) -> None:
    made = tmp_path / "native-int8"
    made.mkdir()
    assert encoder_file(made) == made / ENCODER
    (tmp_path / ENCODER).touch()
    assert encoder_file(made) == tmp_path / ENCODER


def test_sound_that_has_to_be_read_is_work_that_is_told(
    studio: Studio, source: Track, foreign: Path
) -> None:
    given = {"prompt": "lofi rain", "backend": "musicgen", "seed": 5, "task": "from_audio"}
    kept = studio.asked(**given, source=source.track_id).recipe.request
    read = studio.asked(**given, source=str(foreign)).recipe.request
    backend = studio.registry.get("musicgen")
    work = [backend.workload(each) for each in (kept, read)]
    assert work[0][Phase.ENCODING] < work[1][Phase.ENCODING]
    whole = studio.asked(**GIVEN, duration_sec=SECONDS).recipe.request
    assert work[0][Phase.DECODING_TOKENS] < backend.workload(whole)[Phase.DECODING_TOKENS]
    needs = [backend.needs(each)[Phase.ENCODING].model for each in (kept, read)]
    assert needs[0] < needs[1]
    for request in (kept, read):
        seen: list[PhaseProgress] = []
        backend.generate(request, on_progress=seen.append, cancel=CancelToken())
        fractions = [each.fraction for each in seen if each.phase is Phase.ENCODING]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        made = [each for each in seen if each.phase is Phase.DECODING_TOKENS]
        assert (made[0].done, made[-1].done, made[-1].total) == (0, 150, 150)
        assert (made[0].fraction, made[-1].fraction) == (0.0, 1.0)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        backend.generate(read, on_progress=lambda progress: cancel.cancel(), cancel=cancel)


def test_what_it_cannot_do_is_refused(studio: Studio, source: Track) -> None:
    with pytest.raises(InvalidParams, match="cannot add any before it"):
        studio.asked(task="extend", source=source.track_id, span=[-3, 0])
    with pytest.raises(InvalidDuration):
        studio.asked(task="extend", source=source.track_id, span=[SECONDS, 121])
    with pytest.raises(InvalidParams, match="cannot do repaint") as failure:
        studio.asked(task="repaint", source=source.track_id, span=[2, 4])
    assert "extend" in failure.value.hint


def test_tokens_that_make_no_sense_are_read_from_the_sound(
    studio: Studio, source: Track, tmp_path: Path
) -> None:
    pipeline: MusicGenPipeline = studio.registry.get("musicgen")._pipeline  # type: ignore[attr-defined]
    path = tmp_path / "material.npz"
    whole = Source(tmp_path / "no.wav", "0" * 64, 2.0, "0" * 16, "musicgen", None, path)
    task = Task("from_audio", whole, None, 0.5)
    good = np.zeros((4, 100), np.int16)
    for codes, fits in (
        (good, True),
        (good[:, :49], False),
        (good[:3], False),
        (good.astype(np.float32), False),
        (good + 64, False),
        (good - 1, False),
    ):
        with path.open("wb") as file:
            np.savez(file, tokens=codes)
        assert (kept_tokens(task, pipeline.config) is not None) == fits
    other = replace(task, source=replace(whole, backend="demo"))
    assert kept_tokens(other, pipeline.config) is None
