from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor

EVENTS = [
    "generation_start",
    "generation_progress",
    "generation_complete",
    "generation_error",
    "generation_cancelled",
    "download_progress",
    "download_complete",
    "download_error",
    "playback_start",
    "playback_pause",
    "playback_resume",
    "playback_end",
    "radio_waiting",
    "daemon_exit",
]


def test_the_events_there_are(editor: Editor) -> None:
    assert editor.lua("return require('lofi.events').names") == EVENTS


@pytest.mark.parametrize(
    ("behaviour", "commands", "expected"),
    [
        (
            "",
            ["Lofi keys"],
            ["generation_start", "generation_progress", "generation_complete", "playback_start"],
        ),
        ("fails", ["Lofi keys"], ["generation_error"]),
        ("slow", ["Lofi keys", "Lofi cancel"], ["generation_cancelled"]),
        ("", ["Lofi download musicgen"], ["download_progress", "download_complete"]),
        ("disk_full", ["Lofi download musicgen"], ["download_error"]),
        (
            "",
            ["Lofi radio", "Lofi pause", "Lofi resume", "Lofi skip"],
            ["playback_start", "playback_pause", "playback_resume", "playback_end"],
        ),
        ("late_radio", ["Lofi radio"], ["radio_waiting"]),
        ("dies", ["Lofi keys"], ["generation_error", "daemon_exit"]),
    ],
)
def test_every_event_reaches_functions_and_autocommands(
    editor: Editor, behaviour: str, commands: list[str], expected: list[str]
) -> None:
    editor.fake(*filter(None, [behaviour]))
    editor.listen(*EVENTS)
    editor.lua(
        """
        _G.autocommands = {}
        vim.api.nvim_create_autocmd("User", { pattern = "Lofi*", callback = function(event)
          table.insert(autocommands, { event.match, event.data })
        end })
        """
    )
    for command in commands:
        if command == "Lofi cancel":
            editor.until_heard("generation_progress")
        if command == "Lofi pause":
            editor.until_heard("playback_start")
        editor.command(command)
    for event in expected:
        data = editor.until_heard(event)
        pattern = "Lofi" + "".join(word.capitalize() for word in event.split("_"))
        matching = [each[1] for each in editor.lua("return autocommands") if each[0] == pattern]
        assert data in matching


def test_a_listener_can_leave(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    editor.lua(
        """
        _G.count = 0
        _G.leave = require("lofi").on("playback_start", function()
          count = count + 1
          leave()
        end)
        """
    )
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.command("Lofi skip")
    editor.until(lambda: len(editor.heard("playback_start")) == 2)
    assert editor.lua("return count") == 1


def test_a_listener_can_send_the_next_one_away(editor: Editor) -> None:
    editor.lua(
        """
        local lofi = require("lofi")
        _G.calls = 0
        local leave
        lofi.on("playback_start", function() leave() end)
        leave = lofi.on("playback_start", function() calls = calls + 1 end)
        require("lofi.events").emit("playback_start", {})
        """
    )
    assert editor.lua("return calls") == 0
    assert editor.notices() == ""


def test_an_error_in_one_listener_keeps_no_other_from_hearing(editor: Editor) -> None:
    editor.fake()
    editor.lua("require('lofi').on('playback_start', function() error('my mistake') end)")
    editor.command("autocmd User LofiPlaybackStart throw 'my other mistake'")
    editor.listen("playback_start")
    editor.command("Lofi radio")
    editor.until_heard("playback_start")
    editor.until_noticed("my mistake")
    assert "my other mistake" in editor.nvim.command_output("messages")
    editor.watched.traps.clear()  # what an autocommand throws Neovim shows by itself


def test_an_unknown_event_is_named(editor: Editor) -> None:
    problem = editor.lua("return select(2, pcall(require('lofi').on, 'playback', print))")
    assert 'unknown event "playback"; known are generation_start' in problem


def test_a_track_of_the_radio_starts_too(editor: Editor) -> None:
    """The radio's tracks come without a request from here: their first progress starts them."""
    editor.listen("generation_start", "generation_progress")
    editor.lua(
        """
        local jobs = require("lofi.jobs")
        for percent = 1, 2 do
          local params = { track_id = "0123456789abcdef", percent = percent }
          jobs.notifications.generation_progress(params)
        end
        """
    )
    assert editor.heard() == ["generation_start", "generation_progress", "generation_progress"]
    assert editor.lua("return require('lofi').is_generating()")
