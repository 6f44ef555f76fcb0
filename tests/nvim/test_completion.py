from __future__ import annotations

import json
import time

import pytest

from tests.nvim.conftest import ROOT, Editor
from tests.nvim.test_commands import make_track

SUBCOMMANDS = [
    *("generate", "radio", "play", "pause", "resume", "toggle", "stop", "skip"),
    *("previous", "seek", "mute", "loop", "player", "volume"),
    *("device", "again", "vary", "extend", "redo", "like", "lyrics"),
    *("keep", "tracks", "undo", "prompt", "cancel", "queue", "status", "backends"),
    *("download", "install", "log", "restart", "help"),
]
PARAMETERS = [
    *("duration=", "backend=", "seed=", "priority=", "format=", "steps=", "guidance="),
    *("variation=", "variation_seed=", "loop=", "scheduler="),
    *("bpm=", "key=", "time_signature=", "lyrics=", "language=", "shift=", "dcw=", "repaint_mask="),
    *("quality=", "cfg=", "erg="),
]


def complete(editor: Editor, line: str) -> list[str]:
    return editor.lua("return vim.fn.getcompletion(..., 'cmdline')", line)


def test_subcommands(editor: Editor) -> None:
    editor.fake()
    assert complete(editor, "Lofi ") == SUBCOMMANDS
    assert complete(editor, "Lofi st") == ["stop", "status"]
    assert complete(editor, "'<,'>Lofi gen") == ["generate"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Lofi generate foggy ",
            PARAMETERS,
        ),
        ("Lofi generate duration=3 du", []),
        ("Lofi foggy harbour sch", ["scheduler="]),
        (
            "Lofi generate scheduler=",
            ["scheduler=euler", "scheduler=heun", "scheduler=pingpong", "scheduler=adams"],
        ),
        ("Lofi generate priority=h", ["priority=high"]),
        ("'<,'>Lofi lyrics slow piano lang", ["language="]),
        ("Lofi generate time_signature=3", ["time_signature=3"]),
        ("Lofi generate time_signature=3 time", []),
        (
            "Lofi generate backend=",
            [
                "backend=ace_step",
                "backend=musicgen",
                "backend=demo",
            ],
        ),
        ("Lofi generate tempo=", []),
        ("Lofi download m", ["musicgen"]),
        ("Lofi radio of", ["off"]),
        ("Lofi radio coffee s", ["shop"]),
        ("Lofi device ", ["default", "Built-in Audio", "USB Headset"]),
        ("Lofi device USB H", ["Headset"]),
        ("Lofi volume +", ["+5"]),
        ("Lofi queue ", ["clear"]),
        ("Lofi pause ", []),
        ("Lofi cancel ", []),
    ],
)
def test_arguments(editor: Editor, line: str, expected: list[str]) -> None:
    editor.fake()
    assert complete(editor, line) == expected


def test_tracks(editor: Editor) -> None:
    editor.fake()
    track_id = make_track(editor, "rainy night")
    make_track(editor, "rainy morning")
    assert complete(editor, "Lofi play ") == ["rainy morning", "rainy night"]
    assert complete(editor, "Lofi play rainy n") == ["night"]
    assert complete(editor, "Lofi keep " + track_id[:4]) == [track_id]


def test_presets_come_at_once_and_the_users_own_when_they_are_known(editor: Editor) -> None:
    editor.fake()
    bundled = json.loads((ROOT / "src/lofi_daemon/radio/presets.json").read_text())
    names = [preset["name"] for preset in bundled]
    assert complete(editor, "Lofi radio ") == ["off", "kept", "all", "flow", *names]
    assert complete(editor, "Lofi radio flow ") == names
    assert complete(editor, "Lofi radio flow coffee s") == ["shop"]
    assert editor.requests() == [], "nothing was asked for, so nothing was waited for"
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    complete(editor, "Lofi radio ")
    editor.until_requested("radio_presets")
    known = ["off", "kept", "all", "flow", "rain", "study"]
    editor.until(lambda: complete(editor, "Lofi radio ") == known)


def test_jobs_and_downloads(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("generation_progress", "download_progress")
    editor.command("Lofi slow keys")
    track_id = editor.until_heard("generation_progress")["track_id"]
    editor.command("Lofi download musicgen")
    editor.until_heard("download_progress")
    assert complete(editor, "Lofi cancel ") == sorted([track_id, "musicgen"])


def test_a_daemon_that_says_nothing_does_not_hold_up_the_command_line(editor: Editor) -> None:
    editor.fake("silent")
    started = time.monotonic()
    assert complete(editor, "Lofi download ") == [
        "ace_step_15",
        "ace_step",
        "musicgen",
        "demo",
    ]
    assert time.monotonic() - started < 3


def test_completion_without_a_daemon_is_quiet(editor: Editor) -> None:
    editor.lua("vim.env.PATH = ''")
    editor.lua("require('lofi.discovery').plugin_root = function() return '/nowhere' end")
    assert complete(editor, "Lofi radio ") == ["off", "kept", "all", "flow"]
    assert editor.notices() == ""
