"""An hour of `:Lofi` alone, in small terminals: nothing that the plugin shows makes Neovim wait.

LOFI_TEST_RADIO_SEC makes it shorter.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from tests.nvim.conftest import ROOT, Editor

SECONDS = int(os.environ.get("LOFI_TEST_RADIO_SEC", "3600"))


@pytest.mark.soak
@pytest.mark.one_neovim
@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
def test_an_hour_of_the_radio_shows_no_prompt(
    editors: Callable[..., Editor], size: tuple[int, int]
) -> None:
    editor = editors(columns=size[0], lines=size[1])
    editor.setup(
        cmd=[sys.executable, "-m", "lofi_daemon"],
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "LOFI_AUDIO_DEVICE": "null",
            "LOFI_BACKEND": "demo",
            "LOFI_THREADS": "1",
            "LOFI_CACHE_PATH": str(editor.home / "tracks"),
        },
        startup_timeout_ms=60000,
    )
    editor.listen("playback_start", "generation_complete")
    editor.command("Lofi")
    editor.until_heard("playback_start", 300)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(10)
        assert editor.watched.traps == []
        assert editor.lua("return require('lofi').is_playing()") is not None
    assert len(editor.heard("playback_start")) > SECONDS / 200
    print(size, len(editor.heard("playback_start")), "tracks played without a prompt")
