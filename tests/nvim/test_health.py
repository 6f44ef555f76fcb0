from __future__ import annotations

import pytest

from tests.nvim.conftest import Editor


def health(editor: Editor) -> str:
    editor.command("checkhealth lofi")
    return "\n".join(editor.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, true)"))


def test_all_is_well(editor: Editor) -> None:
    editor.fake()
    report = health(editor)
    for line in [
        "OK Neovim 0.1",
        "OK the options are valid",
        "OK found through the option cmd: ",
        "OK it runs: version 0.0-fake, protocol 1",
        "OK Python 3.12.1 (/opt/lofi/bin/python)",
        "OK onnxruntime 1.22.0 computes on cpu",
        "ace_step (ACE-Step), licence Apache-2.0: not installed; `:Lofi download ace_step`",
        "OK demo (Demo), licence MIT: ready, 0.1 GB of files",
        "OK tracks go to /music/tracks, 50.0 GB free",
        "OK Built-in Audio (the default)",
    ]:
        assert line in report
    assert "WARNING" not in report
    assert "ERROR" not in report


@pytest.mark.parametrize(
    ("behaviour", "lines"),
    [
        (
            "poor",
            [
                "WARNING ace_step needs 11.5 GB of disk and /models/ace-step has 3.0 GB free",
                "put its files on another disk",
                "WARNING ace_step needs about 12.0 GB of memory and this machine has 8.0 GB",
                "Use the demo backend",
                "WARNING tracks go to /music/tracks, 0.5 GB free",
                "set LOFI_CACHE_PATH",
            ],
        ),
        (
            "broken",
            [
                "ERROR onnxruntime cannot be loaded: no such library",
                ":Lofi install again.",
                "ERROR demo (Demo), licence MIT: vocoder.onnx is missing",
                "ERROR no model is ready",
            ],
        ),
        (
            "remote",
            [
                "lofi: gpubox",
                "reached by `ssh gpubox lofi-daemon`",
                "OK lofi-daemon 0.0-fake, reached in 1.5 s, answers in 4 ms",
                "OK computes on cuda",
                "OK ace_step: ready (v1)",
                "musicgen: not installed",
                "ERROR broken: error: x.onnx is cut",
            ],
        ),
        (
            "box_away",
            ["ERROR gpubox cannot be reached: no route to host.", "Try `ssh gpubox lofi-daemon`"],
        ),
        ("no_device", ["WARNING there is no sound device", "Is a sound server"]),
        (
            "old",
            ["WARNING `", "told nothing: lofi-daemon: error: no such command", "Update the daemon"],
        ),
        ("exits", ["ERROR the daemon ended (exit status 2)", "LOFI_THREADS is not a number"]),
        (
            "protocol",
            ["ERROR", "speaks protocol 9; this plugin speaks 1", "Update the older of the two"],
        ),
    ],
)
def test_each_failure_comes_with_advice(editor: Editor, behaviour: str, lines: list[str]) -> None:
    editor.fake(behaviour)
    report = health(editor)
    for line in lines:
        assert line in report


def test_no_daemon(editor: Editor) -> None:
    editor.lua("vim.env.PATH = ''")
    editor.lua("require('lofi.discovery').plugin_root = function() return '/nowhere' end")
    report = health(editor)
    assert "ERROR lofi-daemon is not installed: no option cmd" in report
    assert ":Lofi install puts it into /nowhere." in report


def test_options_that_do_not_fit(editor: Editor) -> None:
    editor.nvim.vars["lofi"] = {"volume": 3}
    report = health(editor)
    assert 'unknown option "volume"; did you mean "player.volume"?' in report
    assert "See :help |lofi-options|" in report
