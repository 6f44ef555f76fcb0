"""Strangers' text on a terminal is read, never obeyed."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
from pathlib import Path

import pytest
from rich.console import Console

import lofi_daemon
from lofi_daemon.cli import run
from lofi_daemon.commands import models
from lofi_daemon.terminal.display import news
from lofi_daemon.terminal.screen import MakingView, Screen, View
from lofi_daemon.text import ShownFormatter, say, shown

EVIL = "a\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x9b31m\u202eb\x7f\r\nc"
OBEYED = set("\x1b\x07\x9b\u202e\x7f\r")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("rainy night, 雨 🎧 é", "rainy night, 雨 🎧 é"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\x00", "a\\x0ab\\x09c\\x00"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202egpj\u2066\u200f\u2028", "a\\u202egpj\\u2066\\u200f\\u2028"),
        ("no UTF-8: \udcff\udc80", "no UTF-8: \\xff\\x80"),
        ("half: \ud83d", "half: \\ud83d"),
    ],
)
def test_what_a_terminal_obeys_is_spelt_out(text: str, seen: str) -> None:
    assert shown(text) == seen
    seen.encode()


def test_lines_stay_where_they_are_meant() -> None:
    assert shown("a\nb\r\x1b", lines=True) == "a\nb\\x0d\\x1b"


def test_every_plain_line_passes_one_place() -> None:
    """Nothing that writes to people prints by itself."""
    root = Path(lofi_daemon.__file__).parent
    files = [
        root / "cli.py",
        *(root / "commands").rglob("*.py"),
        *(root / "terminal").rglob("*.py"),
    ]
    printing = [
        f"{file.relative_to(root)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_errors_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["play", f"/no/such/{EVIL}.wav"]) == 1
    assert run(["import", "ace_step", f"/no/such/{EVIL}"]) == 1
    said = capsys.readouterr()
    assert "owned" in said.err
    assert not OBEYED & set(said.err + said.out)


@pytest.mark.parametrize(
    "arguments",
    [[EVIL], ["verify", EVIL], ["doctor", f"--{EVIL}"], ["--steps", EVIL, "--prompt", "a"]],
)
def test_what_was_typed_is_quoted_as_it_can_be_shown(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(arguments)
    said = capsys.readouterr()
    assert "owned" in said.err
    assert not OBEYED & set(said.err + said.out)


def test_presets_of_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "radio.json"
    monkeypatch.setattr("lofi_daemon.radio.presets.own_presets_file", lambda: own)
    own.write_text(json.dumps([{"name": EVIL, "description": EVIL, "prompts": ["rain"]}]))
    assert run(["radio", "--list"]) == 0
    said = capsys.readouterr().out
    assert "owned" in said
    assert not OBEYED & set(said)


def test_the_radio_screen_and_its_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(
        heading=EVIL,
        title=EVIL,
        upcoming=EVIL,
        notice=EVIL,
        making=MakingView(EVIL, 10, "decoding", None),
    )
    stream = io.StringIO()
    Console(file=stream, width=120, force_terminal=False).print(Screen(view))
    for line in news(None, view):
        say(line)
    written = stream.getvalue() + capsys.readouterr().out
    assert written.count("owned") == 9
    assert not OBEYED & set(written)


def test_a_file_name_on_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("rich.console.Console.is_terminal", False)
    with models.share_display() as show:
        show(f"[link=http://x]{EVIL}[/nonsense]", 0.5)
    with models.share_display() as show:
        show(f"[bold]{EVIL}", 1.0)
    assert not {"\x07", "\x9b", "\u202e"} & set(stream.getvalue())


def test_the_log() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ShownFormatter())
    try:
        raise ValueError(EVIL)
    except ValueError:
        record = logging.LogRecord("x", logging.WARNING, "x", 1, EVIL, None, None)
        handler.emit(record)
        record.exc_info = sys.exc_info()
        handler.emit(record)
    assert "Traceback" in stream.getvalue()
    assert not OBEYED & set(stream.getvalue())
