"""What every request asks of every backend: nothing is opened twice, and every change is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.backends.kit import files as kit_files
from lofi_daemon.backends.kit.looked_at import LookedAt
from lofi_daemon.backends.protocol import Availability
from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.jobs.requests import resolve
from lofi_daemon.models.checksums import Checksums
from lofi_daemon.parameters import GenerationParameters, parse
from tests import tiny_musicgen
from tests.tiny_bundle import tiny_bundle

_heard: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _heard:
        _heard[-1].append(str(arguments[0]))


sys.addaudithook(_hear)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The files that are opened in the block."""
    _heard.append([])
    try:
        yield _heard[-1]
    finally:
        _heard.pop()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """An ACE-Step and a MusicGen that are there, whole, and looked at before anything else."""
    places = {"ACE_STEP_MODEL_PATH": tmp_path / "ace-step", "MODEL_PATH": tmp_path / "musicgen"}
    shutil.copytree(tiny_bundle(), places["ACE_STEP_MODEL_PATH"])
    shutil.copytree(tiny_musicgen.native_folder(), places["MODEL_PATH"])
    for name, place in places.items():
        monkeypatch.setenv(f"LOFI_{name}", str(place))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return places


def ask(registry: Registry, backend: str | None) -> None:
    model = registry.taking_options(GenerationParameters)
    resolved = resolve(
        registry, parse(model, {"prompt": "rain", "duration_sec": 5, "backend": backend})
    )
    resolved.workload()
    resolved.backend.info.understood("rain")


@pytest.mark.parametrize("backend", [None, "ace_step", "musicgen", "demo"])
@pytest.mark.usefixtures("folders")
def test_a_second_request_opens_nothing(backend: str | None) -> None:
    registry = Registry(load_settings(os.environ))
    with opened() as first:
        ask(registry, backend)
    # the bundled model's folder may be known from before, in this process
    assert first or backend == "demo", "the first one reads what the folders say"
    with opened() as second:
        ask(registry, backend)
    assert second == []


@pytest.mark.usefixtures("folders")
def test_a_request_looks_at_each_folder_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(load_settings(os.environ))
    ask(registry, None)
    looked: list[Path] = []
    as_of = LookedAt.as_of

    def counted(self: LookedAt, look: Callable[[], Availability], *also: object) -> Availability:
        def counted_look() -> Availability:
            pytest.fail("nothing has changed")

        looked.append(self._folder)
        return as_of(self, counted_look, *also)

    monkeypatch.setattr(LookedAt, "as_of", counted)
    ask(registry, None)
    assert len(looked) == len(set(looked))


def test_what_changes_is_seen(folders: dict[str, Path]) -> None:
    registry = Registry(load_settings(os.environ))
    backend, folder = registry.get("ace_step"), folders["ACE_STEP_MODEL_PATH"]
    assert backend.availability().error is None
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    version = backend.availability().model_version
    assert version is not None
    manifest.write_text(text.replace(version, version[:-1] + "!"))
    assert backend.availability().model_version == version[:-1] + "!"
    manifest.write_text(text)
    weights = next(folder.glob("*.onnx"))
    weights.rename(folder / "elsewhere")
    assert f"{weights.name} is missing" in str(backend.availability().error)
    (folder / "elsewhere").rename(weights)
    assert backend.availability().error is None
    shutil.rmtree(folder)
    assert not backend.availability().installed


def test_a_sum_that_another_process_found_is_seen(folders: dict[str, Path]) -> None:
    registry = Registry(load_settings(os.environ))
    backend, folder = registry.get("musicgen"), folders["MODEL_PATH"]
    assert backend.availability().error is None
    weights = folder / "decoder.bin"
    status = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"altered")
    assert backend.availability().error is None, "nobody has read it"
    program = (
        "import sys; from pathlib import Path\n"
        "from lofi_daemon.models.checksums import Checksums\n"
        "from lofi_daemon.cancellation import CancelToken\n"
        "Checksums().compute(Path(sys.argv[1]), CancelToken())"
    )
    subprocess.run([sys.executable, "-c", program, str(weights)], check=True)
    assert "decoder.bin is altered" in str(backend.availability().error)
    assert weights.stat().st_size == status.st_size


def test_sums_are_read_once(tmp_path: Path) -> None:
    file, kept = tmp_path / "file", tmp_path / "sums.json"
    file.write_bytes(b"sound")
    sum_of_file = Checksums(kept).compute(file, CancelToken())
    Checksums(kept).known(file)
    with opened() as files:
        for _ in range(5):
            assert Checksums(kept).known(file) == sum_of_file
    assert files == []
    kept.write_text("{}")
    assert Checksums(kept).known(file) is None


def test_what_is_no_models_folder_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's home: too much to compare, so it is looked at each time."""
    for number in range(4):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(kit_files, "MAX_ENTRIES", 3)
    looked_at, looks = LookedAt(tmp_path), []

    def look() -> Availability:
        looks.append(1)
        return Availability(installed=False)

    looked_at.as_of(look)
    looked_at.as_of(look)
    assert len(looks) == 2
    monkeypatch.setattr(kit_files, "MAX_ENTRIES", 4)
    looked_at.as_of(look)
    looked_at.as_of(look)
    assert len(looks) == 3
    looked_at.as_of(look, "cuda")
    assert len(looks) == 4
