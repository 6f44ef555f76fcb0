"""A backend that was added to the daemon shows in the editor, once its table is written anew."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lofi_daemon.backends import registry
from scripts import plugin_parameters
from tests.nvim.conftest import ROOT, Editor
from tests.nvim.test_completion import complete
from tests.nvim.test_health import health
from tests.toy.backend import toy_backend

pytestmark = pytest.mark.one_neovim


@pytest.fixture
def toy(editor: Editor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Editor:
    monkeypatch.setitem(registry.FACTORIES, "toy", toy_backend)
    editor.lua(
        "package.loaded['lofi.declared'] = assert(loadstring(...))()", plugin_parameters.render()
    )
    editor.setup(
        cmd=[sys.executable, "-m", "tests.toy"],
        env={
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "LOFI_AUDIO_DEVICE": "null",
        },
        startup_timeout_ms=60000,
    )
    return editor


def test_health_tells_of_it(toy: Editor) -> None:
    assert (
        "toy (Toy of two notes), licence CC0-1.0 (https://example.org/toy): not installed; "
        "`:Lofi download toy` takes about 3.0 GB"
    ) in health(toy)


def test_its_name_and_its_options_are_completed(toy: Editor) -> None:
    assert complete(toy, "Lofi generate wob") == ["wobble="]
    assert complete(toy, "Lofi generate tune=") == ["tune=up", "tune=down"]
    toy.until(lambda: complete(toy, "Lofi download t") == ["toy"])
    assert "backend=toy" in complete(toy, "Lofi generate backend=")
