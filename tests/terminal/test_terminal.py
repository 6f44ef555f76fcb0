"""The two commands in a real pseudo-terminal, and without one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import soundfile

from lofi_daemon.terminal.screen import BARS as BAR_CHARACTERS
from tests.player.library import put_track
from tests.player.signals import flac_of_unknown_length, music, write
from tests.terminal.pseudo_terminal import PATIENCE_SEC, Terminal, environment, plain

BARS = re.compile(f"[{BAR_CHARACTERS}]{{20}}")


def test_the_radio_says_where_a_track_is_that_its_folder_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    variables = {"LOFI_CACHE_PATH": str(tmp_path / "file" / "tracks")}
    radio = ("radio", "frogs", "--duration", "60")
    # one that is heard while it is made: what begins to play takes an older notice away
    backends = '{"demo": {"pieces": 6, "seconds": {"decoding": 2.0}}}'
    terminal = Terminal(tmp_path, *radio, backends=backends, variables=variables)
    terminal.until("▶ frogs")
    terminal.until("cannot be written")
    terminal.until(lambda text: "instead." in text.replace("\r\n", ""))
    terminal.press("q")
    assert terminal.end() == 0


def test_the_radio_plays_obeys_single_keys_and_leaves_the_terminal_clean(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "radio", "coffee shop", "--duration", "20", "--seed", "3")
    terminal.until("lofi radio · coffee shop")
    terminal.until("▶ jazzy lofi, upright bass")
    terminal.until("2/2 ready")
    terminal.until("volume 60 %", terminal.press("++"))
    terminal.until("volume 55 %", terminal.press("-"))
    terminal.until("⏸", terminal.press(" "))
    terminal.until("▶", terminal.press(" "))
    terminal.until("♥", terminal.press("k"))
    terminal.until("▶ bossa nova", terminal.press("n"))
    terminal.press("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.written
    assert terminal.written.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in terminal.written
    kept = [path for path in tmp_path.rglob("*.json") if '"kept": true' in path.read_text()]
    assert len(kept) == 1


def test_a_radio_that_flows_says_so(tmp_path: Path) -> None:
    radio = ("radio", "--flow", "coffee shop", "--duration", "6", "--seed", "3")
    terminal = Terminal(tmp_path, *radio, backends='{"demo": {"offers": ["extend", "flow"]}}')
    terminal.until("lofi radio · coffee shop, flowing")
    terminal.until(lambda text: made_from(tmp_path) == {"flow"})
    terminal.press("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.written


def test_what_plays_is_varied_and_extended_by_a_key(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "radio", "frogs", "--duration", "20", "--seed", "3")
    terminal.until("▶ frogs")
    terminal.until("2/2 ready")
    terminal.until("A variation of frogs is being made", terminal.press("v"))
    terminal.until(lambda text: made_from(tmp_path) == {None})
    terminal.until("A longer form of frogs is being made", terminal.press("x"))
    terminal.until(lambda text: made_from(tmp_path) == {None, "extend"})
    terminal.press("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.written


def made_from(folder: Path) -> set[str | None]:
    """The tasks of the tracks that came from another one."""
    written = [json.loads(path.read_text()) for path in folder.rglob("tracks/*.json")]
    return {each.get("task") for each in written if "parent" in each}


def test_what_is_waited_for_is_said_until_it_is_there(tmp_path: Path) -> None:
    slow = '{"demo": {}, "ace_step": {"seconds": {"diffusing": 2.0}, "full_model": true}}'
    terminal = Terminal(tmp_path, "radio", "slow", "--duration", "6", backends=slow)
    terminal.until("The next new track comes in about")
    terminal.until("1/2 ready")
    terminal.press("q")
    assert terminal.end() == 0
    frames = plain(terminal.written).split("lofi radio · ")
    ready = [frame for frame in frames if "1/2 ready" in frame]
    assert ready
    assert not any("comes in about" in frame for frame in ready)


def test_a_track_heard_before_is_called_an_older_one(tmp_path: Path) -> None:
    slow = '{"demo": {}, "ace_step": {"seconds": {"diffusing": 30.0}, "full_model": true}}'
    terminal = Terminal(tmp_path, "radio", "slow", "--duration", "6", backends=slow)
    terminal.until("The next new track comes in about")
    assert "an older one meanwhile" not in plain(terminal.written)
    terminal.until("an older one meanwhile")
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize(
    "variables", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}], ids=["dumb", "ascii"]
)
def test_a_terminal_that_cannot_draw_gets_lines_and_gives_keys(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    terminal = Terminal(tmp_path, "radio", "coffee shop", "--duration", "20", variables=variables)
    terminal.until("playing: jazzy lofi, upright bass")
    terminal.until("playing: bossa nova", terminal.press("n"))
    terminal.press("q")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.written
    assert "Traceback" not in terminal.written


def test_where_there_can_be_no_log_the_radio_plays_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "lofi.nvim").write_text("in the way")
    variables = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    terminal = Terminal(tmp_path, "radio", "coffee shop", "--duration", "6", variables=variables)
    terminal.until("▶ jazzy lofi, upright bass")
    terminal.press("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.written


def test_the_log_is_the_users_alone(tmp_path: Path) -> None:
    log = tmp_path / "lofi.nvim" / "radio.log"
    log.parent.mkdir()
    log.write_text("older")
    log.chmod(0o644)
    terminal = Terminal(tmp_path, "radio", "--duration", "6")
    terminal.until("▶")
    terminal.press("q")
    assert terminal.end() == 0
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.read_text().startswith("older")


def test_any_other_words_are_a_prompt_and_a_narrow_window_is_enough(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "radio", "frogs in the rain", "--duration", "6", columns=24)
    terminal.until("▶ frogs in the rain")
    terminal.press("q")
    assert terminal.end() == 0
    for line in plain(terminal.written).replace("\r", "\n").split("\n"):
        if "is asked about" not in line:  # what the tone says of itself
            assert len(line) <= 24


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_radio_properly(tmp_path: Path, number: signal.Signals) -> None:
    terminal = Terminal(tmp_path, "radio", "--duration", "6")
    terminal.until("▶")
    terminal.process.send_signal(number)
    assert terminal.end() == 0
    assert not list(tmp_path.rglob("*.partial"))


def test_files_are_played_in_order_in_a_terminal(tmp_path: Path) -> None:
    one = write(tmp_path / "one.wav", music(20.0))
    two = put_track(tmp_path, "2" * 16, music(20.0), prompt="a track that was made here")
    terminal = Terminal(tmp_path, "play", str(one), str(tmp_path / "gone.wav"), str(two))
    terminal.until("▶ one")
    terminal.until("gone.wav")
    terminal.until("▶ a track that was made here", terminal.press("n"))
    terminal.press("n")
    assert terminal.end() == 0


def test_half_an_hour_of_sound_starts_at_once_and_is_measured_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    minute = 4 * music(60.0, 22050)
    with soundfile.SoundFile(path, "w", 22050, 2, subtype="PCM_16") as file:
        for _ in range(30):
            file.write(minute)
    before = time.monotonic()
    terminal = Terminal(tmp_path, "play", str(path))
    terminal.until("▶ long")
    assert not BARS.search(plain(terminal.written)), "it was measured before it sounded"
    print(f"half an hour sounds after {time.monotonic() - before:.1f} s")
    process = psutil.Process(terminal.process.pid)
    most = 0

    def measured(text: str) -> bool:
        nonlocal most
        most = max(most, process.memory_info().rss)
        return BARS.search(text) is not None

    terminal.until(measured)
    print(f"at most {most / 1e6:.0f} MB")
    assert most < 250e6
    terminal.press("q")
    assert terminal.end() == 0


def test_names_and_lengths_that_are_odd_concern_their_file_only(tmp_path: Path) -> None:
    sound = music(3.0)
    unknown = flac_of_unknown_length(tmp_path / "one.flac", sound)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff.wav"))
    write(tmp_path / "two.wav", sound).rename(odd)
    os.mkfifo(tmp_path / "fifo.wav")
    last = write(tmp_path / "last.wav", sound)
    files = [tmp_path, unknown, tmp_path / "fifo.wav", odd, odd.with_stem("missing"), last]
    status, out, err = run(tmp_path, "play", *map(str, files))
    assert (status, err) == (0, "")
    played = [line for line in out.splitlines() if line.startswith("playing: ")]
    assert played == [
        "playing: one", r"playing: caf\xe9 \xff (0:03)", "playing: last (0:03)"
    ]  # fmt: skip
    assert "fifo.wav cannot be played" in out


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "short.wav", music(1.0))
    terminal = Terminal(tmp_path, "play", str(file), variables={"TERM": "dumb"})
    assert terminal.end() == 0
    assert "playing: short (0:01)" in terminal.written


def run(folder: Path, *arguments: str, until: str | None = None) -> tuple[int, str, str]:
    """Status, output and errors; with `until` it is ended when a line begins with that."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tone_terminal", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder),
    )
    seen = ""
    if until is not None:
        assert process.stdout is not None
        for line in process.stdout:
            seen += line
            if line.startswith(until):
                break
        process.terminate()
    out, err = process.communicate(timeout=PATIENCE_SEC)
    return process.returncode, seen + out, err


def test_without_a_terminal_files_are_told_in_plain_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "short.wav", music(1.0))
    status, out, err = run(tmp_path, "play", str(file))
    assert (status, err) == (0, "")
    assert out.splitlines() == ["lofi play · 1 of 1", "playing: short (0:01)"]


def test_without_a_terminal_the_radio_prints_plain_lines(tmp_path: Path) -> None:
    status, out, err = run(
        tmp_path, "radio", "arcade", "--duration", "6", until="playing: chiptune lofi"
    )
    assert status == 0, err
    assert out.startswith("lofi radio · arcade\n")
    assert "playing: chiptune lofi" in out
    assert "\x1b" not in out


def test_a_file_that_is_no_sound_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a sound")
    status, out, err = run(tmp_path, "play", str(path))
    assert status == 1
    assert len(err.splitlines()) == 1
    assert "notes.txt" in err
    assert out == ""


def test_presets_are_listed_with_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "lofi.nvim" / "radio.json"
    own.parent.mkdir()
    own.write_text('[{"name": "frogs", "description": "A pond.", "prompts": ["frogs"]}]')
    status, out, _ = run(tmp_path, "radio", "--list")
    assert status == 0
    assert re.search(r"^frogs +A pond\.$", out, re.MULTILINE)
    assert re.search(r"^rainy night +", out, re.MULTILINE)
    own.write_text('[{"name": "frogs"}]')
    status, _, err = run(tmp_path, "radio", "--list")
    assert status == 1
    assert "radio.json, entry 1" in err
    assert len(err.splitlines()) == 1
