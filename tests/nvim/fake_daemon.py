"""A daemon that makes no music: it speaks the protocol, fast, and misbehaves on demand.

Usage: python -S fake_daemon.py [behaviour …]. Every request it gets is appended to the file that
FAKE_DAEMON_RECORD names, so that tests can see what the plugin sent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from typing import Any

BEHAVIOURS = set(sys.argv[1:])
STEPS = 20
STEP_SECONDS = 0.01
BACKENDS = [
    {"type": "ace_step", "name": "ACE-Step", "status": "ready"},
    {"type": "musicgen", "name": "MusicGen", "status": "not_installed"},
    {"type": "demo", "name": "Demo", "status": "ready"},
]
PRESETS = [
    {"name": "rain", "description": "wet windows", "prompts": ["rain one", "rain two"]},
    {"name": "study", "description": "quiet", "prompts": ["study one"]},
]


DIAGNOSIS: dict[str, Any] = {
    "version": "0.0-fake",
    "python": "3.12.1",
    "executable": "/opt/lofi/bin/python",
    "onnxruntime": "1.22.0",
    "providers": ["CPUExecutionProvider"],
    "device": "cpu",
    "problem": None,
    "memory_bytes": 16e9,
    "tracks_folder": "/music/tracks",
    "tracks_free_bytes": 50e9,
    "backends": [
        {
            "type": "ace_step",
            "name": "ACE-Step",
            "installed": False,
            "error": None,
            "folder": "/models/ace-step",
            "licence": "Apache-2.0",
            "disk_bytes": 11.5e9,
            "memory_bytes": 12e9,
            "free_bytes": 50e9,
        },
        {
            "type": "demo",
            "name": "Demo",
            "installed": True,
            "error": None,
            "folder": "/opt/lofi/demo",
            "licence": "MIT",
            "disk_bytes": 0.1e9,
            "memory_bytes": 0.6e9,
            "free_bytes": 50e9,
        },
    ],
}


class RefusalError(Exception):
    def __init__(self, code: int, name: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": {"code": name, "hint": hint}}


class FakeDaemon:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.cancelled: set[str] = set()
        self.running: set[str] = set()
        self.tracks: list[dict[str, Any]] = (
            [{"track_id": "a" * 16, "prompt": "kept from yesterday", "duration_sec": 30}]
            if "library" in BEHAVIOURS
            else []
        )
        self.playlist: list[str] = []
        self.count = 0
        self.player: dict[str, Any] = {
            "state": "stopped",
            "track_id": None,
            "prompt": None,
            "position_sec": 0,
            "duration_sec": 0,
            "volume": 0.5,
            "crossfade_sec": 2,
            "loop": "off",
            "device": None,
            "muted": False,
            "stops_in_sec": None,
        }
        self.wanted: set[str] = set()  # tracks that are played when they are made
        self.radio: dict[str, Any] | None = None
        # what the player tells shortly after the answer, and before the next request is looked at
        self.told_late: deque[tuple[str, dict[str, Any]]] = deque()

    def send(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}) + "\n"
        with self.lock:
            if "split" in BEHAVIOURS:
                for character in line:
                    sys.stdout.write(character)
                    sys.stdout.flush()
            else:
                sys.stdout.write(line)
                sys.stdout.flush()

    def notify(self, method: str, **params: Any) -> None:
        self.send({"method": method, "params": params})

    # methods

    def ping(self) -> dict[str, Any]:
        protocol = 9 if "protocol" in BEHAVIOURS else 1
        return {"status": "ok", "version": "0.0-fake", "protocol": protocol}

    def generate(self, prompt: str = "", **params: Any) -> dict[str, Any]:
        if not prompt:
            source = params["source"]
            prompt = next(each["prompt"] for each in self.tracks if each["track_id"] == source)
        backend = params.get("backend") or "demo"
        if "queue_full" in BEHAVIOURS:
            raise RefusalError(
                -32004, "QUEUE_FULL", "10 tracks wait already", "Wait for one of them."
            )
        if backend == "musicgen":
            raise RefusalError(
                -32008, "BACKEND_NOT_INSTALLED", "musicgen is not installed", "Download it first."
            )
        seed = params.get("seed", 18446744073709551557)
        track_id = f"{abs(hash((prompt, seed))) % 16**16:016x}"
        fresh = track_id not in self.running
        self.running.add(track_id)
        if params.pop("play", None) is not None:
            self.wanted.add(track_id)
        answer = {
            "track_id": track_id,
            "status": "generating",
            "position": 0,
            "seed": seed,
            "backend": backend,
        }
        if "understands" in BEHAVIOURS:
            answer["understood"] = {"text": "read as piano, 72 bpm, no drums"}
        if fresh:
            job = (track_id, prompt, seed, backend, params)
            threading.Timer(0.005, self.work, job).start()
        return answer

    def work(
        self, track_id: str, prompt: str, seed: int, backend: str, params: dict[str, Any]
    ) -> None:
        for step in range(1, STEPS + 1):
            time.sleep(STEP_SECONDS)
            if "slow" in BEHAVIOURS and step == 10:
                self.linger(track_id)
            if track_id in self.cancelled:
                self.running.discard(track_id)
                self.notify(
                    "generation_cancelled", track_id=track_id, at_step=step, total_steps=STEPS
                )
                return
            if "dies" in BEHAVIOURS and step == 10:
                print("the last words of the daemon", file=sys.stderr, flush=True)
                os._exit(3)
            if "fails" in BEHAVIOURS and step == 10:
                self.running.discard(track_id)
                self.notify(
                    "generation_error",
                    track_id=track_id,
                    code="MODEL_INFERENCE_FAILED",
                    message="not a number at step 10",
                )
                return
            self.notify(
                "generation_progress",
                track_id=track_id,
                percent=min(99, 100 * step // STEPS),
                current_step=step,
                total_steps=STEPS,
                eta_sec=(STEPS - step) * STEP_SECONDS,
                phase="diffusing",
            )
            if "garbage" in BEHAVIOURS and step == 10:
                print("Segmentation fault, or so", flush=True)
        track = {
            "track_id": track_id,
            "prompt": prompt,
            "seed": seed,
            "backend": backend,
            "model_version": "1",
            "duration_sec": params.get("duration_sec", 30),
            "created_at": "2026-03-01T12:00:00.000Z",
            "waveform": [index / 63 for index in range(64)],
            "loudness_lufs": -14.2,
            "kept": False,
            "last_played_at": None,
            "inference_steps": params.get("inference_steps", 60),
        }
        self.tracks.insert(0, track)
        self.running.discard(track_id)
        self.notify(
            "generation_complete",
            track_id=track_id,
            path=f"/tmp/{track_id}.wav",
            duration_sec=track["duration_sec"],
            sample_rate=44100,
            prompt=prompt,
            seed=seed,
            generation_time_sec=0.2,
            backend=backend,
            model_version="1",
            **({"warning": "the disk is full"} if "full_disk" in BEHAVIOURS else {}),
        )
        if track_id in self.wanted:
            self.wanted.discard(track_id)
            self.play_made(track)

    def play_made(self, track: dict[str, Any]) -> None:
        """What the daemon does where `play` was asked for."""
        try:
            self.play(track["track_id"])
        except RefusalError as problem:
            made = f'"{track["prompt"]}" is ready (/tmp/{track["track_id"]}.wav)'
            self.notify(
                "playback_ended",
                track_id=track["track_id"],
                reason="error",
                code=problem.error["data"]["code"],
                message=f"{made} but cannot be played: {problem.error['message']}",
                hint=problem.error["data"]["hint"],
            )

    def linger(self, track_id: str) -> None:
        """Half way a slow track takes five seconds more, unless it is cancelled."""
        until = time.monotonic() + 5
        while time.monotonic() < until and track_id not in self.cancelled:
            time.sleep(STEP_SECONDS)

    def cancel(self, track_id: str = "", backend: str = "") -> dict[str, Any]:
        if backend:
            self.cancelled.add(backend)
            return {"cancelled": True, "was_generating": False}
        if track_id not in self.running:
            raise RefusalError(-32012, "TRACK_NOT_FOUND", f"no track {track_id}")
        self.cancelled.add(track_id)
        return {"cancelled": True, "was_generating": True}

    def get_backends(self) -> dict[str, Any]:
        common = {
            "min_duration_sec": 5,
            "max_duration_sec": 240,
            "sample_rate": 44100,
            "model_version": "1",
            "options": [],
            "tasks": [],
        }
        backends = [{**common, **each} for each in BACKENDS]
        for each in backends:
            if f"{each['type']} sings" in BEHAVIOURS:
                each["options"] = [{"name": "lyrics", "type": "string"}]
            if f"{each['type']} covers" in BEHAVIOURS:
                each["tasks"] = ["variation", "from_audio"]
        return {"backends": backends, "default_backend": "demo"}

    def download_backend(self, backend: str) -> dict[str, Any]:
        if backend == "demo":
            return {"started": False, "already_installed": True}
        threading.Timer(0.005, self.download, (backend,)).start()
        return {"started": True, "already_installed": False}

    def download(self, backend: str) -> None:
        for percent in range(0, 100, 10):
            time.sleep(0.02)
            if backend in self.cancelled:
                return
            if "disk_full" in BEHAVIOURS and percent == 50:
                self.notify(
                    "download_error",
                    backend=backend,
                    code="MODEL_DOWNLOAD_FAILED",
                    message="the disk is full",
                )
                return
            self.notify(
                "download_progress",
                backend=backend,
                component="decoder",
                component_percent=percent,
                overall_percent=percent,
                bytes_downloaded=percent * 10**7,
                bytes_total=10**9,
                file_name="decoder.onnx",
                files_completed=0,
                files_total=1,
            )
        self.notify("download_complete", backend=backend)

    def shutdown(self) -> dict[str, Any]:
        threading.Timer(0.01, os._exit, (0,)).start()
        return {"status": "shutting_down"}

    def status(self) -> dict[str, Any]:
        current = next(iter(self.running), None)
        return {
            "player": self.player,
            "radio": self.radio,
            "queue": {
                "current": {
                    "track_id": current,
                    "percent": 40,
                    "phase": "diffusing",
                    "eta_sec": 8,
                }
                if current
                else None,
                "waiting": [{"track_id": "f" * 16, "prompt": "waits its turn", "position": 1}],
            },
            "playlist": self.playlist,
            "cache": {"tracks": len(self.tracks), "bytes": 5_000_000, "max_bytes": 2_000_000_000},
        }

    def play(self, track_id: str | None = None) -> dict[str, Any]:
        if "no_device" in BEHAVIOURS:
            raise RefusalError(
                -32015, "AUDIO_DEVICE_ERROR", "there is no sound device", "Connect one."
            )
        found = [each for each in self.tracks if track_id in (None, each["track_id"])]
        if not found:
            raise RefusalError(-32012, "TRACK_NOT_FOUND", f"no track {track_id}")
        track = found[0]
        self.start(track["track_id"], track["prompt"], track["duration_sec"])
        return {"track_id": track["track_id"], "position_sec": 0}

    def start(self, track_id: str, prompt: str, duration_sec: float) -> None:
        self.player.update(
            state="playing", track_id=track_id, prompt=prompt, duration_sec=duration_sec
        )
        self.notify_playback("playback_started")

    def notify_playback(self, method: str) -> None:
        facts = ("track_id", "prompt", "position_sec", "duration_sec")
        self.told_late.append((method, {name: self.player[name] for name in facts}))
        threading.Timer(0.005, self.tell).start()

    def tell(self) -> None:
        """Sends what is told late, in the order in which it happened."""
        with self.lock:
            while self.told_late:
                method, facts = self.told_late.popleft()
                self.notify(method, **facts)

    def pause(self) -> dict[str, Any]:
        if self.player["track_id"]:
            self.player["state"] = "paused"
            self.notify_playback("playback_paused")
        return self.player

    def resume(self) -> dict[str, Any]:
        if self.player["track_id"]:
            self.player["state"] = "playing"
            self.notify_playback("playback_resumed")
        return self.player

    def end(self, reason: str) -> None:
        if self.player["track_id"]:
            track_id = self.player["track_id"]
            self.notify("playback_ended", track_id=track_id, reason=reason)

    def stop(self) -> dict[str, Any]:
        self.wanted.clear()
        self.end("stopped")
        self.player.update(state="stopped", track_id=None, prompt=None, duration_sec=0)
        return self.player

    def skip(self) -> dict[str, Any]:
        self.end("skipped")
        if self.radio:
            self.count += 1
            self.start(f"{self.count:016x}", f"radio track {self.count}", 60)
        return self.player

    def previous(self) -> dict[str, Any]:
        self.end("skipped")
        if self.player["track_id"]:
            self.count = max(1, self.count - 1)
            self.start(f"{self.count:016x}", f"radio track {self.count}", 60)
        return self.player

    def player_set(self, **settings: Any) -> dict[str, Any]:
        if settings.get("device") == "broken":
            raise RefusalError(-32015, "AUDIO_DEVICE_ERROR", "no sound device called broken")
        self.player.update(settings)
        return self.player

    def audio_devices(self) -> dict[str, Any]:
        names = [] if "no_device" in BEHAVIOURS else ["Built-in Audio", "USB Headset"]
        devices = [{"name": name, "is_default": index == 0} for index, name in enumerate(names)]
        return {"devices": devices, "current": None}

    def playlist_add(self, track_ids: list[str]) -> dict[str, Any]:
        self.playlist += track_ids
        return {"track_ids": self.playlist}

    def radio_start(self, **settings: Any) -> dict[str, Any]:
        self.radio = {"ahead": 2, "ready": 0, **settings}
        if "box_away" in BEHAVIOURS:
            self.notify(
                "radio_fallback",
                backend="demo",
                code="REMOTE_UNAVAILABLE",
                message="gpubox cannot be reached: no route to host.",
                hint="Try `ssh gpubox lofi-daemon` in a terminal.",
            )
        if "late_radio" in BEHAVIOURS:
            self.notify("radio_waiting", ready=0, eta_sec=3.0, replaying=None)
        elif self.player["state"] == "stopped":
            self.count += 1
            self.start(f"{self.count:016x}", f"radio track {self.count}", 60)
        return {"radio": self.radio}

    def radio_stop(self) -> dict[str, Any]:
        self.radio = None
        return {"radio": None}

    def radio_presets(self) -> dict[str, Any]:
        return {"presets": PRESETS}

    def tracks_list(self, query: str = "", limit: int = 100, offset: int = 0) -> dict[str, Any]:
        found = [
            track for track in self.tracks if query in track["prompt"] or query == track["track_id"]
        ]
        return {"tracks": found[offset : offset + limit], "total": len(found)}

    def tracks_keep(self, track_ids: list[str], kept: bool) -> dict[str, Any]:
        for track in self.tracks:
            if track["track_id"] in track_ids:
                track["kept"] = kept
        return {"track_ids": track_ids}

    def tracks_delete(self, track_ids: list[str]) -> dict[str, Any]:
        self.tracks = [track for track in self.tracks if track["track_id"] not in track_ids]
        return {"deleted": track_ids, "bytes_freed": 1000}

    def queue_clear(self) -> dict[str, Any]:
        return {"cancelled": ["f" * 16]}

    # the loop

    def answer(self, request: dict[str, Any]) -> None:
        method = request["method"]
        self.tell()
        try:
            result = getattr(self, method)(**request["params"])
        except RefusalError as refusal:
            self.send({"id": request["id"], "error": refusal.error})
        else:
            self.send({"id": request["id"], "result": result})


REMOTE = {
    "name": "gpubox",
    "command": "ssh gpubox lofi-daemon",
    "problem": None,
    "version": "0.0-fake",
    "greeting_sec": 1.5,
    "latency_sec": 0.0042,
    "device": "cuda",
    "models": [
        {"type": "ace_step", "status": "ready", "model_version": "v1", "error": None},
        {"type": "musicgen", "status": "not_installed", "model_version": None, "error": None},
        {"type": "broken", "status": "error", "model_version": None, "error": "x.onnx is cut"},
    ],
}


def doctor() -> None:
    ace_step, demo = DIAGNOSIS["backends"]
    if "poor" in BEHAVIOURS:
        DIAGNOSIS.update(memory_bytes=8e9, tracks_free_bytes=0.5e9)
        ace_step.update(free_bytes=3e9)
    if "broken" in BEHAVIOURS:
        DIAGNOSIS.update(problem="onnxruntime cannot be loaded: no such library")
        demo.update(installed=False, error="vocoder.onnx is missing")
    if "remote" in BEHAVIOURS:
        DIAGNOSIS["remote"] = REMOTE
        ace_step.update(place="gpubox", installed=True)
    if "box_away" in BEHAVIOURS:
        away = "gpubox cannot be reached: no route to host."
        told = {"version": None, "greeting_sec": None, "latency_sec": None, "device": None}
        DIAGNOSIS["remote"] = {**REMOTE, **told, "models": [], "problem": away}
        ace_step.update(place="gpubox", error="gpubox has not told yet what it has.")
    print(json.dumps(DIAGNOSIS))


def main() -> None:
    if "doctor" in BEHAVIOURS:
        if "old" in BEHAVIOURS:
            sys.exit("lofi-daemon: error: no such command: doctor")
        return doctor()
    record = os.environ.get("FAKE_DAEMON_RECORD")
    if "exits" in BEHAVIOURS:
        print("cannot start: LOFI_THREADS is not a number", file=sys.stderr, flush=True)
        sys.exit(2)
    if "banner" in BEHAVIOURS:
        print("Welcome to the wrapper script", flush=True)
    if "chatter" in BEHAVIOURS:
        for number in range(100):
            print(f"this is no daemon {number}", flush=True)
    if "stubborn" in BEHAVIOURS:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    daemon = FakeDaemon()
    for line in sys.stdin:
        if record:
            with open(record, "a", encoding="utf-8") as file:  # noqa: PTH123 (start-up time)
                file.write(line)
        if "silent" in BEHAVIOURS:
            continue
        if "confused" in BEHAVIOURS and '"ping"' in line:
            for _ in range(30):
                daemon.send({"id": None, "error": {"code": -32700, "message": "not JSON"}})
        request = json.loads(line)
        if request["method"] == "shutdown" and "stubborn" in BEHAVIOURS:
            continue
        daemon.answer(request)
    if "stubborn" in BEHAVIOURS:
        time.sleep(60)
    os._exit(0)


if __name__ == "__main__":
    main()
