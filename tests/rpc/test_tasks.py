"""Music from music, as a client sees it: the bundled model behind the real daemon."""

from __future__ import annotations

import json
from typing import Any

from tests.daemon_process import DaemonProcess
from tests.rpc.conftest import StartDaemon

PATIENCE_SEC = 120.0


def made(daemon: DaemonProcess, **params: Any) -> dict[str, Any]:
    answer = daemon.request("generate", **params)
    final = daemon.final(answer["track_id"], timeout=PATIENCE_SEC)
    assert final["method"] == "generation_complete", final
    return final["params"]


def test_a_track_is_extended_by_its_id_alone(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(None)
    first = made(daemon, prompt="piano", duration_sec=5, seed=1, backend="demo", inference_steps=2)
    longer = made(daemon, task="extend", source=first["track_id"], span=[5, 8], seed=2)
    assert (longer["prompt"], longer["duration_sec"], longer["seed"]) == ("piano", 8.0, 2)
    tracks = {each["track_id"]: each for each in daemon.request("tracks_list")["tracks"]}
    assert tracks[longer["track_id"]]["parent"] == first["track_id"]
    assert "parent" not in tracks[first["track_id"]]
    again = daemon.request("generate", task="extend", source=first["track_id"], span=[5, 8], seed=2)
    assert (again["track_id"], again["status"]) == (longer["track_id"], "cached")
    same = daemon.request("generate", task="variation", source=first["track_id"], strength=0)
    assert (same["track_id"], same["status"]) == (first["track_id"], "cached")


def test_backends_say_what_they_can_do_and_refusals_say_who_can(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    track = made(daemon, prompt="rain", duration_sec=5, seed=1)
    backends = daemon.request("get_backends")["backends"]
    assert [each["tasks"] for each in backends] == [["variation", "extend", "repaint"]]
    error = daemon.error("generate", task="from_audio", source=track["track_id"])
    assert error["data"]["code"] == "INVALID_PARAMS"
    assert "It can do variation, extend and repaint" in error["data"]["hint"]
    for missing in ({"task": "extend", "source": "0" * 16}, {"task": "extend"}, {"source": "x"}):
        assert "error" in daemon.answer(daemon.call("generate", **missing))


def test_in_a_batch_the_answer_comes_before_what_is_told_of_the_track(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon()
    track = made(daemon, prompt="rain", duration_sec=5, seed=1)
    params = {"task": "repaint", "source": track["track_id"], "span": [1, 2], "seed": 4}
    daemon.send_bytes(
        json.dumps([{"jsonrpc": "2.0", "id": "a", "method": "generate", "params": params}]).encode()
        + b"\n"
    )
    first = track["track_id"]
    end = daemon.wait_for(
        lambda message: (
            message.get("method") == "generation_complete"
            and message["params"]["track_id"] != first
        )
    )
    second = end["params"]["track_id"]
    answer = next(message for message in daemon.messages if isinstance(message, list))
    assert answer[0]["result"]["track_id"] == second
    told = daemon.notifications(track_id=second)
    assert daemon.messages.index(answer) < daemon.messages.index(told[0])
