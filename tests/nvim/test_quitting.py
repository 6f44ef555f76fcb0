"""Quitting at once: the music has hardly begun to begin, and nothing of it is left."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.nvim.conftest import ROOT

# A loaded machine may take a while for what takes no time.
PATIENCE_SEC = 60.0


def processes_with(value: str) -> list[psutil.Process]:
    """Those that were started with this value in their environment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if value in process.environ().values() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # another user's, or gone
            continue
    return found


@pytest.mark.parametrize("after_ms", [0, 60, 200])
@pytest.mark.parametrize("since", ["true", "require('lofi.daemon').is_ready()"])
def test_the_radio_and_out_at_once(neovim: str, tmp_path: Path, since: str, after_ms: int) -> None:
    """Since the command was given, and since the daemon was there to be asked."""
    told = tmp_path / "stderr"
    daemon = f"exec {shlex.quote(sys.executable)} -m lofi_daemon 2>>{shlex.quote(str(told))}"
    environment = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "src"),
        "LOFI_AUDIO_DEVICE": "null",
    }
    setup = f"lua require('lofi').setup({{ cmd = {{ 'sh', '-c', [[{daemon}]] }} }})"
    leave = (
        f"lua vim.wait(30000, function() return {since} end, 5); "
        f"vim.defer_fn(function() vim.cmd('qall!') end, {after_ms})"
    )
    arguments = ["--headless", "--clean", "-n", "-i", "NONE", "--cmd", f"set rtp^={ROOT}"]
    subprocess.run(
        [neovim, *arguments, "-c", setup, "-c", "Lofi", "-c", leave],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=PATIENCE_SEC,
    )
    deadline = time.monotonic() + PATIENCE_SEC
    while left := processes_with(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    log = told.read_text() if told.exists() else ""
    for trouble in ("Traceback", "INTERNAL_ERROR", "NoneType", "failed"):
        assert trouble not in log, log
