"""generate and cancel, as a client sees them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
import soundfile

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from tests.daemon_process import DaemonProcess, is_final
from tests.rpc.conftest import StartDaemon, slow

STEPPING = slow(loading=0.2, encoding=0.2, diffusing=0.05, decoding=0.3)
ENDLESS = slow(diffusing=30.0)
BROKEN = {"installed": True, "error": "x.onnx is cut"}


def generate(daemon: DaemonProcess, prompt: str = "rain", **params: Any) -> str:
    return daemon.request("generate", prompt=prompt, duration_sec=5, **params)["track_id"]


def events_of(daemon: DaemonProcess, track_id: str) -> list[dict[str, Any]]:
    return daemon.notifications(track_id=track_id)


def test_ping(start_daemon: StartDaemon) -> None:
    from lofi_daemon import __version__

    ping = start_daemon().request("ping")
    assert ping == {"status": "ok", "version": __version__, "protocol": 1}


def test_a_track_from_request_to_file(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(STEPPING)
    answer = daemon.request(
        "generate", prompt="rain", duration_sec=5, seed=2**64 - 1, inference_steps=12
    )
    track_id = answer["track_id"]
    assert answer == {
        "track_id": track_id,
        "status": "generating",
        "position": 0,
        "seed": 2**64 - 1,
        "backend": "demo",
    }
    complete = daemon.final(track_id)
    assert complete["method"] == "generation_complete"
    params = complete["params"]
    assert params.pop("generation_time_sec") > 1.0
    path = Path(params.pop("path"))
    assert path.is_absolute()
    assert params == {
        "track_id": track_id,
        "duration_sec": 5.0,
        "sample_rate": 48000,
        "prompt": "rain",
        "seed": 2**64 - 1,
        "backend": "demo",
        "model_version": "1",
    }
    info = soundfile.info(path)
    assert (info.frames, info.samplerate, info.channels) == (240000, 48000, 2)


def test_progress_tells_every_step_and_never_falls(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(STEPPING)
    track_id = generate(daemon, inference_steps=12)
    daemon.final(track_id)
    progress = [m["params"] for m in daemon.notifications("generation_progress")]
    steps = [p["current_step"] for p in progress if p["phase"] == "diffusing"]
    assert set(range(1, 13)) <= set(steps)
    assert all(p["total_steps"] == 12 for p in progress)
    percents = [p["percent"] for p in progress]
    assert percents == sorted(percents)
    assert all(0 <= percent <= 99 for percent in percents)
    phases = list(dict.fromkeys(p["phase"] for p in progress))
    assert phases[-3:-1] == ["diffusing", "decoding"] or phases[-2:] == ["diffusing", "decoding"]
    assert set(progress[0]) == {
        "track_id", "prompt", "percent", "current_step", "total_steps", "eta_sec", "phase",
    }  # fmt: skip


def test_progress_comes_at_most_ten_times_a_second_between_steps(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(slow(decoding=2.0))
    track_id = generate(daemon, inference_steps=1)
    daemon.final(track_id)
    decoding = daemon.notifications("generation_progress", phase="decoding")
    assert 10 <= len(decoding) <= 22


def test_the_answer_comes_before_everything_about_the_track(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    for seed in range(20):
        identity = daemon.call("generate", prompt="rain", duration_sec=5, seed=seed % 10)
        track_id = daemon.answer(identity)["result"]["track_id"]
        final = daemon.final(track_id)
        answered = daemon.arrivals[
            next(i for i, m in enumerate(daemon.messages) if m.get("id") == identity)
        ]
        first = next(
            i for i, m in enumerate(daemon.messages)
            if m.get("params", {}).get("track_id") == track_id
        )  # fmt: skip
        if seed < 10:
            assert answered <= daemon.arrivals[first]
            assert daemon.arrival(final) >= answered


def test_a_cached_track_is_answered_and_completed_at_once(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    track_id = generate(daemon, seed=1)
    daemon.final(track_id)
    again = start_daemon()
    answer = again.request("generate", prompt="rain", duration_sec=5, seed=1)
    assert (answer["track_id"], answer["status"], answer["position"]) == (track_id, "cached", 0)
    complete = again.final(track_id)["params"]
    assert complete["generation_time_sec"] == 0
    assert Path(complete["path"]).exists()
    assert events_of(again, track_id) == [
        {"jsonrpc": "2.0", "method": "generation_complete", "params": complete}
    ]


def test_random_seeds_differ_and_are_told(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ENDLESS)
    answers = [daemon.request("generate", prompt="rain", duration_sec=5) for _ in range(5)]
    assert len({answer["seed"] for answer in answers}) == 5
    assert len({answer["track_id"] for answer in answers}) == 5
    assert [answer["position"] for answer in answers] == [0, 1, 2, 3, 4]


def test_same_seed_same_bytes_in_two_processes(start_daemon: StartDaemon, tmp_path: Path) -> None:
    digests: set[str] = set()
    for name in ("one", "two"):
        daemon = start_daemon(folder=tmp_path / name)
        path = daemon.final(generate(daemon, seed=5))["params"]["path"]
        digests.add(hashlib.sha256(Path(path).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_equal_requests_share_a_job(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(slow(diffusing=0.2))
    first = daemon.request("generate", prompt="rain", duration_sec=5, seed=1, inference_steps=5)
    blocked = [daemon.request("generate", prompt="sun", seed=2, inference_steps=1) for _ in "ab"]
    second = daemon.request("generate", prompt="rain", duration_sec=5, seed=1, inference_steps=5)
    assert second == first
    assert [answer["position"] for answer in blocked] == [1, 1]
    daemon.final(blocked[0]["track_id"])
    for track_id in (first["track_id"], blocked[0]["track_id"]):
        assert len([m for m in daemon.messages if is_final(m, track_id)]) == 1


def test_high_priority_goes_before_normal(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(slow(diffusing=0.5))
    running = generate(daemon, seed=0, inference_steps=1)
    waiting = [
        generate(daemon, seed=seed, inference_steps=1, priority=priority)
        for seed, priority in enumerate(["normal", "normal", "high", "high"], start=1)
    ]
    expected = [running, waiting[2], waiting[3], waiting[0], waiting[1]]
    status = daemon.request("status")["queue"]
    assert [job["track_id"] for job in status["waiting"]] == expected[1:]
    assert [job["position"] for job in status["waiting"]] == [1, 2, 3, 4]
    assert status["current"]["track_id"] == running
    daemon.final(expected[-1])
    finished = [m["params"]["track_id"] for m in daemon.notifications("generation_complete")]
    assert finished == expected


def test_a_full_queue_says_so(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ENDLESS)
    for seed in range(11):
        generate(daemon, seed=seed)
    error = daemon.error("generate", prompt="rain", seed=99)
    assert error["code"] == -32004
    assert error["data"]["code"] == "QUEUE_FULL"
    assert error["data"]["position"] == 11
    assert error["data"]["estimated_wait_sec"] > 0
    assert generate(daemon, seed=3)  # sharing a job needs no place


def test_queue_clear_spares_the_running_one(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ENDLESS)
    running, *waiting = [generate(daemon, seed=seed) for seed in range(4)]
    assert daemon.request("queue_clear") == {"cancelled": waiting}
    for track_id in waiting:
        assert daemon.final(track_id)["method"] == "generation_cancelled"
    assert daemon.request("status")["queue"]["current"]["track_id"] == running
    assert not [m for m in daemon.messages if is_final(m, running)]


def test_cancel_a_waiting_job(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ENDLESS)
    generate(daemon, seed=0)
    track_id = generate(daemon, seed=1, inference_steps=7)
    assert daemon.request("cancel", track_id=track_id) == {
        "cancelled": True,
        "was_generating": False,
    }
    assert daemon.final(track_id)["params"] == {
        "track_id": track_id,
        "at_step": 0,
        "total_steps": 7,
    }
    assert daemon.error("cancel", track_id=track_id)["data"]["code"] == "TRACK_NOT_FOUND"


@pytest.mark.parametrize("deaf", [False, True], ids=["listening", "deaf"])
@pytest.mark.parametrize("phase", ["loading", "encoding", "diffusing", "decoding"])
def test_cancel_is_told_within_250_ms_in_every_phase(
    start_daemon: StartDaemon, phase: str, deaf: bool
) -> None:
    """Also while a model does not listen, as nothing can stop the making of a session."""
    backend: dict[str, Any] = {"seconds": {phase: 1.5}, "deaf": [phase] if deaf else []}
    daemon = start_daemon({"demo": backend})
    track_id = generate(daemon, seed=1, inference_steps=1)
    daemon.notification("generation_progress", track_id=track_id, phase=phase)
    sent = time.monotonic()
    identity = daemon.call("cancel", track_id=track_id)
    final = daemon.final(track_id)
    assert final["method"] == "generation_cancelled"
    assert daemon.arrival(final) - sent <= 0.250
    assert daemon.answer(identity)["result"] == {"cancelled": True, "was_generating": True}
    # the same track can be asked for again, and comes
    assert generate(daemon, seed=1, inference_steps=1) == track_id
    daemon.notification("generation_complete", track_id=track_id)
    assert len([m for m in daemon.messages if is_final(m, track_id)]) == 2


def test_asking_again_while_a_cancelled_job_is_unwinding(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"demo": {"seconds": {"encoding": 1.0}, "deaf": ["encoding"]}})
    track_id = generate(daemon, seed=1)
    daemon.send(
        *(
            {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
            for method, params in (
                ("cancel", {"track_id": track_id}),
                ("generate", {"prompt": "rain", "duration_sec": 5, "seed": 1}),
            )
        )
    )
    assert daemon.answer("generate")["result"]["status"] == "queued"
    daemon.notification("generation_complete", track_id=track_id)
    story = [
        message.get("id") or message["method"]
        for message in daemon.messages
        if message.get("id") in ("cancel", "generate") or is_final(message, track_id)
    ]
    assert story == ["cancel", "generation_cancelled", "generate", "generation_complete"]


def test_cancel_too_late_and_of_nothing(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    track_id = generate(daemon)
    daemon.final(track_id)
    assert daemon.error("cancel", track_id=track_id)["data"]["code"] == "TRACK_ALREADY_COMPLETE"
    assert daemon.error("cancel", track_id="0" * 16)["data"]["code"] == "TRACK_NOT_FOUND"
    assert daemon.error("cancel")["data"]["code"] == "INVALID_PARAMS"
    assert daemon.error("cancel", track_id="a", backend="b")["data"]["code"] == "INVALID_PARAMS"


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("fail", "MODEL_INFERENCE_FAILED"),
        ("defect", "INTERNAL_ERROR"),
        ("nan", "MODEL_INFERENCE_FAILED"),
    ],
)
def test_a_failed_job_is_told_and_the_next_one_runs(
    start_daemon: StartDaemon, prompt: str, code: str
) -> None:
    daemon = start_daemon()
    failing = generate(daemon, prompt)
    error = daemon.final(failing)
    assert error["method"] == "generation_error"
    assert error["params"]["code"] == code
    assert error["params"]["message"]
    good = generate(daemon)
    assert daemon.final(good)["method"] == "generation_complete"
    assert len([m for m in daemon.messages if is_final(m, failing)]) == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"duration_sec": 4.9}, "INVALID_DURATION"),
        ({"duration_sec": 61}, "INVALID_DURATION"),
        ({"backend": "muzak"}, "INVALID_BACKEND"),
        ({"backend": "ace_step"}, "BACKEND_NOT_INSTALLED"),
        ({"backend": "broken"}, "MODEL_LOAD_FAILED"),
        ({"erg": True}, "INVALID_PARAMS"),
    ],
)
def test_what_a_backend_cannot_do(
    start_daemon: StartDaemon, params: dict[str, Any], code: str
) -> None:
    daemon = start_daemon(
        {
            "ace_step": {"available": {"installed": False}, "full_model": True},
            "broken": {"available": BROKEN, "full_model": True},
            "demo": {"max_duration_sec": 60.0},
        }
    )
    data = daemon.error("generate", prompt="rain", **params)["data"]
    assert data["code"] == code
    assert data["hint"]
    if code == "INVALID_DURATION":
        assert (data["min"], data["max"]) == (5.0, 60.0)
    if code == "INVALID_BACKEND":
        assert data["known"] == ["ace_step", "broken", "demo"]


def test_the_best_installed_full_model_is_the_default(start_daemon: StartDaemon) -> None:
    absent = {"available": {"installed": False}, "full_model": True}
    full = {"full_model": True}
    daemon = start_daemon({"ace_step": absent, "musicgen": full, "demo": {}})
    assert daemon.request("get_backends")["default_backend"] == "musicgen"
    assert daemon.request("generate", prompt="rain")["backend"] == "musicgen"
    assert daemon.request("generate", prompt="rain", backend="demo")["backend"] == "demo"


def test_a_configured_backend_is_never_replaced(start_daemon: StartDaemon) -> None:
    absent = {"available": {"installed": False}, "full_model": True}
    daemon = start_daemon(
        {"ace_step": absent, "demo": {}}, environment={"LOFI_BACKEND": "ace_step"}
    )
    assert daemon.error("generate", prompt="rain")["data"]["code"] == "BACKEND_NOT_INSTALLED"
    assert daemon.request("generate", prompt="rain", backend="demo")["backend"] == "demo"


def test_get_backends(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(
        {
            "ace_step": {"available": {"installed": False}},
            "broken": {"available": BROKEN, "full_model": True},
            "demo": {"seconds": {"loading": 20.0}},
        }
    )
    track_id = generate(daemon, backend="demo")
    daemon.notification("generation_progress", track_id=track_id, phase="loading")
    backends = daemon.request("get_backends")["backends"]
    assert [(b["type"], b["status"], b.get("error")) for b in backends] == [
        ("ace_step", "not_installed", None),
        ("broken", "error", "x.onnx is cut"),
        ("demo", "loading", None),
    ]
    options = {option["name"]: option for option in backends[2].pop("options")}
    assert list(options) == [
        *DiffusionOptions.model_fields,
    ]
    steps, scheduler = options["inference_steps"], options["scheduler"]
    assert (steps["minimum"], steps["maximum"], steps["default"]) == (1, 200, 10)
    assert scheduler["choices"] == ["euler", "heun", "pingpong", "adams"]
    assert scheduler["default"] == "euler"
    assert {option["default"] for option in backends[0]["options"]} == {None}
    assert backends[2] == {
        "type": "demo",
        "name": "demo tone",
        "status": "loading",
        "min_duration_sec": 5.0,
        "max_duration_sec": 240.0,
        "sample_rate": 48000,
        "model_version": "1",
        "place": "here",
        "terms": {},
        "tasks": ["variation", "extend", "repaint"],
    }


def test_a_batch_of_everything(start_daemon: StartDaemon) -> None:
    """Answers in one array, none for notifications, and before what the generates cause."""
    daemon = start_daemon()
    call = {"jsonrpc": "2.0", "method": "generate"}
    daemon.send(
        [
            {**call, "id": 1, "params": {"prompt": "rain", "duration_sec": 5, "seed": 1}},
            {**call, "params": {"prompt": "rain", "duration_sec": 5, "seed": 2}},
            {"jsonrpc": "2.0", "id": 1, "method": "status"},
            17,
            {**call, "params": {"prompt": ""}},
            {"jsonrpc": "2.0", "id": None, "method": "nonsense"},
        ]
    )
    deadline = time.monotonic() + 20
    while not daemon.raw_lines and time.monotonic() < deadline:
        time.sleep(0.01)
    answers = daemon.messages[0]
    assert isinstance(answers, list)
    assert [answer["id"] for answer in answers] == [1, 1, None, None]
    assert answers[0]["result"]["status"] == "generating"
    assert answers[2]["error"]["code"] == -32600
    assert answers[3]["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("generate", {"prompt": "rain", "duration_sec": 5}),
        ("get_backends", {}),
        ("radio_start", {"prompts": ["rain"], "duration_sec": 5}),
    ],
)
def test_the_first_question_to_a_model_holds_nobody_up(
    start_daemon: StartDaemon, method: str, params: dict[str, Any]
) -> None:
    """It may load libraries; whoever asks something else meanwhile is answered before."""
    daemon = start_daemon(
        {"demo": {"first_question_sec": 1.0}}, environment={"LOFI_AUDIO_DEVICE": "null"}
    )
    daemon.request("ping")
    asked, pinged = daemon.call(method, **params), daemon.call("ping")
    again = daemon.call(method, **params)
    for identity in (asked, pinged, again):
        assert "result" in daemon.answer(identity)
    answered = [message["id"] for message in daemon.messages if "id" in message]
    assert answered.index(pinged) < answered.index(asked) < answered.index(again)
