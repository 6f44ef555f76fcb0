"""A radio without seams: who can make it, and what is gone on from."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.backends.protocol import BackendInfo
from lofi_daemon.backends.registry import Registry
from lofi_daemon.backends.tasks import TaskOffer
from lofi_daemon.config import Settings
from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import GenerationParameters, SoundParameters, parse
from lofi_daemon.radio.flow import Wish, going_on, raise_unless_it_flows
from lofi_daemon.radio.programme import (
    KnownTrack,
    Make,
    Programme,
    RadioState,
    Situation,
    derived_seed,
    next_to_make,
)
from lofi_daemon.tracks import TrackCache
from tests.player.library import put_track
from tests.player.signals import music
from tests.tone_backend import ToneBackend

FLOWING = Programme(("a", "b", "c"), 7, flow=True)
FULL = tuple(KnownTrack(f"t{i}", 30.0, None) for i in range(3))


class Elsewhere(ToneBackend):
    @property
    def info(self) -> BackendInfo:
        return replace(super().info, place="gpubox")


def registry() -> Registry:
    can, cannot = (TaskOffer("flow"),), (TaskOffer("variation"),)
    return Registry(
        Settings(),
        {
            "far": lambda _: Elsewhere("far", full_model=True, offers=cannot),
            "full": lambda _: ToneBackend("full", full_model=True, offers=cannot),
            "demo": lambda _: ToneBackend("demo", offers=can),
        },
    )


def test_each_track_goes_on_from_the_programmes_one_before_it() -> None:
    state = RadioState(FLOWING)

    def situation() -> Situation:
        return Situation(FLOWING, made=state.made, latest=state.latest, library=FULL)

    first = next_to_make(situation(), 0.0)
    assert first == Make("a", derived_seed(7, 0))
    state.begun(first, "one")
    state.finished("one", filler=False)
    second = next_to_make(situation(), 0.0)
    assert second == Make("b", derived_seed(7, 1), after="one")
    # a track that failed is left out: the next one goes on from the one before it
    state.begun(second, "two")
    state.failed(0.0)
    third = next_to_make(situation(), 0.0)
    assert third == Make("c", derived_seed(7, 2), after="one")
    state.begun(third, "three")
    state.grows("three", filler=False)
    assert state.latest == "one"
    state.finished("three", filler=False)
    assert (state.latest, state.ready) == ("three", ["one", "three"])


def test_a_filler_is_no_part_of_it() -> None:
    state = RadioState(FLOWING)
    filler = next_to_make(Situation(FLOWING, filler=True), 0.0)
    assert filler is not None
    assert (filler.filler_sec, filler.after) == (12.0, None)
    state.begun(filler, "filler")
    state.finished("filler", filler=True)
    assert state.latest is None


def test_without_it_every_track_begins_anew() -> None:
    plain = replace(FLOWING, flow=False)
    made = next_to_make(Situation(plain, made=1, latest="one", library=FULL), 0.0)
    assert made == Make("b", derived_seed(7, 1))


def test_what_is_gone_on_from_is_needed() -> None:
    state = RadioState(FLOWING, latest="one", ready=["two"])
    assert state.needed == {"one", "two"}
    assert RadioState(replace(FLOWING, flow=False), latest="one").needed == frozenset()


@pytest.mark.parametrize(
    ("programme", "sound", "said", "hint"),
    [
        (replace(FLOWING, library="kept"), {}, "tracks that are there", "Leave flow out"),
        (FLOWING, {"loop": True, "backend": "demo"}, "leads into itself", "or loop"),
        (FLOWING, {"backend": "full"}, "full tone cannot go on", "can: demo"),
        (FLOWING, {"backend": "far"}, "on gpubox cannot go on", "can: demo"),
        (FLOWING, {}, "cannot go on", "can: demo"),
    ],
)
def test_what_does_not_flow_is_refused_and_who_can_is_said(
    programme: Programme, sound: dict[str, Any], said: str, hint: str
) -> None:
    backends = registry()
    wanted = parse(backends.taking_options(SoundParameters), sound)
    with pytest.raises(InvalidParams, match=said) as failure:
        raise_unless_it_flows(backends, programme, wanted)
    assert hint in failure.value.hint
    assert "flow" in failure.value.data["parameters"]


def test_who_can_is_not_refused() -> None:
    backends = registry()
    wanted = parse(backends.taking_options(SoundParameters), {"backend": "demo"})
    raise_unless_it_flows(backends, FLOWING, wanted)


def wished(folder: Path, after: str, **given: Any) -> tuple[GenerationParameters, Wish]:
    backends, tracks = registry(), TrackCache(folder, 10**9)
    tracks.prepare()
    model = backends.taking_options(GenerationParameters)
    asked = parse(model, {"prompt": "rain", "seed": 3, "duration_sec": 7.0, **given})
    return asked, asyncio.run(going_on(backends, tracks, asked, after))


def test_a_track_is_gone_on_from_with_the_words_of_the_next_one(tmp_path: Path) -> None:
    put_track(tmp_path, "1" * 16, music(6.0), prompt="snow")
    _, wish = wished(tmp_path, "1" * 16, backend="demo")
    assert wish.origin is not None
    assert wish.origin.task is not None
    assert (wish.origin.name, wish.origin.parent) == ("flow", "1" * 16)
    assert wish.origin.task.source.track_id == "1" * 16
    assert (wish.parameters.prompt, wish.parameters.duration_sec) == ("rain", 7.0)
    assert wish.parameters.seed == 3


@pytest.mark.parametrize(
    ("after", "backend"), [("2" * 16, "demo"), ("1" * 16, "full")], ids=["gone", "another model"]
)
def test_what_cannot_be_gone_on_from_lets_the_next_track_begin_anew(
    tmp_path: Path, after: str, backend: str
) -> None:
    put_track(tmp_path, "1" * 16, music(6.0))
    asked, wish = wished(tmp_path, after, backend=backend)
    assert wish == Wish(asked)


def test_the_model_that_is_chosen_now_counts_and_not_the_one_that_made_the_last(
    tmp_path: Path,
) -> None:
    """Where the best model is back, the small one's tracks are not gone on with for ever."""
    put_track(tmp_path, "1" * 16, music(6.0))  # by demo
    asked, wish = wished(tmp_path, "1" * 16)  # "far" is the best one
    assert wish == Wish(asked)
