"""What a track costs beyond its making when another machine makes it.

    python -m benchmarks.remote [seconds …]

A second daemon on a cache of its own stands for the other machine: behind a pipe, and behind a
real sshd on the loopback interface where there is one (see tests/system.py). The bundled model
makes tracks of 30 and 240 s there; what is told is the time until `generation_complete` here, and
how much of it is not the other machine's own. The first track of each connection pays for making
that.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.daemon_process import REPOSITORY, DaemonProcess
from tests.ssh_server import SshServer

PATIENCE_SEC = 3600.0
STEPS = 2


def box_command(folder: Path) -> list[str]:
    """The daemon of the other machine."""
    homes = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    variables = [f"PYTHONPATH={path}", *(f"{name}={folder}" for name in homes)]
    return ["env", *variables, sys.executable, "-m", "lofi_daemon"]


def own_seconds(box: Path, track_id: str) -> float:
    """What the other machine's sidecar says of the making."""
    sidecar = box / "lofi.nvim" / "tracks" / f"{track_id}.json"
    return json.loads(sidecar.read_text())["generation_time_sec"]


def measure(name: str, command: list[str], box: Path, here: Path, lengths: list[float]) -> None:
    environment = {"LOFI_REMOTE": shlex.join(command), "LOFI_REMOTE_BACKENDS": "demo"}
    with DaemonProcess(here, environment=environment) as daemon:
        while True:
            backends = daemon.request("get_backends")["backends"]
            if next(each for each in backends if each["type"] == "demo")["status"] == "ready":
                break
        asked = {"prompt": "rainy night, rhodes", "backend": "demo", "inference_steps": STEPS}
        for number, seconds in enumerate([5.0, *lengths]):
            call = daemon.call("generate", duration_sec=seconds, seed=number, **asked)
            answer = daemon.answer(call)
            track_id = answer["result"]["track_id"]
            final = daemon.final(track_id, PATIENCE_SEC)
            took = daemon.arrival(final) - daemon.arrival(answer)
            own = own_seconds(box, track_id)
            first = ", the first: connecting and starting included" if number == 0 else ""
            print(
                f"{name}, {seconds:3.0f} s: {took:6.2f} s here, {own:6.2f} s there, "
                f"{took - own:5.2f} s beyond{first}",
                flush=True,
            )


def main() -> None:
    lengths = [float(each) for each in sys.argv[1:]] or [30.0, 240.0]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        measure("pipe", box_command(root / "box"), root / "box", root / "here", lengths)
        if shutil.which("sshd") is None:
            print("sshd is not here")
            return
        with SshServer(root / "sshd") as server:
            command = server.command(box_command(root / "box2"))
            measure("ssh", command, root / "box2", root / "here2", lengths)


if __name__ == "__main__":
    main()
