"""How soon a newcomer's `:Lofi` is heard: a real Neovim, an empty cache, the bundled model.

    python -m benchmarks.first_minute [rounds]

For the radio (`:Lofi` alone) and for a prompt, each with nothing running and with a daemon that has
made a track before. PulseAudio with a null sink is recorded; the seconds are from the command to
the first sound. At most 4 and 2.5 are wanted. Needs PulseAudio (see tests/system.py).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.first_sound import until_sound
from tests.nvim.conftest import Editor
from tests.player.pulse import PulseServer

SRC = Path(__file__).parent.parent / "src"
COMMANDS = ("Lofi", "Lofi rainy night, rhodes, vinyl crackle")
READY_SEC = 60.0


def first_sound(home: Path, server: PulseServer, command: str, *, warm: bool) -> float:
    """Seconds from the command to the first sound."""
    variables = {"XDG_RUNTIME_DIR": str(home), "PYTHONPATH": str(SRC)}
    editor = Editor(home, **server.environment | variables)
    recording = server.listen()
    try:
        editor.setup(cmd=[sys.executable, "-m", "lofi_daemon"], startup_timeout_ms=60_000)
        if warm:
            editor.listen("generation_complete")
            editor.lua(
                "require('lofi').generate({ prompt = 'rain', duration_sec = 5, play = false })"
            )
            editor.until(lambda: editor.heard("generation_complete"), READY_SEC)
            for path in (home / "cache" / "lofi.nvim" / "tracks").glob("????????????????.*"):
                path.unlink()
        return until_sound(recording, lambda: editor.command(command)) / 1000.0
    finally:
        recording.stop()
        editor.close()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {rounds} rounds")
    with PulseServer(48000) as server:
        for command in COMMANDS:
            for warm in (False, True):
                took: list[float] = []
                for _ in range(rounds):
                    with tempfile.TemporaryDirectory() as folder:
                        took.append(first_sound(Path(folder), server, command, warm=warm))
                print(
                    f":{command} {'with a daemon' if warm else 'from nothing'}: "
                    f"median {statistics.median(took):.2f} s, worst {max(took):.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
