"""The command line: one track to a file, plain words about what is wrong."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from lofi_daemon import __version__
from lofi_daemon.backends.registry import Registry
from lofi_daemon.commands.flags import add_parameter_flags, given_parameters
from lofi_daemon.config import Settings
from lofi_daemon.parameters import GenerationParameters
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
    return {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(folder)}


def lofi(folder: Path, *arguments: str, said: str = "{}") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, said=said),
        env=environment(folder),
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
    assert "no full model is installed" in result.stdout
    assert result.stdout.splitlines()[-1] == str(output)
    percents = [int(p) for p in re.findall(r"^\s*(\d+) %", result.stderr, re.MULTILINE)]
    assert percents == sorted(percents)
    again = lofi(
        tmp_path, "--prompt", "lofi beats", "--duration", "6", "--steps", "3", "--seed", "42",
        "--backend", "demo", "--output", str(tmp_path / "x.flac"),
    )  # fmt: skip
    assert "cached" in again.stdout
    assert "no full model" not in again.stdout
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
    add_parameter_flags(parser.add_argument_group("x"), model, {"priority"})
    options = parser.parse_args(
        ["--prompt", "p", "--duration", "9.5", "--seed", "3", "--steps", "2", "--erg",
         "--backend", "demo", "--scheduler", "heun", "--guidance", "4", "--cfg-type", "cfg"]
    )  # fmt: skip
    given = given_parameters(options, model)
    assert given == {
        "prompt": "p", "duration_sec": 9.5, "seed": 3, "inference_steps": 2, "erg": True,
        "backend": "demo", "scheduler": "heun", "guidance_scale": 4.0, "cfg_type": "cfg",
    }  # fmt: skip
    assert set(given) == set(model.model_fields) - {"priority"}
