"""What the daemon does where the player refuses, without a player."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.errors import AudioPlaybackError
from lofi_daemon.player.reports import Started
from lofi_daemon.player.table import Put, Settle
from lofi_daemon.player.turn import Turn
from lofi_daemon.player.turntable import Turntable
from lofi_daemon.sound.growth import Growth
from lofi_daemon.tracks.growing import GrowingTrack
from lofi_daemon.tracks.sidecar import read_sidecar
from tests.player.library import put_track
from tests.player.signals import music

GROWING = GrowingTrack("0" * 16, "rain", Path("/growing"), Growth(48000, 2, 480_000))


class Refusing:
    """The pipe to a player that cannot read the growing file; it is settled at the third try."""

    process_id = 1

    def __init__(self, settle: Any) -> None:
        self.asked = 0
        self._settle = settle

    async def request(self, name: str, arguments: dict[str, Any]) -> Any:
        self.asked += 1
        if self.asked < 3:
            raise AudioPlaybackError("it cannot be read on")
        self._settle()
        return arguments["position_sec"]


def sought(turn: Turn) -> tuple[int, float]:
    """How often the player was asked, and the position after a seek to the eighth second."""

    async def live() -> tuple[int, float]:
        turntable = Turntable(lambda event: None)
        turntable.step(Put(turn))
        turntable.step(Started(turn.entry, 0.0, 10.0))
        whole = Turn(turn.entry, Path("/whole"), 1.0, title="rain")
        pipe = Refusing(lambda: turntable.step(Settle(whole)))
        turntable._pipe = pipe  # type: ignore[assignment]
        await turntable.seek(8.0)
        return pipe.asked, turntable.position_sec

    return asyncio.run(live())


def test_a_seek_in_a_track_that_has_just_become_whole_waits_for_where_it_lies() -> None:
    asked, position_sec = sought(Turn(1, Path("/growing"), 1.0, growing=GROWING))
    assert asked == 3
    assert position_sec >= 8.0


def test_a_seek_in_a_whole_track_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(AudioPlaybackError):
        sought(Turn(1, Path("/whole"), 1.0, title="rain"))


FLOW = {"task": "flow", "span": (0.05, 0.15)}


class Listening:
    """The pipe to a player that does as it is told."""

    process_id = 1

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    async def request(self, name: str, arguments: dict[str, Any]) -> Any:
        self.told.append((name, arguments))


def told_of_next(turn: Turn, before: Turn) -> dict[str, Any]:
    async def live() -> dict[str, Any]:
        turntable, pipe = Turntable(lambda event: None), Listening()
        turntable._pipe = pipe  # type: ignore[assignment]
        await turntable.set_next(replace(turn, join=turn.join_after(before)))
        return pipe.told[-1][1]

    return asyncio.run(live())


@pytest.mark.parametrize(
    ("options", "origin", "join"),
    [
        ({"loop": True}, "loop", {"entry": 7, "position_sec": None}),
        ({"loop": True}, "playlist", None),
        ({}, "loop", None),
        ({**FLOW, "source": "b" * 16}, "radio", {"entry": 7, "position_sec": 0.05}),
        ({**FLOW, "source": "b" * 16}, "playlist", {"entry": 7, "position_sec": 0.05}),
        ({**FLOW, "source": "c" * 16}, "radio", None),
        ({**FLOW, "source": "b" * 16, "task": "extend"}, "radio", None),
    ],
)
def test_only_a_sequel_goes_on_without_a_cross_over(
    tmp_path: Path, options: dict[str, Any], origin: Any, join: Any
) -> None:
    def turn(entry: int, track_id: str, **made: Any) -> Turn:
        path = put_track(tmp_path, track_id, music(0.1), **made)
        return Turn(entry, path, 1.0, read_sidecar(path.with_suffix(".json")), origin)

    told = told_of_next(turn(8, "a" * 16, **options), turn(7, "b" * 16))
    assert told["join"] == join
    assert told.get("in_music", False) is (options.get("task") == "flow")
