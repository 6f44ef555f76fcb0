"""What the bundled model makes of its own tracks, measured on the sound: tempo, key, words."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.demo.score import Score, decode
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import load_settings
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import Track
from tests.heard import (
    beats_per_minute,
    brightness_db,
    drums_db,
    planned_key_found_at,
    transposed_by,
)
from tests.studio import RATE, Studio, likeness_db

RAMP = round(0.05 * RATE)
WORDS = "electric piano, drums, 72 bpm"
GIVEN = {"backend": "demo", "inference_steps": 8}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("tracks"), Registry(load_settings({})), "demo")


@pytest.fixture(scope="module")
def source(studio: Studio) -> Track:
    return studio.made(**GIVEN, prompt=WORDS, seed=1, duration_sec=18)


@pytest.fixture(scope="module")
def played(studio: Studio) -> Track:
    return studio.made(**GIVEN, prompt="piano, drums, dark", seed=6, duration_sec=15)


def score_of(studio: Studio, track: Track) -> Score:
    path = studio.tracks.material(track)
    assert path is not None
    return decode(read_material(path)["score"][0].tolist())


def planned_bpm(studio: Studio, track: Track) -> float:
    return score_of(studio, track).beats_per_minute


def test_more_of_a_track_keeps_its_tempo_and_its_key(studio: Studio, source: Track) -> None:
    given = {"task": "extend", "source": source.track_id, "span": [18, 32]}
    longer = studio.made(**given, seed=source.seed + 10)
    assert longer.span is not None
    join = round(longer.span[0] * RATE)
    sound = studio.sound(longer)
    old, new = sound[:, :join], sound[:, join : -2 * RATE]
    assert beats_per_minute(new) == pytest.approx(planned_bpm(studio, source), rel=0.02)
    assert transposed_by(new, old) == 0


def test_a_track_that_goes_on_from_another_keeps_its_tempo_and_its_key(
    studio: Studio, source: Track
) -> None:
    words = "flute, vibraphone, drums, 82 bpm"
    given = {"prompt": words, "seed": source.seed + 20, "duration_sec": 16}
    flow = studio.made(task="flow", source=source.track_id, **given)
    assert flow.span is not None
    new = studio.sound(flow)[:, : -2 * RATE]
    assert beats_per_minute(new) == pytest.approx(planned_bpm(studio, source), rel=0.02)
    # Other chords of the same key: those that were planned are heard, and no others.
    scores = [score_of(studio, track) for track in (source, flow)]
    assert scores[0].bars[-1].chords == scores[1].bars[-1].chords
    assert planned_key_found_at(new, scores[1]) == 0
    assert planned_key_found_at(studio.sound(source), scores[0]) == 0


def test_the_measures_tell_another_tempo_and_another_key(studio: Studio, source: Track) -> None:
    """What they hold above would fail for the same track, played faster and three semitones up."""
    sound = studio.sound(source)
    places = np.arange(0, sound.shape[1], 2 ** (3 / 12))
    raised = np.stack([np.interp(places, np.arange(len(each)), each) for each in sound])
    assert transposed_by(raised, sound) == -3
    planned = planned_bpm(studio, source)
    assert beats_per_minute(raised) != pytest.approx(planned, rel=0.05)


def anew(studio: Studio, source: Track, words: str) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a track before and after it was made anew; around it nothing changes."""
    given = {"task": "repaint", "source": source.track_id, "span": [5, 11], "seed": 7}
    track = studio.made(**given, prompt=words)
    before, after = studio.sound(source), studio.sound(track)
    for outside in (slice(0, 5 * RATE - RAMP), slice(11 * RATE + RAMP, None)):
        assert likeness_db(before[:, outside], after[:, outside]) > 60
    middle = slice(6 * RATE, 10 * RATE)
    return before[:, middle], after[:, middle]


def test_drums_that_are_refused_fall_silent_in_a_part_anew(studio: Studio, played: Track) -> None:
    before, after = anew(studio, played, "piano, no drums")
    assert drums_db(after) < drums_db(before) - 2


def test_a_part_anew_is_brighter_where_that_is_asked_for(studio: Studio, played: Track) -> None:
    heard = [anew(studio, played, f"piano, drums, {word}")[1] for word in ("dark", "bright")]
    dark, bright = map(brightness_db, heard)
    assert bright > dark + 1
