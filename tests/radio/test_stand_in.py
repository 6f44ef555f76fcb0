"""Who makes the music while nothing is there yet, and while another machine is away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lofi_daemon.backends.protocol import HERE, Availability, BackendInfo
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.parameters import SoundParameters
from lofi_daemon.radio.stand_in import AWAY_SEC, StandIn
from tests.tone_backend import ToneBackend

SOUND = SoundParameters(backend="far", duration_sec=600.0, seed=7)


class Machine(ToneBackend):
    place = HERE

    @property
    def info(self) -> BackendInfo:
        return replace(super().info, place=self.place)


class FarMachine(Machine):
    place = "gpubox"


def stand_in(*, error: str | None = None) -> StandIn:
    return StandIn(
        Registry(
            Settings(),
            {
                "near": lambda _: Machine("near", full_model=True),
                "far": lambda _: FarMachine("far", full_model=True),
                "small": lambda _: Machine("small", available=Availability(True, "1", error)),
            },
        )
    )


def test_the_other_machine_is_left_alone_for_a_while() -> None:
    someone = stand_in()
    assert someone.replaces(SOUND, 0.0) == SOUND
    assert someone.step_in(100.0)
    instead = someone.replaces(SOUND, 100.0)
    # Options are each backend's own; the length is cut to what the small one can make.
    assert (instead.backend, instead.duration_sec, instead.seed) == ("small", 240.0, 7)
    assert someone.replaces(SOUND, 100.0 + AWAY_SEC) == SOUND


def test_it_is_news_once_until_that_machine_has_made_a_track() -> None:
    someone = stand_in()
    assert [someone.step_in(now) for now in (0.0, 70.0)] == [True, False]
    someone.made("small")
    assert not someone.step_in(140.0)
    someone.made("far")
    assert someone.replaces(SOUND, 150.0) == SOUND
    assert someone.step_in(200.0)


def test_a_new_radio_asks_the_other_machine_again() -> None:
    someone = stand_in()
    someone.step_in(0.0)
    someone.step_back()
    assert someone.replaces(SOUND, 1.0) == SOUND


def test_a_small_backend_that_does_not_work_stands_in_for_nobody() -> None:
    someone = stand_in(error="The file is damaged.")
    someone.step_in(0.0)
    assert someone.backend is None
    assert someone.replaces(SOUND, 1.0) == SOUND


@pytest.mark.parametrize(("asked_sec", "made_sec"), [(120.0, 12.0), (5.0, 5.0)])
def test_a_filler_is_never_longer_than_what_was_asked_for(
    asked_sec: float, made_sec: float
) -> None:
    filler = stand_in().filler(SoundParameters(backend="far", duration_sec=asked_sec), 12.0)
    assert (filler.backend, filler.duration_sec) == ("small", made_sec)
