"""Smaller files of MusicGen: by configuration or by command, with or without their source."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lofi_daemon.backends.musicgen.backend import MusicGenBackend, musicgen_backend
from lofi_daemon.backends.musicgen.files import VariantName
from lofi_daemon.backends.protocol import GenerationRequest, Phase
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.cli import run
from lofi_daemon.config import Settings
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.onnx.external_weights import read_model, write_model
from tests import tiny_musicgen
from tests.backends.musicgen.test_backend import make_unrecognisable


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "musicgen"
    shutil.copytree(tiny_musicgen.published_folder(), folder)
    monkeypatch.setenv("LOFI_MODEL_PATH", str(folder))
    return folder


def backend(folder: Path, variant: VariantName | None) -> MusicGenBackend:
    variables = {"LOFI_MUSICGEN_MODEL_PATH": str(folder)}
    if variant is not None:
        variables["LOFI_MUSICGEN_VARIANT"] = variant
    return musicgen_backend(Settings(backend_variables=variables, threads=1))


def version(folder: Path, variant: VariantName | None) -> str | None:
    return backend(folder, variant).availability().model_version


def test_the_configuration_chooses(published: Path) -> None:
    assert version(published, None) == "2x64-native-fp32"
    assert version(published, "original") == "2x64-published"
    assert version(published, "int8") == "2x64-native-int8"
    made = backend(published, "int4")
    made.load(CancelToken(), lambda progress: None)
    assert made.availability().model_version == "2x64-native-int4"
    assert (published / "native-int4" / "manifest.json").is_file()


def test_the_command_makes_it_ahead(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "musicgen", "--bits", "8"]) == 0
    said = capsys.readouterr().out
    assert f"2x64-native-int8 is complete in {published / 'native-int8'}" in said
    assert "LOFI_MUSICGEN_VARIANT=int8" in said
    assert version(published, None) == "2x64-native-fp32"


def test_it_outlives_its_source(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "musicgen", "--bits", "4", "--replace"]) == 0
    assert "The original files are deleted" in capsys.readouterr().out
    assert [path.name for path in published.iterdir()] == ["native-int4"]
    made = backend(published, None)
    assert made.availability().model_version == "2x64-native-int4"
    made.load(CancelToken(), lambda progress: None)
    assert run(["verify", "musicgen"]) == 0
    with (published / "native-int4" / "decoder.bin").open("r+b") as file:
        file.write(b"altered")
    with pytest.raises(ModelLoadFailed) as caught:
        backend(published, None).load(CancelToken(), lambda progress: None)
    assert "decoder.bin" in caught.value.message
    assert "lofi-daemon quantize musicgen --bits 4" in caught.value.hint


def test_a_damaged_one_is_made_again_while_its_source_is_there(published: Path) -> None:
    backend(published, "int8").load(CancelToken(), lambda progress: None)
    weights = published / "native-int8" / "decoder.bin"
    whole = weights.read_bytes()
    with weights.open("r+b") as file:
        file.write(b"altered")
    backend(published, "int8").load(CancelToken(), lambda progress: None)
    assert weights.read_bytes() == whole


def test_it_is_made_again_of_other_files_of_the_same_size(published: Path) -> None:
    """As those of a model that was trained further are; copying alone changes nothing."""

    def made() -> int:
        backend(published, "int8").load(CancelToken(), lambda progress: None)
        return (published / "native-int8" / "decoder.bin").stat().st_mtime_ns

    first = made()
    tokenizer = published / "tokenizer.json"
    copy = shutil.copyfile(tokenizer, published / "copy")
    os.utime(copy, ns=(1, 1))
    copy.replace(tokenizer)
    assert made() == first
    content = tokenizer.read_text()
    tokenizer.write_text(content + " ")
    second = made()
    assert second != first
    tokenizer.write_text(content + "\n")
    assert made() != second


def test_an_export_in_one_precision_is_not_another(tmp_path: Path) -> None:
    folder = tiny_musicgen.native_folder()
    assert version(folder, None) == "2x64-native-fp32"
    error = backend(folder, "int4").availability().error
    assert error is not None
    assert "holds MusicGen in fp32 only" in error
    with pytest.raises(ModelLoadFailed, match=r"has no decoder_model\.onnx"):
        backend(folder, None).info.files.smaller_set("int4")


def test_caches_grow_with_the_track_up_to_a_window(published: Path) -> None:
    made = backend(published, "int8")
    made.prepare(CancelToken(), lambda progress: None)
    work = {
        seconds: made.needs(GenerationRequest("rain", seconds, 1))[Phase.DECODING_TOKENS].working
        for seconds in (5.0, 30.0, 120.0)
    }
    # 2 layers, keys and values, both rows of guidance, 64 wide, 4 bytes, 50 frames a second.
    assert work[30.0] - work[5.0] == 2 * 2 * 2 * 64 * 4 * 25 * 50
    assert work[120.0] == work[30.0]


def test_the_published_form_has_its_decoder_twice(published: Path) -> None:
    need = {
        variant: backend(published, variant).needs(GenerationRequest("rain", 5.0, 1))
        for variant in ("original", None)
    }
    # The native form is not made yet: what would be loaded to make it is the published one.
    assert need["original"] == need[None]
    made = backend(published, None)
    made.prepare(CancelToken(), lambda progress: None)
    native = made.needs(GenerationRequest("rain", 5.0, 1))[Phase.DECODING_TOKENS].model
    assert native < 0.7 * need["original"][Phase.DECODING_TOKENS].model


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlinks", "hard links"])
def test_weights_may_be_links(
    link: Callable[[Path, Path], None], published: Path, tmp_path: Path
) -> None:
    """The Hub's caches are made of them."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for name in ("text_encoder.onnx", "encodec_decode.onnx"):
        graph = read_model(published / name)
        write_model(graph, published / name, published)
        (published / name).with_suffix(".bin").rename(blobs / name)
        link(blobs / name, (published / name).with_suffix(".bin"))
    made = backend(published, "int8")
    made.load(CancelToken(), lambda progress: None)
    assert made.availability().model_version == "2x64-native-int8"


def test_what_is_refused_leaves_nothing(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unrecognisable(published)
    before = sorted(published.iterdir())
    assert run(["quantize", "musicgen", "--bits", "8"]) == 1
    assert sorted(published.iterdir()) == before
    monkeypatch.setenv("LOFI_MODEL_PATH", str(tmp_path / "nowhere"))
    assert run(["quantize", "musicgen", "--bits", "8"]) == 1
    assert not (tmp_path / "nowhere").exists()
