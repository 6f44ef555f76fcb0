"""Tracks of the bundled model that go on from each other: the join, the tempo, the key."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lofi_daemon.backends.demo.score import LATENT_RATE, decode
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidParams
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import Track
from tests.studio import RATE, Studio, assert_no_seam, likeness_db, roughness

GIVEN = {"prompt": "rhodes with drums", "seed": 3, "backend": "demo", "inference_steps": 4}
RAMP = round(0.01 * RATE)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("tracks"), Registry(load_settings({})), "demo")


@pytest.fixture(scope="module")
def first(studio: Studio) -> Track:
    return studio.made(**GIVEN, duration_sec=12)


def flow_of(studio: Studio, source: Track, **given: object) -> Track:
    wanted = {"prompt": "piano, drums", "seed": 8, "duration_sec": 10, **given}
    return studio.made(task="flow", source=source.track_id, **wanted)


@pytest.fixture(scope="module")
def second(studio: Studio, first: Track) -> Track:
    return flow_of(studio, first)


def left_at(track: Track) -> int:
    """The sample of its source at which a flow goes on."""
    assert track.span is not None
    return round(track.span[0] * RATE)


def as_heard(studio: Studio, *tracks: Track) -> tuple[NDArray[np.float64], list[int]]:
    """Tracks one after another, each left where the next one begins; and where that is."""
    parts, joins = [], []
    for track, following in zip(tracks, (*tracks[1:], None), strict=True):
        sound = studio.sound(track)
        parts.append(sound if following is None else sound[:, : left_at(following)])
        joins.append(sum(part.shape[1] for part in parts))
    return np.concatenate(parts, axis=1), joins[:-1]


def test_it_begins_with_the_next_sample_of_its_source_and_has_nothing_else_of_it(
    studio: Studio, first: Track, second: Track
) -> None:
    assert (second.duration_sec, second.parent, second.task) == (10.0, first.track_id, "flow")
    before, after = studio.sound(first), studio.sound(second)
    assert after.shape == (2, 10 * RATE)
    join = left_at(second)
    assert 0 < join < 12 * RATE
    # The source passes into the new music, which has nothing of its level yet.
    assert np.abs(after[:, 0] - before[:, join]).max() < 2e-3
    assert likeness_db(before[:, join : join + 8], after[:, :8]) > 18
    rest = before[:, join:]
    new = after[:, RAMP : rest.shape[1]]
    assert likeness_db(rest[:, RAMP : RAMP + new.shape[1]], new) < 6
    lead = before[:, join - RATE : join]
    assert likeness_db(lead, after[:, :RATE]) < 6


def test_no_seam_is_heard_where_they_join(studio: Studio, first: Track, second: Track) -> None:
    third = flow_of(studio, second, seed=9, prompt="flute, no drums")
    heard, joins = as_heard(studio, first, second, third)
    for join in joins:
        assert_no_seam(heard, join + RAMP, RAMP)
        # the energy of the second difference: within what the seconds around have, without the join
        near = roughness(heard[:, join - RATE // 50 : join + RATE // 50])
        around = np.concatenate(
            [
                roughness(heard[:, join - 4 * RATE : join - RATE // 50]),
                roughness(heard[:, join + RATE // 50 : join + 4 * RATE]),
            ]
        )
        assert near.max() <= around.max()


def test_a_join_that_is_late_by_milliseconds_would_be_heard(
    studio: Studio, first: Track, second: Track
) -> None:
    """The measure of the test before tells a seam from none."""
    before, after, join = studio.sound(first), studio.sound(second), left_at(second)
    steps = []
    for late in (0, 96, 240, 480):
        heard = np.concatenate([before[:, : join + late], after], axis=1)
        at = join + late
        steps.append(np.abs(np.diff(heard[:, at - 1 : at + 1], axis=1)).max())
    assert steps[0] < 0.5 * max(steps[1:])


def test_it_goes_on_as_loud_as_its_source_was(studio: Studio, first: Track, second: Track) -> None:
    before, after, join = studio.sound(first), studio.sound(second), left_at(second)
    levels = [
        np.sqrt(np.mean(np.square(part)))
        for part in (before[:, join - 4 * RATE : join], after[:, : 4 * RATE])
    ]
    assert 0.5 < levels[1] / levels[0] < 2


def test_same_request_same_bytes_and_ids_follow_the_source(
    studio: Studio, first: Track, second: Track
) -> None:
    content = studio.tracks.path(second).read_bytes()
    again = flow_of(studio, first)
    assert again.track_id == second.track_id
    assert studio.tracks.path(again).read_bytes() == content
    given = {"prompt": "piano, drums", "seed": 8}
    plain = studio.asked(**given, backend="demo", duration_sec=10, inference_steps=4)
    span = [*(second.span or ())]
    longer = studio.asked(**given, task="extend", source=first.track_id, span=span)
    other = studio.made(**{**GIVEN, "seed": 4}, duration_sec=12)
    elsewhere = studio.asked(**given, task="flow", source=other.track_id, duration_sec=10)
    ids = {each.recipe.track_id for each in (plain, longer, elsewhere)}
    assert len({*ids, second.track_id}) == 4


def test_it_can_be_gone_on_from_in_every_way(studio: Studio, second: Track) -> None:
    path = studio.tracks.material(second)
    assert path is not None
    kept = read_material(path)
    score = decode(kept["score"][0].tolist())
    frames = kept["latents"].shape[-1]
    assert frames == int(np.ceil(10 * LATENT_RATE))
    assert len(score.bars) * score.bar_frames >= frames - score.bar_frames
    longer = studio.made(task="extend", source=second.track_id, span=[10, 13], seed=1)
    assert longer.span is not None
    bars = longer.span[0] * LATENT_RATE / score.bar_frames
    assert bars == pytest.approx(round(bars), abs=1e-6)
    before, after = studio.sound(second), studio.sound(longer)
    kept_samples = round(longer.span[0] * RATE) - round(0.05 * RATE)
    assert likeness_db(before[:, :kept_samples], after[:, :kept_samples]) > 60
    near = studio.asked(task="variation", source=second.track_id, strength=0.1).recipe.request
    original = studio.asked(
        task="flow", source=second.parent, prompt="piano, drums", seed=8, duration_sec=10
    ).recipe.request
    assert near.task == original.task


def test_tempo_and_key_are_the_sources_whatever_the_words_say(
    studio: Studio, first: Track, second: Track
) -> None:
    third = flow_of(studio, second, prompt="flute, 95 bpm, f sharp minor", seed=5)
    scores = []
    for track in (first, second, third):
        path = studio.tracks.material(track)
        assert path is not None
        scores.append(decode(read_material(path)["score"][0].tolist()))
    assert len({score.bar_frames for score in scores}) == 1
    assert len({score.bars[-1].chords[0] for score in scores}) == 1
    assert scores[2].attributes["lead"] == "flute"


def test_a_length_outside_of_the_models_range_is_refused(studio: Studio, first: Track) -> None:
    from lofi_daemon.errors import InvalidDuration

    with pytest.raises(InvalidDuration):
        studio.asked(task="flow", source=first.track_id, duration_sec=300)
    longest = studio.asked(task="flow", source=first.track_id, duration_sec=240).recipe.request
    assert (longest.duration_sec, longest.made_sec > 240.0) == (240.0, True)
    with pytest.raises(InvalidParams, match="span"):
        studio.asked(task="flow", source=first.track_id, span=[1, 4])
