"""The form of the decoder's matrices is measured where the set is made, and the set says which."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import helper

from lofi_daemon.backends.musicgen.backend import MusicGenBackend, musicgen_backend
from lofi_daemon.backends.musicgen.bundle import DecoderConfig
from lofi_daemon.backends.musicgen.native import fastest_forms as module
from lofi_daemon.backends.musicgen.native.decoder_graph import Forms
from lofi_daemon.backends.musicgen.native.fastest_forms import (
    EIGHT_BITS,
    FOUR_BITS,
    fastest_forms,
    worth_most,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.models.quantize.fastest_format import Measured
from lofi_daemon.onnx.weight_formats import Packing
from tests import tiny_musicgen


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ((1.00, 1.00, 1.00), 0),
        ((1.05, 1.00, 0.99), 0),
        ((1.80, 1.50, 1.20), 2),
        ((1.80, 1.25, 1.20), 1),
        ((1.80, 1.20, 1.30), 1),
    ],
)
def test_a_less_exact_form_has_to_pay(seconds: tuple[float, ...], chosen: int) -> None:
    measured = {
        storage: Measured(each, 0.07) for storage, each in zip(FOUR_BITS, seconds, strict=True)
    }
    assert worth_most(measured) is FOUR_BITS[chosen]


def test_a_form_that_is_wrong_is_refused_however_fast() -> None:
    measured = [Measured(2.0, 0.01), Measured(1.0, 0.1), Measured(1.5, 0.01)]
    wrong = dict(zip(EIGHT_BITS, measured, strict=True))
    assert worth_most(wrong) is EIGHT_BITS[2]
    assert worth_most(dict.fromkeys(EIGHT_BITS, Measured(1.0, 0.2))) is EIGHT_BITS[0]


def test_every_form_is_measured_at_the_rows_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Packing] = []

    def measure(
        packings: Sequence[Packing], rows: int, threads: int | None, matrices: int
    ) -> dict[Packing, Measured]:
        assert (rows, threads) == (2, 3)
        asked.extend(packings)
        return {packing: Measured(1.0 / packing.block, 0.01) for packing in packings}

    monkeypatch.setattr(module, "measure_products", measure)
    assert fastest_forms(DecoderConfig(), 3) == Forms(EIGHT_BITS[2], FOUR_BITS[2])
    assert [packing.block for packing in asked] == [32, 64, 128, 32, 64, 128]
    assert {(packing.rows, packing.columns) for packing in asked} == {(1024, 4096)}
    asked.clear()
    assert fastest_forms(DecoderConfig(hidden_size=64, ffn_dim=128)) == Forms()
    assert not asked


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "musicgen"
    shutil.copytree(tiny_musicgen.published_folder(), folder)
    return folder


def backend(folder: Path, variant: str) -> MusicGenBackend:
    variables = {"LOFI_MUSICGEN_MODEL_PATH": str(folder), "LOFI_MUSICGEN_VARIANT": variant}
    return musicgen_backend(Settings(backend_variables=variables, threads=1))


@pytest.mark.parametrize(("variant", "bits"), [("int8", 8), ("int4", 4)])
def test_the_set_is_made_in_the_form_and_says_so(
    published: Path, monkeypatch: pytest.MonkeyPatch, variant: str, bits: int
) -> None:
    forms = Forms(EIGHT_BITS[0], FOUR_BITS[2])
    monkeypatch.setattr(module, "fastest_forms", lambda config, threads: forms)
    block = {8: 32, 4: 128}[bits]
    made = backend(published, variant)
    made.load(CancelToken(), lambda progress: None)
    version = f"2x64-native-{variant}-{block}"
    assert made.availability().model_version == version
    assert backend(published, variant).availability().model_version == version
    graph = onnx.load(str(published / f"native-{variant}" / "decoder.onnx")).graph
    blocks = [
        {each.name: helper.get_attribute_value(each) for each in node.attribute}
        for node in graph.node
        if node.op_type == "MatMulNBits"
    ]
    assert {each["block_size"] for each in blocks if each["bits"] == bits} == {block}
