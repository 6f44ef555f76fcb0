"""Whole or not: every kind of damage to every file is seen, named, and survives no load."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lofi_daemon.backends.ace_step.backend import ace_step_backend
from lofi_daemon.backends.musicgen.backend import musicgen_backend
from lofi_daemon.backends.musicgen.files import MusicGenFiles
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.cli import run
from lofi_daemon.config import Settings, load_settings
from lofi_daemon.errors import ModelLoadFailed, ModelNotFound
from lofi_daemon.models import store
from lofi_daemon.models.checksums import Checksums
from tests.models.conftest import ACE_STEP, published_files

NAMES = [file.name for file in ACE_STEP.files]
TOKEN = CancelToken()

MUSICGEN_CONFIG = json.dumps({"decoder": {}, "audio_encoder": {}})

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda contents: contents[:-1],
    "flipped": lambda contents: contents[:-7] + bytes([contents[-7] ^ 4]) + contents[-6:],
    "wrong file": lambda contents: b"a page that says 404",
}


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A local folder with published files."""
    folder = tmp_path / "origin"
    folder.mkdir()
    for path, contents in published_files(200_000).items():
        (folder / Path(path).name).write_bytes(contents)
    return folder


@pytest.fixture
def installed(origin: Path, tmp_path: Path) -> Path:
    """The model as `import` installs it."""
    folder = tmp_path / "model"
    store.import_folder(ACE_STEP, origin, folder, TOKEN)
    return folder


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_named_with_the_command_that_repairs_it(
    installed: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    backend = ace_step_backend(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(installed)}))
    assert backend.availability().error is None
    (installed / name).write_bytes(damage((installed / name).read_bytes()))
    with pytest.raises(ModelLoadFailed) as failure:
        backend.load(TOKEN, lambda progress: None)
    assert str(installed / name) in failure.value.message
    assert "lofi-daemon download ace_step" in failure.value.message
    error = backend.availability().error
    assert error is not None
    assert str(installed / name) in error
    assert "lofi-daemon download ace_step" in error


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(installed: Path, name: str) -> None:
    backend = ace_step_backend(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(installed)}))
    (installed / name).unlink()
    error = backend.availability().error
    assert error is not None
    assert f"{installed / name} is missing" in error


def test_an_empty_folder_is_not_installed(tmp_path: Path) -> None:
    backend = ace_step_backend(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(tmp_path)}))
    assert not backend.availability().installed
    with pytest.raises(ModelNotFound, match=str(tmp_path)):
        backend.load(TOKEN, lambda progress: None)


def test_a_file_is_read_again_only_after_it_was_touched(installed: Path) -> None:
    read: list[str] = []
    note = lambda name, done, total: read.append(name) if done else None  # noqa: E731
    files = {name: (installed / name).stat().st_size for name in NAMES}
    assert store.verify(installed, TOKEN, only_changed=True) == []
    checksums = Checksums()
    assert all(checksums.known(installed / name) for name in files)
    os.utime(installed / "vocoder.onnx", (1, 1))
    assert checksums.known(installed / "vocoder.onnx") is None
    assert store.verify(installed, TOKEN, only_changed=True, on_file=note) == []
    assert checksums.known(installed / "vocoder.onnx")


def test_a_flip_that_leaves_no_trace_is_found_by_verify(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = installed / "dcae_decoder.onnx"
    before = file.stat()
    file.write_bytes(DAMAGES["flipped"](file.read_bytes()))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.inspect(installed) == []
    monkeypatch.setenv("LOFI_ACE_STEP_MODEL_PATH", str(installed))
    assert run(["verify", "ace_step"]) == 1
    assert f"{file} is altered" in capsys.readouterr().err
    assert store.inspect(installed) == [store.Problem("dcae_decoder.onnx", store.ALTERED)]


def test_import_refuses_a_folder_that_lacks_files(origin: Path, tmp_path: Path) -> None:
    (origin / "vocoder.onnx").unlink()
    with pytest.raises(ModelNotFound, match=r"vocoder\.onnx"):
        store.import_folder(ACE_STEP, origin, tmp_path / "model", TOKEN)
    assert not (tmp_path / "model/installed.json").exists()


def test_import_refuses_a_bundle_that_is_not_what_it_says(origin: Path, tmp_path: Path) -> None:
    files = {name: {"bytes": 60_000, "sha256": "0" * 64} for name in ("vocoder.onnx",)}
    (origin / "manifest.json").write_text(json.dumps({"interface": 1, "files": files}))
    with pytest.raises(ModelLoadFailed, match=r"vocoder\.onnx"):
        store.import_folder(ACE_STEP, origin, tmp_path / "model", TOKEN)
    assert not (tmp_path / "model/vocoder.onnx").exists()


def test_the_command_line_imports_and_verifies(
    origin: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOFI_ACE_STEP_MODEL_PATH", str(tmp_path / "model"))
    assert run(["verify", "ace_step"]) == 1
    assert "lofi-daemon download ace_step" in capsys.readouterr().err
    assert run(["import", "ace_step", str(origin)]) == 0
    assert run(["verify", "ace_step"]) == 0
    record = json.loads((tmp_path / "model/installed.json").read_text())
    assert record["source"] == f"imported from {origin}"


def test_a_broken_record_is_named(installed: Path) -> None:
    (installed / "installed.json").write_text("{")
    backend = ace_step_backend(load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(installed)}))
    error = backend.availability().error
    assert error is not None
    assert str(installed / "installed.json") in error


def test_the_other_model_is_checked_alike(tmp_path: Path) -> None:
    folder = tmp_path / "musicgen"
    origin = tmp_path / "origin"
    origin.mkdir()
    published = MusicGenFiles.configured(Settings()).source()
    for file in published.files:
        (origin / file.name).write_bytes(file.name.encode() * 1000)
    (origin / "config.json").write_text(MUSICGEN_CONFIG)
    store.import_folder(published, origin, folder, TOKEN)
    backend = musicgen_backend(load_settings({"LOFI_MODEL_PATH": str(folder)}))
    assert backend.availability().error is None
    file = folder / "encodec_decode.onnx"
    file.write_bytes(DAMAGES["flipped"](file.read_bytes()))
    with pytest.raises(ModelLoadFailed) as failure:
        backend.load(TOKEN, lambda progress: None)
    assert str(file) in failure.value.message
    assert "lofi-daemon download musicgen" in failure.value.message
    assert str(file) in (backend.availability().error or "")
