"""Settings: defaults, variables, flags over variables, and a clear word about a bad value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lofi_daemon.backends.ace_step.files import AceStepFiles
from lofi_daemon.backends.musicgen.files import MusicGenFiles
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import load_settings
from lofi_daemon.errors import ConfigurationError


def test_default_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = load_settings({})
    assert settings.tracks_folder == tmp_path / "lofi.nvim" / "tracks"
    assert AceStepFiles.configured(settings).folder == tmp_path / "lofi.nvim" / "ace-step"
    assert MusicGenFiles.configured(settings).folder == tmp_path / "lofi.nvim" / "musicgen"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_settings({}).cache_folder == Path("/home/somebody/.cache/lofi.nvim")


def test_variables() -> None:
    settings = load_settings(
        {
            "LOFI_BACKEND": "demo",
            "LOFI_MODEL_PATH": "/m",
            "LOFI_ACE_STEP_MODEL_PATH": "~/a",
            "LOFI_CACHE_PATH": "/t",
            "LOFI_CACHE_MAX_MB": "10",
            "LOFI_AUDIO_DEVICE": "Speakers",
            "LOFI_DEVICE": "cpu",
            "LOFI_THREADS": " 2 ",
            "LOFI_ACE_STEP_STEPS": "27",
            "LOFI_ACE_STEP_SCHEDULER": "heun",
            "LOFI_ACE_STEP_GUIDANCE": "7.5",
            "LOFI_TRACK_FORMAT": "flac",
        }
    )
    assert settings.backend == "demo"
    assert MusicGenFiles.configured(settings).folder == Path("/m")
    ace_step = AceStepFiles.configured(settings)
    assert ace_step.folder == Path.home() / "a"
    assert settings.tracks_folder == Path("/t")
    assert settings.cache_max_bytes == 10_000_000
    assert settings.audio_device == "Speakers"
    assert settings.device == "cpu"
    assert settings.threads == 2
    assert ace_step.configuration.steps == 27
    assert ace_step.configuration.scheduler == "heun"
    assert ace_step.configuration.guidance == 7.5
    assert settings.track_format == "flac"


def test_a_former_name_of_a_variable_counts_where_the_new_one_is_not_set() -> None:
    both = {"LOFI_MODEL_PATH": "/old", "LOFI_MUSICGEN_MODEL_PATH": "/new"}
    assert MusicGenFiles.configured(load_settings(both)).folder == Path("/new")


def test_an_empty_variable_is_not_set() -> None:
    assert load_settings({"LOFI_THREADS": "", "LOFI_BACKEND": " "}).threads is None


BAD = [
    ("LOFI_BACKEND", "muzak"),
    ("LOFI_CACHE_MAX_MB", "-1"),
    ("LOFI_CACHE_MAX_MB", "much"),
    ("LOFI_DEVICE", "abacus"),
    ("LOFI_THREADS", "0"),
    ("LOFI_THREADS", "two"),
    ("LOFI_ACE_STEP_STEPS", "201"),
    ("LOFI_ACE_STEP_SCHEDULER", "ddim"),
    ("LOFI_ACE_STEP_GUIDANCE", "nan"),
    ("LOFI_ACE_STEP_REPOSITORY", "nobody"),
    ("LOFI_ACE_STEP_15_VARIANT", "original"),
    ("LOFI_MODEL_PATH", "~nobody-of-that-name/x"),
    ("LOFI_TRACK_FORMAT", "mp3"),
]


@pytest.mark.parametrize(("variable", "value"), BAD[1:])
def test_a_bad_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}={value}"):
        Registry(load_settings({variable: value}))


@pytest.mark.parametrize(("variable", "value"), [BAD[0], BAD[5], BAD[6]])
def test_a_bad_value_is_one_line_and_exit_2(variable: str, value: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "lofi_daemon"],
        env={**os.environ, variable: value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"{variable}={value}" in result.stderr
