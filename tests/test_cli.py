"""The command line: one track to a file, plain words about what is wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from lofi_daemon import __version__
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.parameters import GenerationParameters
from lofi_daemon.terminal.flags import (
    TASK_FLAGS,
    add_parameter_flags,
    add_task_flags,
    given_parameters,
)
from tests.daemon_process import REPOSITORY

# The same command line over a backend that plays a note.
TONE = (
    "import sys\n"
    "from lofi_daemon.backends import registry\n"
    "from tests.tone_daemon import factory\n"
    "registry.FACTORIES.clear()\n"
    "registry.FACTORIES.update(demo=factory('demo', {said}))\n"
    "from lofi_daemon.cli import run\n"
    "sys.exit(run(sys.argv[1:]))\n"
)


def command(*arguments: str, said: str = "{}") -> list[str]:
    return [sys.executable, "-c", TONE.replace("{said}", said), *arguments]


def environment(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "XDG_CACHE_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
    }


def lofi(
    folder: Path, *arguments: str, said: str = "{}", variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, said=said),
        env={**environment(folder), **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_version(tmp_path: Path) -> None:
    assert lofi(tmp_path, "--version").stdout == f"lofi-daemon {__version__}\n"


def test_one_track_to_a_file(tmp_path: Path) -> None:
    output = tmp_path / "x.wav"
    result = lofi(
        tmp_path, "--prompt", "lofi beats", "--duration", "6", "--steps", "3", "--scheduler",
        "euler", "--guidance", "15", "--cfg-type", "apg", "--no-erg", "--seed", "42",
        "--output", str(output),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert soundfile.info(output).duration == 6.0
    assert "backend: demo" in result.stdout
    assert "seed: 42" in result.stdout
    assert "No full model is installed" in result.stdout
    assert result.stdout.splitlines()[-1] == str(output)
    percents = [int(p) for p in re.findall(r"^\s*(\d+) %", result.stderr, re.MULTILINE)]
    assert percents == sorted(percents)
    again = lofi(
        tmp_path, "--prompt", "lofi beats", "--duration", "6", "--steps", "3", "--seed", "42",
        "--backend", "demo", "--output", str(tmp_path / "x.flac"),
    )  # fmt: skip
    assert "cached" in again.stdout
    assert "No full model" not in again.stdout
    first, _ = soundfile.read(output, dtype="int16")
    second, _ = soundfile.read(tmp_path / "x.flac", dtype="int16")
    assert (first == second).all()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--prompt", " "], 1, "prompt"),
        (["--prompt", "a", "--duration", "4"], 1, "5 to 240 s"),
        (["--prompt", "a", "--steps", "0"], 1, "inference_steps"),
        (["--prompt", "a", "--guidance", "99"], 1, "guidance_scale"),
        (["--prompt", "a", "--backend", "muzak"], 1, "muzak"),
        (["--prompt", "fail"], 1, "NaN at step 3"),
        (["--prompt", "a", "--output", "x.mp3"], 2, ".wav or .flac"),
        (["--prompt", "a", "--output", "no/such/x.wav"], 2, "no folder"),
        (["--prompt", "a", "--output", "/proc/x.wav"], 2, "/proc/x.wav cannot be written"),
        (["--prompt", "a", "--picture", "/proc/x.png"], 2, "/proc/x.png cannot be written"),
        (["--prompt", "a", "--output", f"/tmp/{'x' * 300}.wav"], 2, "cannot be written"),
        (["--duration", "30"], 2, "--prompt"),
        (["--prompt", "a", "--scheduler", "ddim"], 2, "ddim"),
        (["--prompt", "a", "--seed", "x"], 2, "seed"),
        (["dance"], 2, "dance"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    result = lofi(tmp_path, *arguments)
    assert result.returncode == status
    assert words in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_backends(tmp_path: Path) -> None:
    result = lofi(tmp_path, "backends")
    assert result.returncode == 0
    assert re.search(r"^\* demo +demo tone +ready", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    """The track is dropped; nothing half-written stays."""
    arguments = command("--prompt", "a", "--steps", "9", said="{'seconds': {'diffusing': 5.0}}")
    process = subprocess.Popen(
        arguments, env=environment(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stderr is not None
    while b"diffusing" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    began = time.monotonic()
    assert process.wait(20) == 130
    assert time.monotonic() - began < 3
    assert {p.name for p in (tmp_path / "lofi.nvim" / "tracks").iterdir()} == {".lock"}


def test_one_track_is_heard_while_it_is_made(tmp_path: Path) -> None:
    said = "{'pieces': 5, 'seconds': {'decoding': 2.0}}"
    began = time.monotonic()
    result = lofi(
        tmp_path, "--prompt", "a", "--duration", "5", "--play", said=said,
        variables={"LOFI_AUDIO_DEVICE": "null"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "made in" in result.stdout
    assert time.monotonic() - began >= 5.0  # it is heard to its end
    (sidecar,) = (tmp_path / "lofi.nvim" / "tracks").glob("*.json")
    assert json.loads(sidecar.read_text())["last_played_at"] is not None
    left = {path.suffix for path in sidecar.parent.iterdir()}
    assert left == {".json", ".wav", ""}


def test_a_track_that_cannot_be_played_is_made_all_the_same(tmp_path: Path) -> None:
    result = lofi(
        tmp_path, "--prompt", "a", "--duration", "5", "--play",
        variables={"LOFI_AUDIO_DEVICE": "a device that does not exist"},
    )  # fmt: skip
    assert result.returncode == 1
    assert "but cannot be played" in result.stderr
    assert Path(result.stdout.splitlines()[-1]).exists()


def test_a_track_that_its_folder_does_not_take_is_made_and_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "tracks"
    variables = {"LOFI_CACHE_PATH": str(folder)}
    result = lofi(tmp_path, "--prompt", "a", "--duration", "5", variables=variables)
    assert result.returncode == 0, result.stderr
    made = Path(result.stdout.splitlines()[-1])
    assert made.exists()
    assert result.stderr.count(f"The track is {made} instead.") == 1
    assert result.stderr.count(f"{folder} cannot be written: Not a directory. ") == 1


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command("--prompt", "a", said="{'seconds': {'diffusing': 0.1}}"),
        env={**environment(tmp_path), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
    os.close(leader)
    assert process.wait(20) == 0
    assert "━" in shown.decode()
    assert "step 5 of 10" in shown.decode()


def test_every_parameter_has_a_flag() -> None:
    import argparse

    model = Registry(Settings()).taking_options(GenerationParameters)
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group("x")
    add_parameter_flags(group, model, {"priority", "play", "format", *TASK_FLAGS})
    add_task_flags(group)
    options = parser.parse_args(
        ["--prompt", "p", "--duration", "9.5", "--seed", "3", "--steps", "2", "--erg",
         "--backend", "demo", "--scheduler", "heun", "--guidance", "4", "--cfg-type", "cfg",
         "--bpm", "70", "--key", "A minor", "--time-signature", "6", "--lyrics", "la",
         "--language", "en", "--shift", "2", "--no-dcw", "--variation", "0.5",
         "--variation-seed", "4", "--quality", "fast", "--task", "repaint", "--source", "x",
         "--span", "0:40-1:10", "--strength", "0.5", "--repaint-mask", "explicit",
         "--loop"]
    )  # fmt: skip
    given = given_parameters(options, model)
    assert given == {
        "prompt": "p", "duration_sec": 9.5, "seed": 3, "inference_steps": 2, "erg": True,
        "backend": "demo", "scheduler": "heun", "guidance_scale": 4.0, "cfg_type": "cfg",
        "bpm": 70, "key": "A minor", "time_signature": "6", "lyrics": "la", "language": "en",
        "shift": 2.0, "dcw": False, "variation": 0.5, "variation_seed": 4,
        "quality": "fast", "task": "repaint", "source": str(Path.cwd() / "x"),
        "span": [40.0, 70.0], "strength": 0.5, "repaint_mask": "explicit",
        "loop": True,
    }  # fmt: skip
    assert set(given) == set(model.model_fields) - {"priority", "play", "format"}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("40-70", [40, 70]),
        ("1:05.5-2:00", [65.5, 120]),
        ("-10-0", [-10, 0]),
        ("-0:10-0:02", [-10, 2]),
    ],
)
def test_a_span_is_read_as_players_show_time(text: str, span: list[float]) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_task_flags(parser.add_argument_group("x"))
    assert parser.parse_args([f"--span={text}"]).span == span


def test_a_source_is_a_track_or_a_file_from_where_one_is() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_task_flags(parser.add_argument_group("x"))
    names = ["0123456789abcdef", "/a/b.wav", "~/b.wav", "b.wav"]
    read = [parser.parse_args(["--source", name]).source for name in names]
    assert read == [*names[:2], str(Path.home() / "b.wav"), str(Path.cwd() / "b.wav")]


def test_a_track_from_another(tmp_path: Path) -> None:
    one = ("--prompt", "rain", "--duration", "5", "--seed", "1", "--steps", "1")
    first = lofi(tmp_path, *one).stdout.splitlines()[-1]
    output = tmp_path / "longer.wav"
    longer = lofi(
        tmp_path, "--task", "extend", "--source", Path(first).stem, "--span", "0:05-0:08",
        "--output", str(output),
    )  # fmt: skip
    assert longer.returncode == 0, longer.stderr
    assert soundfile.info(output).duration == 8.0
    for span, said in (("rain", "no span"), ("1:2:3-4", "no time"), ("0:09-0:12", "touch")):
        wrong = lofi(tmp_path, "--task", "extend", "--source", first, "--span", span)
        assert wrong.returncode in (1, 2)
        assert said in wrong.stderr
        assert "Traceback" not in wrong.stderr


def ended(folder: Path, redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line as a shell starts it."""
    quoted = " ".join(shlex.quote(word) for word in command(*arguments))
    return subprocess.run(
        ["bash", "-c", f"{quoted} {redirections}"],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


ONE = ("--prompt", "a", "--duration", "5", "--seed", "1", "--steps", "2")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_reason_to_fail(tmp_path: Path, closed: str) -> None:
    output = tmp_path / "x.wav"
    result = ended(tmp_path, closed, *ONE, "--output", str(output))
    assert result.returncode == 0, result.stderr
    assert soundfile.info(output).duration == 5.0
    assert "Traceback" not in result.stderr
    assert ended(tmp_path, closed, "backends").returncode == 0
    assert ended(tmp_path, closed, "doctor").returncode in (0, 1)
    assert ended(tmp_path, closed, "radio", "--list").returncode == 0
    assert ended(tmp_path, "<&-", "serve").returncode == 0


@pytest.mark.parametrize("arguments", [["backends"], ["doctor"], ["radio", "--list"], list(ONE)])
def test_a_reader_that_left_ends_it_in_silence(tmp_path: Path, arguments: list[str]) -> None:
    result = ended(tmp_path, "| head -n 0; exit ${PIPESTATUS[0]}", *arguments)
    assert result.returncode == 141
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_a_reader_of_the_progress_that_left_costs_no_track(tmp_path: Path) -> None:
    output = tmp_path / "x.wav"
    ended(tmp_path, "2>&1 | head -n 0", *ONE, "--output", str(output))
    assert soundfile.info(output).duration == 5.0


def test_an_output_that_is_full_is_one_line(tmp_path: Path) -> None:
    result = ended(tmp_path, "> /dev/full", "backends")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "No space left" in result.stderr


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("latin-1", ["radio", "--list"]),
        ("cp1252", ["radio", "--list"]),
        ("ascii", ["radio", "--list"]),
        ("ascii", ["--help"]),
        ("ascii", ["backends"]),
    ],
)
def test_streams_of_other_encodings(tmp_path: Path, encoding: str, arguments: list[str]) -> None:
    (tmp_path / "config" / "lofi.nvim").mkdir(parents=True)
    (tmp_path / "config" / "lofi.nvim" / "radio.json").write_text(
        '[{"name": "雨 …", "description": "− ☂", "prompts": ["a"]}]', "utf-8"
    )
    result = subprocess.run(
        command(*arguments),
        env={**environment(tmp_path), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    told = result.stdout.decode(encoding)
    assert result.returncode == 0, result.stderr
    assert told.isascii() or encoding != "ascii"
    assert "\\u" not in told


def test_a_picture_where_there_are_no_blocks(tmp_path: Path) -> None:
    picture = tmp_path / "x.PNG"
    result = lofi(
        tmp_path, *ONE, "--picture", str(picture), variables={"PYTHONIOENCODING": "ascii"}
    )
    assert result.returncode == 0, result.stderr
    assert picture.stat().st_size > 1000
    assert result.stdout.splitlines()[-1] == str(picture)


NOBODY = (
    "import pwd\ndef nobody(*_): raise KeyError('nobody')\npwd.getpwuid = pwd.getpwnam = nobody\n"
)


@pytest.mark.parametrize(
    "arguments", [["backends"], ["doctor"], ["radio"], ["play", "x.wav"], ["serve"], [], list(ONE)]
)
def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path, arguments: list[str]) -> None:
    words = command(*arguments)
    words[2] = NOBODY + words[2]
    variables = environment(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        variables.pop(name, None)

    def status(**more: str) -> tuple[int, str]:
        result = subprocess.run(
            words, env={**variables, **more}, cwd=tmp_path, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return result.returncode, result.stderr

    code, told = status()
    assert code == 2
    assert len(told.splitlines()) == 1
    assert "Set HOME" in told
    assert not list(tmp_path.iterdir())
    if arguments in (["backends"], ["doctor"], ["serve"], list(ONE)):
        code, told = status(XDG_CACHE_HOME=str(tmp_path))
        assert code == 0, told
        assert "Traceback" not in told


@pytest.mark.parametrize("name", ["x.WAV", "x.Flac"])
def test_capitals_in_a_name(tmp_path: Path, name: str) -> None:
    result = lofi(tmp_path, *ONE, "--output", str(tmp_path / name))
    assert result.returncode == 0, result.stderr
    assert soundfile.info(tmp_path / name).format == name[2:].upper()


def test_nothing_is_written_through_a_link_somebody_planted(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (".x.wav.partial", "x.wav.partial", ".x.png.partial", "x.png.partial"):
        (folder / name).symlink_to(precious)
    result = lofi(
        tmp_path, *ONE, "--output", str(folder / "x.wav"), "--picture", str(folder / "x.png")
    )
    assert result.returncode == 0, result.stderr
    assert precious.read_text() == "precious"


def test_a_picture_that_can_no_longer_be_written_leaves_the_track(tmp_path: Path) -> None:
    """The folder was there before the work, and is gone after it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    words = command(
        *ONE, "--picture", str(folder / "x.png"), said="{'seconds': {'diffusing': 0.5}}"
    )
    process = subprocess.Popen(
        words, env=environment(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "diffusing" not in process.stderr.readline():
        assert process.poll() is None
    folder.rmdir()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "x.png cannot be written" in told
    assert "Traceback" not in told
    (track,) = (tmp_path / "lofi.nvim" / "tracks").glob("*.wav")
    assert str(track) in told


@pytest.mark.parametrize("kind", ["a file", "a link to nothing", "a long name", "not UTF-8"])
def test_a_track_folder_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    cache = tmp_path / ("x" * 300 if kind == "a long name" else os.fsdecode(b"\xff"))
    if kind == "a link to nothing":
        cache.symlink_to(tmp_path / "nowhere")
    elif kind != "a long name":
        cache.write_text("in the way")
    variables = {"LOFI_CACHE_PATH": str(cache)}
    output = tmp_path / "x.wav"
    result = lofi(tmp_path, *ONE, "--output", str(output), variables=variables)
    assert result.returncode == 0, result.stderr
    assert soundfile.info(output).duration == 5.0
    assert "track folder" in result.stderr
    result = lofi(tmp_path, *ONE, variables=variables)
    assert result.returncode == 0, result.stderr
    assert soundfile.info(result.stdout.splitlines()[-1]).duration == 5.0
    result = lofi(tmp_path, "doctor", variables=variables)
    assert result.returncode == 0, result.stderr
    assert "track folder" in result.stdout
    for arguments in (["backends"], ["radio", "--list"]):
        assert lofi(tmp_path, *arguments, variables=variables).returncode == 0


@pytest.mark.parametrize("what", ["config", "lofi.nvim"])
def test_a_file_in_the_place_of_the_users_folders(tmp_path: Path, what: str) -> None:
    if what == "config":
        (tmp_path / "config").write_text("in the way")
    else:
        (tmp_path / "lofi.nvim").write_text("in the way")
    for arguments in (["backends"], ["doctor"], list(ONE)):
        result = lofi(tmp_path, *arguments)
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
    listed = lofi(tmp_path, "radio", "--list")
    assert len(listed.stdout.splitlines()) >= 10
    assert listed.returncode == (1 if what == "config" else 0)
