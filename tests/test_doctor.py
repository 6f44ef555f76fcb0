from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from lofi_daemon import __version__, memory
from lofi_daemon.cli import run
from lofi_daemon.commands.doctor import diagnose
from lofi_daemon.config import load_settings
from tests.backends.remote.conftest import BoxMachine


def bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"licence": "MIT"}))
    (folder / "weights.bin").write_bytes(bytes(1000))
    return folder


def test_what_is_not_installed_is_measured_against_what_it_would_need(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    diagnosis = diagnose(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(folder)}))
    ace_step = next(each for each in diagnosis.backends if each.type == "ace_step")
    assert not ace_step.installed
    assert ace_step.disk_bytes > 10e9
    assert ace_step.memory_bytes > ace_step.disk_bytes
    assert ace_step.free_bytes > 0
    assert "Apache-2.0" in str(ace_step.licence)
    assert "CPUExecutionProvider" in diagnosis.providers


def test_a_bundle_says_its_own_licence(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "ace")
    diagnosis = diagnose(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(folder)}))
    ace_step = next(each for each in diagnosis.backends if each.type == "ace_step")
    assert ace_step.licence == "MIT"


@pytest.mark.parametrize("broken", ["{", "[]", "null"])
def test_a_broken_manifest_is_no_reason_to_fail(tmp_path: Path, broken: str) -> None:
    folder = bundle(tmp_path / "ace")
    (folder / "manifest.json").write_text(broken)
    diagnosis = diagnose(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(folder)}))
    ace_step = next(each for each in diagnosis.backends if each.type == "ace_step")
    assert "Apache-2.0" in str(ace_step.licence)


def test_the_memory_is_what_the_loading_check_reckons_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "self").write_text("0::/\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "self")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    diagnosis = diagnose(load_settings({}))
    assert diagnosis.memory_bytes == 3_000_000_000
    assert diagnosis.available_bytes == memory.available_memory()


def test_what_is_wrong_with_folders_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config").write_text("in the way")
    diagnosis = diagnose(load_settings({"LOFI_CACHE_PATH": str(tmp_path / "config" / "x")}))
    assert len(diagnosis.problems) == 2
    assert str(tmp_path / "config" / "x") in diagnosis.problems[0]
    assert "radio.json" in diagnosis.problems[1]
    assert diagnosis.tracks_free_bytes > 0


def test_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor"])
    told = capsys.readouterr().out
    assert told.startswith("lofi-daemon ")
    assert "ace_step: " in told
    run(["doctor", "--json"])
    assert {each["type"] for each in json.loads(capsys.readouterr().out)["backends"]} >= {
        "ace_step",
        "demo",
    }


def test_what_computes_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Not whatever else onnxruntime's wheel brings along."""
    diagnosis = diagnose(load_settings({"LOFI_DEVICE": "cpu"}))
    assert diagnosis.device == "cpu"
    run(["doctor"])
    assert "AzureExecutionProvider" not in capsys.readouterr().out
    missing = diagnose(load_settings({"LOFI_DEVICE": "cuda"}))
    assert missing.device is None
    assert "CUDAExecutionProvider" in str(missing.problem)


def test_the_machine_that_computes_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    monkeypatch.setenv("LOFI_REMOTE", shlex.join(BoxMachine(tmp_path / "box").daemon()))
    monkeypatch.setenv("LOFI_REMOTE_BACKENDS", "demo")
    assert run(["doctor", "--json"]) == 0
    diagnosis = json.loads(capsys.readouterr().out)
    remote = diagnosis["remote"]
    assert (remote["problem"], remote["version"], remote["device"]) == (None, __version__, "cpu")
    assert 0.0 < remote["latency_sec"] < remote["greeting_sec"]
    models = {each["type"]: each["status"] for each in remote["models"]}
    assert models == {
        "ace_step_15": "not_installed",
        "ace_step": "not_installed",
        "musicgen": "not_installed",
        "demo": "ready",
    }
    demo = next(each for each in diagnosis["backends"] if each["type"] == "demo")
    assert demo["installed"]
    assert demo["place"] == remote["name"]


def test_a_machine_that_is_away_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    monkeypatch.setenv("LOFI_REMOTE", shlex.join(BoxMachine(tmp_path / "box").fake("refuses")))
    assert run(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "gpubox: Permission denied (publickey)." in told
    assert "in a terminal" in told
