"""What a track costs beyond its making when another machine makes it.

    python -m benchmarks.remote [seconds …]

A second daemon on a cache of its own stands for the other machine: behind a pipe, and behind a
real sshd on the loopback interface where there is one (see tests/system.py). It makes tracks of 30
and 240 s with the bundled model; then each is asked for through either way, and the time until
`generation_complete` is all that comes on top: asking, fetching, decoding, measuring and writing.
The first of each, of 5 s, also pays for making the connection.
"""

from __future__ import annotations

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
# The length of the track that pays for making the connection.
CONNECTING_SEC = 5.0


def box_command(folder: Path) -> list[str]:
    """The daemon of the other machine."""
    homes = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    variables = [f"PYTHONPATH={path}", *(f"{name}={folder}" for name in homes)]
    return ["env", *variables, sys.executable, "-m", "lofi_daemon"]


def measure(name: str, command: list[str], here: Path, lengths: list[float]) -> None:
    """Ask for a track of each length, in seconds, on a cache that has none."""
    environment = {"LOFI_REMOTE": shlex.join(command), "LOFI_REMOTE_BACKENDS": "demo"}
    with DaemonProcess(here, environment=environment) as daemon:
        while True:
            backends = daemon.request("get_backends")["backends"]
            if next(each for each in backends if each["type"] == "demo")["status"] == "ready":
                break
        asked = {"prompt": "rainy night, rhodes", "backend": "demo", "inference_steps": STEPS}
        for seconds in lengths:
            call = daemon.call("generate", duration_sec=seconds, seed=1, **asked)
            answer = daemon.answer(call)
            final = daemon.final(answer["result"]["track_id"], PATIENCE_SEC)
            assert final["method"] == "generation_complete", final
            took = daemon.arrival(final) - daemon.arrival(answer)
            print(f"{name}, {seconds:3.0f} s: {took:6.2f} s", flush=True)


def main() -> None:
    lengths = [CONNECTING_SEC, *([float(each) for each in sys.argv[1:]] or [30.0, 240.0])]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        box = box_command(root / "box")
        measure("making", box, root / "made", lengths)
        measure("pipe", box, root / "pipe", lengths)
        if shutil.which("sshd") is None:
            print("sshd is not here")
            return
        with SshServer(root / "sshd") as server:
            measure("ssh", server.command(box), root / "ssh", lengths)


if __name__ == "__main__":
    main()
