"""Folders, documents and bundles that somebody made to do harm, or that cannot be read."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from lofi_daemon.backends.ace_step.backend import ace_step_backend
from lofi_daemon.backends.kit.mel_diffusion.bundle import FILES
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.cli import run
from lofi_daemon.config import load_settings
from lofi_daemon.errors import LofiError, ModelLoadFailed
from lofi_daemon.models import store
from lofi_daemon.models.checksums import Checksums
from lofi_daemon.onnx.external_weights import external_files, external_tensor, read_weight
from tests.models.conftest import ACE_STEP

TOKEN = CancelToken()
HERE = {"bytes": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}


def bundle(folder: Path, names: list[str]) -> Path:
    """A folder whose manifest lists these names; each leads to a file that is as it says."""
    folder.mkdir(parents=True)
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"evil")
    (folder / "manifest.json").write_text(
        json.dumps({"interface": 1, "files": dict.fromkeys(names, HERE)})
    )
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "../../outside",
        "../model/x",
        ".download/x",
        "installed.json",
        "a/../b",
        ".hidden/x",
        "x\x1by",
    ],
)
def test_import_writes_inside_the_folder_alone(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    origin = bundle(tmp_path / "a" / "origin", [name])
    outside.write_text("mine")
    (outside.with_name("kept")).write_text("mine")
    with pytest.raises(LofiError):
        store.import_folder(ACE_STEP, origin, tmp_path / "b" / "model", TOKEN)
    assert outside.read_text() == "mine"
    assert not (tmp_path / "b" / "model" / "installed.json").exists()


def test_an_absolute_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = tmp_path / ".bashrc"
    origin = bundle(tmp_path / "origin", [str(victim)])
    victim.write_text("mine")
    assert run(["import", "ace_step", str(origin)]) == 1
    assert victim.read_text() == "mine"
    assert "complete" not in capsys.readouterr().out


def test_a_linked_folder_in_the_models_place(tmp_path: Path) -> None:
    origin = bundle(tmp_path / "origin", ["sub/authorized_keys"])
    (tmp_path / "ssh").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "sub").symlink_to(tmp_path / "ssh")
    with pytest.raises(OSError, match="leads out"):
        store.import_folder(ACE_STEP, origin, tmp_path / "model", TOKEN)
    assert list((tmp_path / "ssh").iterdir()) == []


def test_a_record_is_checked_as_well(tmp_path: Path) -> None:
    record = {"model": "m", "source": "s", "licence": "l", "files": {"../x": HERE}}
    (tmp_path / "installed.json").write_text(json.dumps(record))
    with pytest.raises(ModelLoadFailed, match=r"installed\.json is broken at files"):
        store.inspect(tmp_path)


def test_a_record_of_nothing_is_broken(tmp_path: Path) -> None:
    record: dict[str, Any] = {"model": "m", "source": "s", "licence": "l", "files": {}}
    (tmp_path / "installed.json").write_text(json.dumps(record))
    with pytest.raises(ModelLoadFailed):
        store.expected_files(tmp_path)


ODD = {
    "NaN": '{"interface": 1, "latents": {"scale": NaN}}',
    "infinity": '{"interface": 1, "latents": {"scale": 1e999}}',
    "huge": '{"interface": 1' + "0" * 400 + "}",
    "negative": '{"files": {"a": {"bytes": -1, "sha256": "' + "0" * 64 + '"}}}',
    "no number": '{"files": {"a": {"bytes": true, "sha256": "' + "0" * 64 + '"}}}',
    "no sum": '{"files": {"a": {"bytes": 1, "sha256": "x"}}}',
    "deep": "[" * 100_000,
    "deep inside": '{"files": ' + '{"a":' * 50_000,
    "a list": "[]",
    "null": "null",
    "text": '"a"',
    "files as a list": '{"files": []}',
    "half a character": '{"model_version": "\\ud800"}',
    "empty": "",
    "no UTF-8": "\udcff",
}


@pytest.mark.parametrize("document", ["manifest.json", "installed.json", "config.json"])
@pytest.mark.parametrize("content", ODD.values(), ids=ODD.keys())
def test_odd_documents_are_the_backends_own_error(
    document: str, content: str, tmp_path: Path
) -> None:
    for model in ("ace", "music"):
        (tmp_path / model).mkdir()
        for name in ("tokenizer.json", "config.json", "text_encoder.onnx"):
            (tmp_path / model / name).write_text("{}")
        (tmp_path / model / document).write_bytes(os.fsencode(content))
    _only_its_own_error(tmp_path / "ace", tmp_path / "music")


@pytest.mark.parametrize("content", [*ODD.values(), '{"a": {"state": [1e999, 1], "sha256": 1}}'])
def test_odd_sums_are_computed_anew(content: str, tmp_path: Path) -> None:
    path = tmp_path / "checksums.json"
    path.write_bytes(os.fsencode(content))
    file = tmp_path / "file"
    file.write_bytes(b"evil")
    sums = Checksums(path)
    assert sums.known(file) is None
    assert sums.of(file, TOKEN) == HERE["sha256"]
    assert sums.known(file) == HERE["sha256"]


def test_a_file_whose_name_is_no_text_has_a_sum(tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    file.write_bytes(b"evil")
    sums = Checksums(tmp_path / "checksums.json")
    sums.of(file, TOKEN)
    assert sums.known(file) == HERE["sha256"]


def test_leftovers_of_killed_processes_are_swept(tmp_path: Path) -> None:
    for name in (".checksums.json.123.456", ".checksums.json-0a1b2c3d.partial"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1, 1))
    file = tmp_path / "file"
    file.write_bytes(b"evil")
    Checksums(tmp_path / "checksums.json").of(file, TOKEN)
    assert {path.name for path in tmp_path.iterdir()} == {"checksums.json", "file"}


def _only_its_own_error(ace_step: Path, musicgen: Path) -> None:
    settings = load_settings(
        {"LOFI_ACE_STEP_MODEL_PATH": str(ace_step), "LOFI_MODEL_PATH": str(musicgen)}
    )
    registry = Registry(settings)
    for name in ("ace_step", "musicgen"):
        available = registry.get(name).availability()
        assert available.installed, name
        assert available.error, name
    assert registry.choose(None).backend.info.type == "demo"


def _file(path: Path) -> None:
    path.write_text("")


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [_file, _dangling, _pipe, None], ids=lambda make: str(make))
def test_what_is_no_folder_takes_nothing_else_down(
    make: Callable[[Path], None] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / ("model" if make is not None else "x" * 300)
    if make is not None:
        make(folder)
    _only_its_own_error(folder, folder)
    monkeypatch.setenv("LOFI_ACE_STEP_MODEL_PATH", str(folder))
    monkeypatch.setenv("LOFI_MODEL_PATH", str(folder))
    assert run(["backends"]) == 0
    assert run(["doctor"]) == 0
    assert run(["verify", "ace_step"]) == 1
    assert run(["quantize", "ace_step", "--bits", "8"]) == 1
    said = capsys.readouterr()
    assert f"{folder} cannot be read" in said.out
    assert "Traceback" not in said.err


def test_a_pipe_in_a_models_folder_makes_nobody_wait(tmp_path: Path) -> None:
    for name in ("manifest.json", "installed.json", "tokenizer.json", "config.json"):
        os.mkfifo(tmp_path / name)
    _only_its_own_error(tmp_path, tmp_path)


def test_files_that_may_not_be_read_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle(tmp_path / "model", list(FILES))
    settings = load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(folder)})
    assert ace_step_backend(settings).availability().error is None
    monkeypatch.setattr("lofi_daemon.models.store.os.access", lambda path, mode: False)
    assert "vocoder.onnx cannot be read" in str(ace_step_backend(settings).availability().error)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to become another user")
@pytest.mark.parametrize("closed", [".", "tokenizer.json"])
def test_another_users_model(closed: str, tmp_path: Path) -> None:
    """Unreadable files in a readable folder, or a folder that is closed, are errors."""
    folder = tmp_path / "model"
    bundle(folder, ["tokenizer.json", "vocoder.onnx"])
    (folder / closed).chmod(0o600)
    program = (
        "import os, sys; os.setgid(65534); os.setuid(65534)\n"
        "from lofi_daemon.cli import run; sys.exit(run(['backends']))"
    )
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_mode & 0o005 != 0o005 and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "LOFI_ACE_STEP_MODEL_PATH": str(folder),
            "XDG_CACHE_HOME": "/nonexistent",
        },
        capture_output=True,
        text=True,
        cwd="/",
    )
    if "ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr.splitlines()[-1:]:
        pytest.skip("another user cannot read the installation")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "ace_step " in line)
    assert "cannot be read" in line


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a\\b", "", ".ssh/x"])
def test_weights_lie_beside_their_graph(location: str, tmp_path: Path) -> None:
    tensor = external_tensor("w", TensorProto.FLOAT, [1], location, 0, 4)
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor]))
    with pytest.raises(ModelLoadFailed, match="lies where no weight may"):
        external_files(model, tmp_path)
    with pytest.raises(ModelLoadFailed, match="lies where no weight may"):
        read_weight(tensor, tmp_path)
