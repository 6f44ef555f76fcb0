"""Which names of files a document from elsewhere may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofi_daemon.files.names import checked_name, checked_names, inside

GOOD = ("model.onnx", "int8/decoder.bin", "tokenizer.json", "onnx__MatMul_12", "雨.bin", "a b.txt")
BAD = (
    "", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", ".", "..", ".bashrc",
    ".download/x", "a/.ssh/x", "C:x", "C:\\x", "\\\\host\\x", "a\\..\\x", "x:stream", "a*",
    "a\x00b", "a\nb", "a\x1b[1m", "a\u202eb", "half\ud800", "end.", "end ", " x", "NUL", "com1.txt",
    "x" * 300, "/".join("x" * 20),
)  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_names_of_files(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_what_leads_elsewhere_or_means_something_else(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any wording
        checked_name(name)


@pytest.mark.parametrize(
    "names",
    [
        ["a", "A"],
        ["ß", "SS"],
        ["é", "e\u0301"],
        ["a", "a/b"],
        ["installed.json"],
        ["Installed.JSON"],
    ],
)
def test_names_that_are_one_file_somewhere(names: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        checked_names(names, reserved=["installed.json"])


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "in").symlink_to(folder)
    assert inside(folder, "in/x") == folder / "in" / "x"
    with pytest.raises(OSError, match="leads out"):
        inside(folder, "out/x")
