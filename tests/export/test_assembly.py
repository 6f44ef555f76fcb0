"""Putting traced pieces together, and what is done to the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from scripts.export_onnx.assembly import Assembly, pin, store_in_half, trace
from scripts.export_onnx.verify import (
    Expectation,
    VerificationError,
    relative_error,
    verify_graph,
)

WIDTH = 8
AXES = {"x": {0: "rows"}}


class Layer(nn.Module):
    """x · weight + x · factor, with a weight that differs from layer to layer."""

    def __init__(self, seed: int):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH, generator=generator))

    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        return x @ self.weight + x * factor


class Doubling(nn.Module):
    """What comes before the layers."""

    def forward(self, x: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, factor * 1.5


@pytest.fixture(scope="module")
def traced() -> tuple[onnx_ir.Model, onnx_ir.Model]:
    example = {"x": torch.randn(3, WIDTH), "factor": torch.tensor(0.5)}
    begin = trace(Doubling(), example, AXES, ["doubled", "scaled"])
    layer = trace(Layer(0), example, AXES, ["after"])
    return begin, layer


@pytest.fixture
def assembled(traced: tuple[onnx_ir.Model, onnx_ir.Model]) -> onnx_ir.Model:
    begin, layer = traced
    assembly = Assembly(begin.clone())
    for index in range(3):
        assembly.append(
            layer,
            f"layers.{index}",
            dict(Layer(index).named_parameters()),
            {"x": "after" if index else "doubled", "factor": "scaled"},
        )
    return assembly.finish(["after"])


def expected(x: np.ndarray, factor: float) -> np.ndarray:
    with torch.no_grad():
        after = 2 * torch.from_numpy(x)
        for index in range(3):
            after = Layer(index)(after, torch.tensor(factor * 1.5))
    return after.numpy()


ROWS = np.random.default_rng(0).standard_normal((5, WIDTH), dtype=np.float32)


def test_layers_are_repeated_with_their_own_weights(
    assembled: onnx_ir.Model, tmp_path: Path
) -> None:
    onnx_ir.save(assembled, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (after,) = session.run(None, {"x": ROWS, "factor": np.array(0.25, dtype=np.float32)})
    assert relative_error(after, expected(ROWS, 0.25)) < 1e-5
    assert session.get_outputs()[0].shape == ["rows", WIDTH]


def test_a_parameter_that_the_trace_lost_is_an_error(
    traced: tuple[onnx_ir.Model, onnx_ir.Model],
) -> None:
    begin, layer = traced
    assembly = Assembly(begin.clone())
    with pytest.raises(ValueError, match=r"lost the parameters \['bias'\]"):
        assembly.append(
            layer, "l", {"bias": torch.zeros(WIDTH)}, {"x": "doubled", "factor": "scaled"}
        )


def test_pinned_inputs_and_axes_are_fixed(assembled: onnx_ir.Model, tmp_path: Path) -> None:
    onnx_ir.save(pin(assembled, {"factor": 0.25}, {"rows": 5}), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [(entry.name, entry.shape) for entry in session.get_inputs()] == [("x", [5, WIDTH])]
    (after,) = session.run(None, {"x": ROWS})
    assert relative_error(after, expected(ROWS, 0.25)) < 1e-5


def test_weights_stored_in_half(assembled: onnx_ir.Model, tmp_path: Path) -> None:
    onnx_ir.save(store_in_half(assembled), tmp_path / "model.onnx")
    stored = {v.dtype for v in assembled.graph.initializers.values() if len(v.shape) > 1}
    assert stored == {onnx_ir.DataType.FLOAT16}
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (after,) = session.run(None, {"x": ROWS, "factor": np.array(0.25, dtype=np.float32)})
    error = relative_error(after, expected(ROWS, 0.25))
    assert 1e-6 < error < 1e-2


def test_verification_refuses_other_numbers_and_nan(
    assembled: onnx_ir.Model, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    onnx_ir.save(assembled, path)
    inputs = {"x": ROWS, "factor": np.array(0.25, dtype=np.float32)}
    right = expected(ROWS, 0.25)
    assert verify_graph(path, [Expectation("five rows", inputs, [right])], 1e-4)[0] < 1e-5
    with pytest.raises(VerificationError, match=r"model\.onnx at five rows"):
        verify_graph(path, [Expectation("five rows", inputs, [right * 1.01])], 1e-4)
    hollow = {**inputs, "x": np.full_like(ROWS, np.nan)}
    with pytest.raises(VerificationError, match="inf"):
        verify_graph(path, [Expectation("nan", hollow, [right])], 1e-4)
