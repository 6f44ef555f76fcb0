from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.nvim.conftest import FAKE_DAEMON, ROOT, Editor


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs after {seconds} s"
        time.sleep(0.02)


def executable(path: Path) -> Path:
    """A script that is the fake daemon."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {FAKE_DAEMON} "$@"\n')
    path.chmod(0o755)
    return path


def test_where_it_is_looked_for(editor: Editor, tmp_path: Path) -> None:
    editor.lua("_G.root = ...", str(tmp_path / "plugin"))
    editor.lua("require('lofi.discovery').plugin_root = function() return root end")
    find = "return { require('lofi.discovery').find() }"
    editor.lua("vim.env.PATH = ...", str(tmp_path / "bin"))

    assert editor.lua(find)[0] is None
    uvx = str(executable(tmp_path / "bin/uvx"))
    assert editor.lua(find) == [[uvx, "--from", str(tmp_path / "plugin"), "lofi-daemon"], "uvx"]
    on_path = str(executable(tmp_path / "bin/lofi-daemon"))
    assert editor.lua(find) == [[on_path], "PATH"]
    built = str(executable(tmp_path / "plugin/.venv/bin/lofi-daemon"))
    assert editor.lua(find) == [[built], "the plugin's virtual environment"]
    editor.lua("vim.env.LOFI_DAEMON = ...", "/opt/lofi serve")
    assert editor.lua(find) == [["/opt/lofi", "serve"], "$LOFI_DAEMON"]
    editor.setup(cmd=["nice", "lofi-daemon"])
    assert editor.lua(find) == [["nice", "lofi-daemon"], "the option cmd"]
    spaced = str(executable(tmp_path / "with space/lofi-daemon"))
    editor.setup(cmd=spaced)
    assert editor.lua(find) == [[spaced], "the option cmd"]


def test_the_plugin_knows_its_own_directory(editor: Editor) -> None:
    assert editor.lua("return require('lofi.discovery').plugin_root()") == str(ROOT)


def test_it_starts_on_first_use_only(editor: Editor) -> None:
    editor.fake()
    editor.listen("playback_start")
    assert not editor.lua("return require('lofi').state().daemon.running")
    assert editor.requests() == []
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    state = editor.lua("return require('lofi').state().daemon")
    assert state == {"running": True, "version": "0.0-fake"}


def test_player_options_are_set_when_it_starts(editor: Editor) -> None:
    editor.fake(player={"volume": 0.3, "crossfade_sec": 4})
    editor.command("Lofi volume")
    editor.until_noticed("volume 30%")
    assert editor.requests() == ["ping", "player_set", "status"]


def test_its_environment(editor: Editor, tmp_path: Path) -> None:
    record = tmp_path / "elsewhere.jsonl"
    editor.fake(env={"FAKE_DAEMON_RECORD": str(record)})
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    assert record.exists()
    assert editor.requests() == []


def test_not_installed(editor: Editor) -> None:
    editor.lua("vim.env.PATH = ''")
    editor.lua("require('lofi.discovery').plugin_root = function() return '/nowhere' end")
    editor.lua("require('lofi').generate('keys')")
    notice = editor.until_noticed("lofi-daemon is not installed")
    assert ":Lofi install puts it into /nowhere" in notice
    assert ":checkhealth lofi" in notice


def test_a_command_that_does_not_exist(editor: Editor) -> None:
    editor.setup(cmd="/no/such/daemon")
    editor.lua("require('lofi').get_backends(function(problem) _G.code = problem.code end)")
    editor.until(lambda: editor.lua("return code") == "DAEMON_NOT_FOUND")
    assert "cannot start /no/such/daemon (from the option cmd): ENOENT" in editor.notices()


def test_it_ends_before_it_answers(editor: Editor) -> None:
    editor.fake("exits")
    editor.lua("require('lofi').get_backends(function(problem) _G.code = problem.code end)")
    editor.until(lambda: editor.lua("return code") == "DAEMON_EXITED")
    notice = editor.until_noticed("the daemon ended (exit status 2)")
    assert "cannot start: LOFI_THREADS is not a number" in notice


def test_it_dies_in_the_middle_of_a_track(editor: Editor) -> None:
    editor.fake("dies")
    editor.listen("generation_error", "daemon_exit")
    editor.lua(
        """
        _G.codes = {}
        local function note(problem) table.insert(codes, problem and problem.code or "fine") end
        require("lofi").generate("keys", note)
        require("lofi").generate("other keys", note)
        """
    )
    assert editor.until_heard("daemon_exit")["code"] == 3
    assert editor.lua("return codes") == ["DAEMON_EXITED", "DAEMON_EXITED"]
    assert "the last words of the daemon" in editor.until_noticed("the daemon ended")
    assert len(editor.heard("generation_error")) == 2
    assert not editor.lua("return require('lofi').is_generating()")

    editor.fake()
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    assert editor.until_heard("generation_complete")["prompt"] == "keys"


def test_a_daemon_that_keeps_dying_is_started_ever_later(editor: Editor) -> None:
    editor.fake("exits")
    editor.listen("daemon_exit")
    delays = []
    for attempt in range(1, 4):
        started = time.monotonic()
        editor.command("Lofi volume")
        editor.until(lambda n=attempt: len(editor.heard("daemon_exit")) == n)
        delays.append(time.monotonic() - started)
    assert delays[2] > 1
    assert "it is started again in 1 s" in editor.notices()
    waits = "return vim.tbl_map(require('lofi.daemon').backoff, { 0, 1, 2, 3, 6, 7, 40 })"
    assert editor.lua(waits) == [0, 0, 1000, 2000, 16000, 30000, 30000]
    editor.fake()
    editor.command("Lofi volume")
    assert "it is started again in 2 s" in editor.notices()
    editor.command("Lofi restart")
    editor.until_noticed("daemon 0.0-fake runs")


def test_garbage_between_the_lines(editor: Editor) -> None:
    editor.fake("garbage")
    editor.listen("generation_complete")
    editor.command("Lofi keys")
    editor.until_heard("generation_complete")
    assert "wrote what is not its protocol: Segmentation fault, or so" in editor.notices()
    editor.command("Lofi log")
    assert "stdout: Segmentation fault, or so" in "\n".join(editor.screen())


def test_a_program_that_is_no_daemon_at_all(editor: Editor) -> None:
    editor.fake("chatter")
    editor.command("Lofi keys")
    notice = editor.until_noticed("does not speak the daemon's protocol")
    assert "this is no daemon 19" in notice
    assert "Point the option cmd or $LOFI_DAEMON at lofi-daemon." in notice


def test_a_program_that_echoes(editor: Editor) -> None:
    editor.setup(cmd="/bin/cat", startup_timeout_ms=300)
    editor.command("Lofi keys")
    notice = editor.until_noticed("/bin/cat did not answer within 0.3 s; it wrote:")
    assert "ping" in notice


def test_a_daemon_that_never_answers(editor: Editor) -> None:
    editor.fake("silent", startup_timeout_ms=300)
    editor.lua("require('lofi').get_backends(function(problem) _G.code = problem.code end)")
    editor.until(lambda: editor.lua("return require('lofi.daemon').current() ~= nil"))
    pid = editor.daemon_pid()
    editor.until(lambda: editor.lua("return code") == "DAEMON_SILENT")
    assert gone(pid)


def test_another_protocol_version_is_named_and_refused(editor: Editor) -> None:
    editor.fake("protocol")
    editor.lua("require('lofi').get_backends(function(problem) _G.code = problem.code end)")
    editor.until(lambda: editor.lua("return code") == "PROTOCOL_MISMATCH")
    notice = editor.until_noticed("is version 0.0-fake and speaks protocol 9; this plugin speaks 1")
    assert "Update the older of the two" in notice
    assert editor.requests() == ["ping"]


def test_lines_split_over_reads(editor: Editor) -> None:
    editor.fake("split")
    editor.listen("generation_progress", "generation_complete")
    editor.command("Lofi größer als ein Käfig")
    assert editor.until_heard("generation_complete", 30)["prompt"] == "größer als ein Käfig"
    assert len(editor.heard("generation_progress")) == 20


def test_stop_ends_it_and_the_next_use_starts_it(editor: Editor) -> None:
    editor.fake()
    editor.listen("daemon_exit")
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    pid = editor.daemon_pid()
    editor.lua("require('lofi').stop(function() _G.stopped = true end)")
    editor.lua("require('lofi').get_backends(function(problem) _G.problem = problem or 'none' end)")
    editor.until(lambda: editor.lua("return stopped"))
    wait_gone(pid, 2)
    assert editor.heard("daemon_exit")[0]["expected"]
    editor.until(lambda: editor.lua("return problem") == "none")
    assert editor.daemon_pid() != pid
    assert "ended" not in editor.notices()


def test_stop_without_a_daemon(editor: Editor) -> None:
    editor.lua("require('lofi').stop(function() _G.stopped = true end)")
    editor.until(lambda: editor.lua("return stopped"))


def test_it_goes_with_neovim(editor: Editor) -> None:
    editor.fake("slow")
    editor.listen("generation_progress")
    editor.command("Lofi keys")
    editor.until_heard("generation_progress")
    pid = editor.daemon_pid()
    started = time.monotonic()
    editor.close()
    wait_gone(pid, 2)
    assert time.monotonic() - started < 2
    assert editor.requests()[-1] == "shutdown"


def test_one_that_will_not_go_is_killed(editor: Editor) -> None:
    editor.fake("stubborn")
    editor.command("Lofi volume")
    editor.until_noticed("volume")
    pid = editor.daemon_pid()
    editor.close()
    wait_gone(pid, 4)


def test_it_survives_no_killed_neovim(editors: Callable[..., Editor]) -> None:
    editor = editors()
    editor.fake("slow")
    editor.listen("generation_progress")
    editor.command("Lofi keys")
    editor.until_heard("generation_progress")
    pid = editor.daemon_pid()
    os.kill(editor.lua("return vim.uv.os_getpid()"), signal.SIGKILL)
    wait_gone(pid, 2)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_line_without_end_is_given_up(editor: Editor, size: int) -> None:
    """A program that never ends its line must not fill the memory."""
    strays = editor.lua(
        """
        local size = ...
        local strays = {}
        local connection = require("lofi.rpc").connect(print, print, function(line)
          table.insert(strays, #line)
        end)
        local chunk = ("x"):rep(1024 * 1024)
        for _ = 1, 9 do connection:receive(chunk) end
        connection:receive(("y"):rep(size) .. "\\n")
        vim.wait(1000, function() return #strays == 2 end)
        return strays
        """,
        size,
    )
    assert strays == [9 * 1024 * 1024, size]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("'caf\\233'", "it is not UTF-8"),
        ("('rain '):rep(300000)", "it is 1.4 MiB long"),
        ("0/0", "it cannot be written as JSON"),
        ("print", "it cannot be written as JSON"),
    ],
)
def test_what_the_daemon_could_not_read_is_not_sent(
    editor: Editor, prompt: str, reason: str
) -> None:
    """Each of thirty callbacks hears of it once, and the daemon goes on."""
    editor.fake()
    editor.listen("daemon_exit")
    editor.lua(
        f"""
        _G.calls, _G.last = 0, nil
        for _ = 1, 30 do
          require("lofi.daemon").request("generate", {{ prompt = {prompt} }}, function(problem)
            calls, last = calls + 1, problem.code .. problem.message
          end)
        end
        """
    )
    editor.until(lambda: editor.lua("return calls") >= 30)
    assert "INVALID_PARAMSgenerate was not sent: " + reason in editor.lua("return last")
    editor.command("Lofi volume")
    editor.until_noticed("volume 50%")
    assert editor.lua("return calls") == 30
    assert editor.heard("daemon_exit") == []
    assert editor.requests("generate") == []


def test_answers_to_nobody_are_no_reason_to_kill_a_daemon(editor: Editor) -> None:
    editor.fake("confused")
    editor.listen("daemon_exit")
    for _ in range(3):
        editor.command("Lofi volume")
    editor.until_noticed("volume 50%")
    editor.lua("vim.wait(100)")
    assert editor.heard("daemon_exit") == []
    log = "\n".join(editor.lua("return require('lofi.log').lines()"))
    assert log.count("the daemon could not read a request") == 30
