"""Something at the other end that is not what it should be: `python fakes.py KIND [FILE]`.

Every kind but its one fault is a machine with the bundled model that has made FILE.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

KIND = sys.argv[1]
FILE = Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else b""
TRACK = "0123456789abcdef"
VERSION = "tone-1"
Json = dict[str, Any]


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def send(**message: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def notify(method: str, **params: Any) -> None:
    send(method=method, params=params)


def listed() -> Json:
    backend: Json = {
        "type": "demo",
        "name": "demo tone",
        "status": "ready",
        "sample_rate": 44100 if KIND == "other rate" else 48000,
        "model_version": VERSION,
        "terms": {},
    }
    if KIND == "no terms":
        del backend["terms"]
    if KIND == "strange list":
        backend["sample_rate"] = "many"
    return {"backends": [backend]}


def piece(params: Json) -> Json:
    content = FILE
    data = content[params["offset"] : params["offset"] + min(params["limit"], 50_000)]
    answer = {
        "data": base64.b64encode(data).decode(),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    later = params["offset"] > 0
    if KIND == "half" and later:
        answer["data"] = ""
    elif KIND == "wrong hash":
        answer["sha256"] = hashlib.sha256(b"another").hexdigest()
    elif KIND == "huge":
        answer["bytes"] = 1 << 40
    elif KIND == "empty":
        answer["bytes"] = 0
    elif KIND == "changes" and later:
        answer["sha256"] = hashlib.sha256(b"another").hexdigest()
    elif KIND == "not base64":
        answer["data"] = "§§§"
    elif KIND == "too much":
        answer["bytes"] = 10
    elif KIND == "dies while fetched" and later:
        sys.exit(1)
    elif KIND == "slow pieces" and later:
        time.sleep(600)
    return answer


def generated(params: Json) -> None:
    if KIND == "garbage later":
        write("Segmentation fault\n")
    if KIND == "not an object":
        write("[1, 2, 3]\n")
    if KIND == "long line later":
        write("x" * 10_000_000)
    if KIND == "deep":
        write("[" * 100_000 + "\n")
    if KIND == "hangs":
        time.sleep(600)
    if KIND == "error":
        notify(
            "generation_error",
            track_id=TRACK,
            code="MODEL_INFERENCE_FAILED",
            message="The model made \x1b]0;owned\x07 NaN.",
            hint="Try another seed.",
        )
        return
    if KIND == "unknown error":
        notify("generation_error", track_id=TRACK, code="OF_LATER", message="What?", hint="")
        return
    if KIND == "strange progress":
        notify("generation_progress", track_id=TRACK, phase=7)
    if KIND == "stops":
        notify("generation_cancelled", track_id=TRACK, at_step=0, total_steps=1)
    notify(
        "generation_complete",
        track_id=TRACK,
        backend="musicgen" if KIND == "other track" else "demo",
        model_version="tone-2" if KIND == "other model" else VERSION,
        seed=params["seed"],
        path="/etc/passwd",
    )


def answer(request: Json) -> None:
    method, params = request["method"], request.get("params", {})
    if method == "ping":
        protocol = 0 if KIND == "old protocol" else 1
        result: Any = {"status": "ok", "version": "0.1.0", "protocol": protocol}
    elif method == "get_backends":
        result = [] if KIND == "strange answer" else listed()
    elif method == "generate" and KIND == "refusal":
        data = {"code": "QUEUE_FULL", "hint": "Wait."}
        send(id=request["id"], error={"code": -32004, "message": "\x1b[2JTen wait.", "data": data})
        return
    elif method == "generate":
        result = {"track_id": TRACK, "seed": params["seed"], "backend": "demo"}
        if KIND == "strange ticket":
            result["track_id"] = "../../etc/passwd"
    elif method == "tracks_read" and KIND != "no tracks_read":
        result = piece(params)
    else:
        error = {"code": -32601, "message": "There is none.", "data": {"code": "METHOD_NOT_FOUND"}}
        send(id=request["id"], error=error)
        return
    if "id" in request:
        send(id=request["id"], result=result)
    if method == "generate":
        generated(params)


def main() -> None:
    if KIND == "refuses":
        sys.stderr.write("Warning: Permanently added.\ngpubox: Permission denied (publickey).\n")
        sys.exit(255)
    if KIND == "mute":
        time.sleep(600)
    if KIND == "banner":
        write("Welcome to gpubox!\n\n{not json}\n[]\n")
    while KIND == "garbage":
        write("command not found\n")
    if KIND == "long line":
        write("x" * 10_000_000 + "\n")
    if KIND == "endless line":
        while True:
            write("x" * 65536)
    for line in sys.stdin:
        answer(json.loads(line))


if __name__ == "__main__":
    main()
