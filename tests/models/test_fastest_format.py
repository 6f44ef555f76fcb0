"""The format of 8 bits is the fastest whose products are right."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lofi_daemon.models.quantize import fastest_format as module
from lofi_daemon.models.quantize.fastest_format import (
    MAX_ERROR,
    Measured,
    fastest_format,
    fastest_right,
    is_right,
    measure_products,
)
from lofi_daemon.onnx import processor
from lofi_daemon.onnx.weight_formats import Packing, WeightFormat, pack

COLUMNS, BLOCKS = WeightFormat.INT8_COLUMNS, WeightFormat.INT8_BLOCKS
ROUNDED, SATURATED = 0.01, 0.11


class SaturatingColumns:
    """DynamicQuantizeMatMul as AVX2's vpmaddubsw computes it: sums of two products in 16 bits.

    Slow once, and then faster than anything.
    """

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._product: list[np.ndarray] = []
        tensors = pack(weights, COLUMNS).tensors
        self._weight = tensors["weight"].astype(np.int32)
        self._scale = tensors["scale"]

    def run(
        self, outputs: list[str] | None, feeds: dict[str, NDArray[np.float32]]
    ) -> list[np.ndarray]:
        if not self._product:
            self._product = [self._multiplied(feeds["activations"][0])]
        return self._product

    def _multiplied(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        step = (values.max() - values.min()) / 255.0
        zero = int(np.rint(-values.min() / step))
        in_bytes = np.clip(np.rint(values / step) + zero, 0, 255).astype(np.int32)
        sums = np.zeros((len(values), self._weight.shape[1]), dtype=np.int64)
        for first in range(0, self._weight.shape[0], 2):
            pair = in_bytes[:, first : first + 2] @ self._weight[first : first + 2]
            sums += np.clip(pair, -(2**15), 2**15 - 1)
        sums -= zero * self._weight.sum(axis=0)
        return (sums * step * self._scale)[None].astype(np.float32)


@pytest.mark.parametrize(
    ("columns", "blocks", "chosen"),
    [
        (Measured(1.0, ROUNDED), Measured(2.0, ROUNDED), COLUMNS),
        (Measured(2.0, ROUNDED), Measured(1.0, ROUNDED), BLOCKS),
        (Measured(1.0, SATURATED), Measured(4.0, ROUNDED), BLOCKS),
        (Measured(1.0, float("nan")), Measured(4.0, ROUNDED), BLOCKS),
    ],
)
def test_the_fastest_of_those_that_are_right(
    columns: Measured, blocks: Measured, chosen: WeightFormat
) -> None:
    assert fastest_right({COLUMNS: columns, BLOCKS: blocks}) is chosen


def test_where_none_is_right_the_closest_is_taken_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = fastest_right({COLUMNS: Measured(1.0, 0.2), BLOCKS: Measured(2.0, 0.1)})
    assert chosen is BLOCKS
    assert "int8-blocks, which is off by 10.0 %" in caplog.text


def test_a_format_that_saturates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast: the operands of the measurement are such that it shows."""
    real: Callable[..., object] = module._session

    def session(packing: Packing, weights: NDArray[np.float32], *rest: object) -> object:
        if packing.format is COLUMNS:
            return SaturatingColumns(weights)
        return real(packing, weights, *rest)

    monkeypatch.setattr(module, "_session", session)
    monkeypatch.setattr(module, "SECONDS_EACH", 0.01)
    monkeypatch.setattr(module, "ROWS", 8)
    monkeypatch.setattr(module, "WIDTH", 256)
    monkeypatch.setattr(module, "COLUMNS", 64)
    measured = module.measure_formats(threads=1)
    assert measured[COLUMNS].seconds < measured[BLOCKS].seconds
    assert measured[COLUMNS].error > 2 * MAX_ERROR[8] > measured[BLOCKS].error
    assert fastest_format(threads=1) is BLOCKS


def test_this_processor_is_right_in_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_EACH", 0.01)
    packings = [Packing(COLUMNS, 256, 64)]
    for block in (32, 64, 128):
        packings += [Packing(each, 256, 64, block) for each in (BLOCKS, WeightFormat.INT4_BLOCKS)]
    found = measure_products(packings, 8, threads=1, matrices=3)
    assert list(found) == packings
    for packing, measured in found.items():
        assert measured.error > 0.0
        assert is_right(packing.format, measured)
        assert 0.0 < measured.seconds < 60.0


@pytest.mark.skipif(
    processor.platform.machine().lower() not in ("x86_64", "amd64")
    or not processor.byte_products_saturate(),
    reason="this processor's products of bytes do not saturate",
)
def test_without_exact_products_this_processor_refuses_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS_EACH", 0.01)
    monkeypatch.setattr(module, "multiply_bytes_exactly", lambda options: None)
    assert fastest_format(threads=1) is BLOCKS
