"""The plugin and the real daemon together: the tiny model, the player, and a device that plays to
nobody in real time."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.nvim.conftest import ROOT, Editor
from tests.nvim.test_daemon import wait_gone
from tests.nvim.test_generate import GENERATE, outcome
from tests.tiny_bundle import tiny_bundle

pytestmark = pytest.mark.one_neovim

# A machine with other work may take a while for what takes a second.
PATIENCE = 240


@pytest.fixture(scope="session")
def bundle() -> Path:
    return tiny_bundle()


@pytest.fixture
def real(bundle: Path, tmp_path: Path) -> Callable[..., Editor]:
    """Sets an editor up with the real daemon; all of them share one track cache."""

    def set_up(editor: Editor, device: str | None = "null", **generate: Any) -> Editor:
        environment = {
            "PYTHONPATH": str(ROOT / "src"),
            "LOFI_ACE_STEP_MODEL_PATH": str(bundle),
            "LOFI_CACHE_PATH": str(tmp_path / "tracks"),
            "LOFI_THREADS": "1",
        }
        if device:
            environment["LOFI_AUDIO_DEVICE"] = device
        defaults = {"backend": "ace_step", "duration_sec": 5, "inference_steps": 1}
        editor.setup(
            cmd=[sys.executable, "-m", "lofi_daemon"],
            env=environment,
            startup_timeout_ms=60000,
            generate={**defaults, **generate},
        )
        return editor

    return set_up


def finished(editor: Editor) -> dict[str, Any]:
    editor.until(lambda: editor.lua("return calls"), PATIENCE)
    return outcome(editor)


def test_two_minutes_with_progress_seen(editor: Editor, real: Callable[..., Editor]) -> None:
    real(editor)
    editor.listen("generation_start", "generation_progress", "generation_complete")
    editor.lua(GENERATE, {"prompt": "rainy night, rhodes", "duration_sec": 120})
    editor.until(lambda: "diffusing" in "\n".join(editor.screen()), PATIENCE)
    track = finished(editor)["track"]
    assert track["duration_sec"] == pytest.approx(120, abs=0.1)
    assert Path(track["path"]).stat().st_size > 120 * 44100 * 4
    percents = [each["percent"] for each in editor.heard("generation_progress")]
    assert percents == sorted(percents)
    assert len(percents) > 5
    assert {each["phase"] for each in editor.heard("generation_progress")} >= {
        "diffusing",
        "decoding",
        "writing",
    }
    editor.until(lambda: "2:00 of music" in "\n".join(editor.screen()))


def test_a_cancel_half_way(editor: Editor, real: Callable[..., Editor], tmp_path: Path) -> None:
    real(editor, inference_steps=200)
    editor.listen("generation_progress", "generation_cancelled")
    editor.lua(GENERATE, {"prompt": "rainy night"})
    step = "return (require('lofi').state().jobs[1] or {}).current_step or 0"
    editor.until(lambda: editor.lua(step) >= 20, PATIENCE)
    editor.lua("handle:cancel()")
    assert finished(editor)["code"] == "CANCELLED"
    cancelled = editor.until_heard("generation_cancelled")
    assert 20 <= cancelled["at_step"] < 200
    assert cancelled["total_steps"] == 200
    assert not list(tmp_path.glob("tracks/*.wav"))


def test_a_seed_gives_the_same_bytes_twice(editor: Editor, real: Callable[..., Editor]) -> None:
    real(editor)
    audio = []
    for _ in range(2):
        editor.lua(GENERATE, {"prompt": "rainy night", "seed": "18446744073709551615"})
        track = finished(editor)["track"]
        assert track["seed"] == "18446744073709551615"
        audio.append(Path(track["path"]).read_bytes())
        editor.lua(
            "local id = ...; require('lofi').delete(id, function(p) _G.deleted = p or id end)",
            track["track_id"],
        )
        editor.until(lambda: editor.lua("return deleted"))
        assert editor.lua("return deleted") == track["track_id"]
        assert not Path(track["path"]).exists()
        editor.lua("_G.deleted = nil")
    assert audio[0] == audio[1]


def test_the_radio_plays_two_tracks_in_a_row(editor: Editor, real: Callable[..., Editor]) -> None:
    real(editor)
    editor.listen("generation_complete", "playback_start", "playback_end")
    editor.command("Lofi radio")
    editor.until(lambda: len(editor.heard("playback_start")) >= 2, PATIENCE)
    first, second = editor.heard("playback_start")[:2]
    assert first["track_id"] != second["track_id"]
    editor.until(lambda: second["prompt"] in str(editor.lua("return require('lofi').state()")))
    assert editor.until_heard("playback_end") == {
        "track_id": first["track_id"],
        "reason": "finished",
    }
    editor.command("Lofi status")
    editor.until(lambda: "Radio    " in (s := "\n".join(editor.screen())) and "ready" in s)
    editor.command("close")
    editor.command("Lofi stop")
    editor.until(lambda: not editor.lua("return require('lofi').is_playing()"))


def test_every_command_is_understood(editor: Editor, real: Callable[..., Editor]) -> None:
    real(editor)
    editor.listen("playback_start", "playback_pause", "playback_resume", "generation_complete")
    editor.command("Lofi rainy night steps=2")
    track_id = editor.until_heard("playback_start", PATIENCE)["track_id"]
    editor.command("Lofi pause")
    editor.until_heard("playback_pause")
    editor.command("Lofi")
    editor.until_heard("playback_resume")
    editor.command("Lofi volume -10")
    editor.until_noticed("volume 40%")
    editor.command("Lofi keep")
    editor.until_noticed("lofi: kept")
    editor.lua(
        "local id = ...; require('lofi').delete(id, function(p) _G.refused = p and p.code end)",
        track_id,
    )
    editor.until(lambda: editor.lua("return refused"))
    editor.lua("require('lofi').queue(..., function(p) _G.added = p or 'added' end)", track_id)
    editor.until(lambda: editor.lua("return added") == "added")
    # It plays while it is made; the pages say how things stand when they are opened.
    editor.until_heard("generation_complete", PATIENCE)
    for command, text in [
        ("status", "Cache    1 tracks"),
        ("queue", "Making   nothing"),
        ("backends", "ace_step   ready"),
    ]:
        editor.command(f"Lofi {command}")
        editor.until(lambda t=text: t in "\n".join(editor.screen()), 30)
        editor.command("close")
    editor.command("Lofi queue clear")
    editor.until_noticed("0 cancelled")
    editor.command("Lofi play rainy")
    editor.until(lambda: len(editor.heard("playback_start")) >= 2)
    editor.command("Lofi device null")
    editor.command("Lofi cancel")
    editor.until_noticed("nothing is being generated")
    presets = editor.lua("return vim.fn.getcompletion('Lofi radio ', 'cmdline')")
    assert presets[0] == "off"
    assert len(presets) > 1
    editor.command("Lofi generate keys backend=musicgen")
    editor.until_noticed("usic")
    editor.command("Lofi skip")
    editor.command("Lofi stop")
    editor.until(lambda: editor.lua("return require('lofi').current_track()") is None)
    editor.command("Lofi restart")
    editor.until_noticed("runs", 30)
    assert "INVALID" not in editor.notices()
    assert "unknown" not in editor.notices()


def test_without_a_sound_device_the_track_is_named(
    editor: Editor, real: Callable[..., Editor]
) -> None:
    real(editor, device="a device that does not exist")
    editor.command("Lofi rainy night")
    notice = editor.until_noticed('"rainy night" is ready (', PATIENCE)
    assert "but cannot be played" in notice


def test_a_killed_neovim_leaves_nothing_behind(editor: Editor, real: Callable[..., Editor]) -> None:
    real(editor)
    editor.listen("playback_start", "generation_progress")
    editor.command("Lofi rainy night")
    editor.until_heard("playback_start", PATIENCE)
    editor.command("Lofi another one duration=60 steps=100")
    editor.until(lambda: editor.heard("generation_progress")[-1]["total_steps"] == 100, PATIENCE)
    daemon = psutil.Process(editor.daemon_pid())
    family = [daemon.pid, *(child.pid for child in daemon.children(recursive=True))]
    assert len(family) >= 2, "the player is a process of its own"
    os.kill(editor.lua("return vim.uv.os_getpid()"), signal.SIGKILL)
    for pid in family:
        wait_gone(pid, 10)


def test_a_killed_daemon_is_reported_and_started_again(
    editor: Editor, real: Callable[..., Editor]
) -> None:
    real(editor)
    editor.listen("playback_start", "playback_end", "daemon_exit", "generation_complete")
    editor.command("Lofi rainy night")
    editor.until_heard("playback_start", PATIENCE)
    editor.until_heard("generation_complete", PATIENCE)  # it may be heard before it is whole
    family = psutil.Process(editor.daemon_pid()).children(recursive=True)
    os.kill(editor.daemon_pid(), signal.SIGKILL)
    assert editor.until_heard("daemon_exit")["signal"] == signal.SIGKILL
    editor.until_noticed("the daemon ended (killed by signal 9)")
    assert editor.heard("playback_end")[-1]["reason"] == "error"
    for process in family:
        wait_gone(process.pid, 10)
    editor.command("Lofi play")
    editor.until(lambda: len(editor.heard("playback_start")) == 2, 60)


def test_two_neovims_share_the_cache(
    editors: Callable[..., Editor], real: Callable[..., Editor], tmp_path: Path
) -> None:
    both = [real(editors("one")), real(editors("two"))]
    for editor in both:
        editor.listen("generation_complete", "generation_error")
        for prompt in ("the same", f"only in {editor.home.name}"):
            editor.lua("require('lofi').generate({ prompt = ..., seed = 5 })", prompt)
    for editor in both:
        editor.until(lambda e=editor: len(e.heard("generation_complete")) == 2, PATIENCE)
        assert editor.heard("generation_error") == []
    lists = []
    for editor in both:
        editor.lua("require('lofi').tracks(nil, function(_, tracks) _G.found = tracks end)")
        lists.append(editor.until(lambda e=editor: e.lua("return found")))
    assert lists[0] == lists[1]
    assert sorted(track["prompt"] for track in lists[0]) == [
        "only in one",
        "only in two",
        "the same",
    ]
    for track in lists[0]:
        sidecar = json.loads((tmp_path / "tracks" / f"{track['track_id']}.json").read_text())
        assert sidecar["prompt"] == track["prompt"]
        assert len(track["waveform"]) == 64
    leftovers = [
        path.name
        for path in (tmp_path / "tracks").iterdir()
        if path.suffix not in (".wav", ".json", ".npz") and not path.name.startswith(".")
    ]
    assert leftovers == []
