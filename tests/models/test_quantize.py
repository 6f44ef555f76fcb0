"""Graphs in fewer bits: they compute the same to within their rounding, and survive any kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from lofi_daemon.backends.ace_step.files import AceStepConfiguration, AceStepFiles
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.cli import run
from lofi_daemon.models.making import CannotBeMade
from lofi_daemon.models.quantize.graph import quantize_graph
from lofi_daemon.models.quantize.matrices import QuantizePlan
from lofi_daemon.models.quantize.model import QuantizeOptions, quantize_model
from lofi_daemon.models.store import verify
from lofi_daemon.onnx.processor import multiply_bytes_exactly
from lofi_daemon.onnx.weight_formats import WeightFormat, pack

WIDTH = 64
LAYERS = 5
# Root mean square of the rounding error of normal weights, relative to theirs.
ERROR = {
    WeightFormat.INT4_BLOCKS: 0.10,
    WeightFormat.INT8_BLOCKS: 0.01,
    WeightFormat.INT8_COLUMNS: 0.03,
}


def _never(written: int, of: int) -> None:
    pass


def _write_graph(
    path: Path, dtype: type[np.generic] = np.float32, outliers: str | None = None
) -> Path:
    """x [B, W, T] through a convolution of width 1 (with bias), five equal products, a Gemm with
    a transposed matrix and a bias, and a table that must stay. Weights lie in a file of their own.
    outliers: the weight in which every sixteenth row is large.
    """
    generator = np.random.default_rng(3)

    def weights(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) / np.sqrt(WIDTH)).astype(dtype)

    initializers = {
        "conv": weights(WIDTH, WIDTH, 1),
        "conv_bias": weights(WIDTH),
        **{f"product.{i}": weights(WIDTH, WIDTH) for i in range(LAYERS)},
        "gemm": weights(3 * WIDTH, WIDTH),
        "gemm_bias": weights(3 * WIDTH),
        "table": weights(WIDTH, 3 * WIDTH),
        "flat": np.array([-1, WIDTH], dtype=np.int64),
        "row": np.array([1], dtype=np.int64),
    }
    if outliers is not None:
        initializers[outliers][::16] *= 12.0
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "conv", "conv_bias"], ["c"], kernel_shape=[1]),
        node("Transpose", ["c"], ["h0"], perm=[0, 2, 1]),
        *(node("MatMul", [f"h{i}", f"product.{i}"], [f"h{i + 1}"]) for i in range(LAYERS)),
        node("Reshape", [f"h{LAYERS}", "flat"], ["rows"]),
        node("Gemm", ["rows", "gemm", "gemm_bias"], ["g"], transB=1),
        node("Gather", ["table", "row"], ["entry"]),
        node("Add", ["g", "entry"], ["y"]),
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "tried",
        [helper.make_tensor_value_info("x", kind, [None, WIDTH, None])],
        [helper.make_tensor_value_info("y", kind, [None, 3 * WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in initializers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save_model(
        model,
        str(path),
        save_as_external_data=True,
        location=path.with_suffix(".weights").name,
        size_threshold=256,
    )
    return path


def _run(path: Path) -> np.ndarray:
    options = ort.SessionOptions()
    multiply_bytes_exactly(options)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    dtype = np.float16 if declared.type == "tensor(float16)" else np.float32
    batch = declared.shape[0] if isinstance(declared.shape[0], int) else 2
    x = np.random.default_rng(4).standard_normal((batch, WIDTH, 7)).astype(dtype)
    return session.run(None, {"x": x})[0].astype(np.float32)


def _plan(repeated: WeightFormat, single: WeightFormat = WeightFormat.INT8_BLOCKS) -> QuantizePlan:
    return QuantizePlan(repeated, single, WIDTH * WIDTH, min_single_elements=WIDTH * WIDTH)


def _relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("weight_format", WeightFormat, ids=lambda each: each.value)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_graph_computes_the_same_to_within_its_rounding(
    tmp_path: Path, weight_format: WeightFormat, dtype: type[np.generic]
) -> None:
    source = _write_graph(tmp_path / "graph.onnx", dtype)
    target = tmp_path / "small.onnx"
    quantize_graph(source, target, _plan(weight_format), _never, CancelToken())
    error = _relative_error(_run(target), _run(source))
    assert 0.0 < error < ERROR[weight_format] * np.sqrt(LAYERS + 2)


def test_half_precision_weights_that_are_widened_first_are_packed_too(tmp_path: Path) -> None:
    source = _write_graph(tmp_path / "graph.onnx")
    model = onnx.load(str(source))
    for tensor in list(model.graph.initializer):
        if tensor.name.startswith("product"):
            half = numpy_helper.to_array(tensor).astype(np.float16)
            model.graph.initializer.remove(tensor)
            model.graph.initializer.append(numpy_helper.from_array(half, f"{tensor.name}.half"))
            cast = helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=1)
            model.graph.node.insert(0, cast)
    onnx.save(model, str(tmp_path / "stored.onnx"))
    target = tmp_path / "small.onnx"
    plan = _plan(WeightFormat.INT8_BLOCKS)
    quantize_graph(tmp_path / "stored.onnx", target, plan, _never, CancelToken())
    kinds = [node.op_type for node in onnx.load(str(target)).graph.node]
    assert kinds.count("MatMulNBits") == LAYERS + 2
    assert "Cast" not in kinds
    error = _relative_error(_run(target), _run(source))
    assert 0.0 < error < ERROR[WeightFormat.INT8_BLOCKS] * np.sqrt(LAYERS + 2)


def test_the_layers_that_do_not_repeat_keep_eight_bits(tmp_path: Path) -> None:
    source = _write_graph(tmp_path / "graph.onnx")
    target = tmp_path / "small.onnx"
    plan = _plan(WeightFormat.INT4_BLOCKS, WeightFormat.INT8_COLUMNS)
    quantize_graph(source, target, plan, _never, CancelToken())
    nodes = onnx.load(str(target), load_external_data=False).graph.node
    kinds = [node.op_type for node in nodes]
    # The convolution has the shape of the repeated products; the Gemm stands alone.
    assert kinds.count("MatMulNBits") == LAYERS + 1
    assert kinds.count("DynamicQuantizeMatMul") == 1
    assert not {"MatMul", "Gemm", "Conv"} & set(kinds)


def test_a_matrix_with_outliers_keeps_eight_bits(tmp_path: Path) -> None:
    source = _write_graph(tmp_path / "graph.onnx", outliers="product.2")
    target = tmp_path / "small.onnx"
    plan = _plan(WeightFormat.INT4_BLOCKS, WeightFormat.INT8_BLOCKS)
    table = quantize_graph(source, target, plan, _never, CancelToken())
    assert set(table) == {"conv", *(f"product.{i}" for i in range(LAYERS))}
    assert table.pop("product.2") > plan.max_rounding_error
    assert all(0.07 < error < 0.11 for error in table.values())
    bits = {
        node.input[1]: helper.get_attribute_value(attribute)
        for node in onnx.load(str(target), load_external_data=False).graph.node
        for attribute in node.attribute
        if attribute.name == "bits"
    }
    assert bits["product.2.weight"] == 8
    assert {bits[f"product.{i}.weight"] for i in (0, 1, 3, 4)} == {4}
    assert _relative_error(_run(target), _run(source)) < 0.10 * np.sqrt(LAYERS + 2)


def test_what_is_sensitive_keeps_eight_bits(tmp_path: Path) -> None:
    """Known by the weight's name, or by its node's where an exporter numbered the weights."""
    source = _write_graph(tmp_path / "graph.onnx")
    model = onnx.load(str(source))
    node = next(node for node in model.graph.node if node.input[1:2] == ["product.3"])
    node.name = "/blocks.3/product/MatMul"
    onnx.save(model, str(source))
    plan = replace(
        _plan(WeightFormat.INT4_BLOCKS, WeightFormat.INT8_BLOCKS),
        sensitive=("product.1", "blocks.3/product"),
    )
    table = quantize_graph(source, tmp_path / "small.onnx", plan, _never, CancelToken())
    assert set(table) == {"conv", "product.0", "product.2", "product.4"}


def test_small_and_otherwise_used_weights_stay(tmp_path: Path) -> None:
    source = _write_graph(tmp_path / "graph.onnx")
    target = tmp_path / "small.onnx"
    plan = QuantizePlan(WeightFormat.INT8_BLOCKS, WeightFormat.INT8_BLOCKS, WIDTH * WIDTH + 1)
    quantize_graph(source, target, plan, _never, CancelToken())
    nodes = onnx.load(str(target), load_external_data=False).graph.node
    kinds = [node.op_type for node in nodes]
    # The Gemm is large enough, but stands alone: only far larger ones are worth their error.
    assert (kinds.count("MatMul"), kinds.count("Conv"), kinds.count("Gemm")) == (5, 1, 1)
    weights = {each.name for each in onnx.load(str(target)).graph.initializer}
    assert "table" in weights


@pytest.mark.parametrize("stop_after", range(1, 12))
def test_interrupted_after_any_weight_it_goes_on_to_the_same_file(
    tmp_path: Path, stop_after: int
) -> None:
    source = _write_graph(tmp_path / "graph.onnx")
    plan = _plan(WeightFormat.INT4_BLOCKS)
    (tmp_path / "whole").mkdir()
    quantize_graph(source, tmp_path / "whole/small.onnx", plan, _never, CancelToken())
    for stop in (stop_after, min(stop_after + 2, 11)):
        token = CancelToken()

        def stop_here(written: int, of: int, stop: int = stop, token: CancelToken = token) -> None:
            if written == stop:
                token.cancel()

        with pytest.raises(Cancelled):
            quantize_graph(source, tmp_path / "small.onnx", plan, stop_here, token)
        assert not (tmp_path / "small.onnx").exists()
        # What a kill in the middle of a write leaves: bytes that no line of the journal tells of.
        with (tmp_path / "small.bin.part").open("ab") as stream:
            stream.write(b"half a weight")
        with (tmp_path / "small.bin.journal").open("a") as stream:
            stream.write('{"name": "half a l')
    quantize_graph(source, tmp_path / "small.onnx", plan, _never, CancelToken())
    for name in ("small.onnx", "small.bin"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_column_of_zeros_stays_zero() -> None:
    weights = np.zeros((64, 32), dtype=np.float32)
    weights[:, 0] = 3.0
    packed = pack(weights, WeightFormat.INT8_COLUMNS)
    assert np.isfinite(packed.tensors["scale"]).all()
    product = packed.tensors["weight"] * packed.tensors["scale"]
    np.testing.assert_allclose(product, weights, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of one large graph, one that is left alone, and a tokenizer."""
    folder = tmp_path / "model"
    folder.mkdir()
    _write_graph(folder / "graph.onnx")
    (folder / "tokenizer.json").write_text("{}")
    return folder


SMALLEST = {"min_bytes": 1, "min_elements": WIDTH * WIDTH, "min_single_elements": 1}
OPTIONS = QuantizeOptions(WeightFormat.INT8_BLOCKS, **SMALLEST)


def _runs(folder: Path) -> Path:
    return AceStepFiles(folder, AceStepConfiguration()).running_folder()


def test_a_variant_is_a_whole_set_that_outlives_the_original(folder: Path) -> None:
    assert _runs(folder) == folder
    made = quantize_model(folder, "int4", OPTIONS, lambda name, share: None, CancelToken())
    assert made == folder / "int4"
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["model_version"] == "published-int4"
    names = {"graph.onnx", "graph.bin", "tokenizer.json", "sensitivity.json"}
    assert set(manifest["files"]) == names
    assert verify(made, CancelToken()) == []
    assert _runs(folder) == folder
    assert AceStepFiles(folder, AceStepConfiguration()).remove_original() > 0
    assert _runs(folder) == made
    assert verify(made, CancelToken()) == []
    _run(made / "graph.onnx")


def _write_vocoder(folder: Path, *height: int) -> Path:
    """Two convolutions of which the smaller one is a matrix; height: 1 for images."""
    wide = np.random.default_rng(5).standard_normal((WIDTH, WIDTH, *height, 9)).astype(np.float32)
    narrow = np.ones((WIDTH, WIDTH, *height, 1), np.float32)
    nothing = [0] * len(height)
    nodes = [
        helper.make_node("Conv", ["x", "wide"], ["h"], pads=[*nothing, 4] * 2),
        helper.make_node("Conv", ["h", "narrow"], ["y"]),
    ]
    shape = [1, WIDTH, *height, None]
    value = [helper.make_tensor_value_info(name, 1, shape) for name in "xy"]
    weights = [numpy_helper.from_array(wide, "wide"), numpy_helper.from_array(narrow, "narrow")]
    graph = helper.make_graph(nodes, "vocoder", value[:1], value[1:], weights)
    opsets = [helper.make_opsetid("", 18)]
    path = folder / "vocoder.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), str(path))
    return path


def test_a_graph_that_is_hardly_made_of_matrices_stays_as_it_is(folder: Path) -> None:
    vocoder = _write_vocoder(folder, 1)
    made = quantize_model(folder, "int8", OPTIONS, lambda name, share: None, CancelToken())
    assert (made / "vocoder.onnx").samefile(vocoder)
    assert not (made / "graph.onnx").samefile(folder / "graph.onnx")


def test_its_convolutions_over_time_become_such_over_images(folder: Path) -> None:
    vocoder = _write_vocoder(folder)
    before, expected = vocoder.read_bytes(), _run(vocoder)
    made = quantize_model(folder, "int8", OPTIONS, lambda name, share: None, CancelToken())
    assert vocoder.read_bytes() == before
    rewritten = onnx.load(str(made / "vocoder.onnx")).graph
    dims = {tensor.name: list(tensor.dims) for tensor in rewritten.initializer}
    assert dims["wide"] == [WIDTH, WIDTH, 1, 9]
    np.testing.assert_allclose(_run(made / "vocoder.onnx"), expected, rtol=1e-4, atol=1e-3)
    assert verify(made, CancelToken()) == []


def test_which_eight_bits_were_chosen_is_in_the_version(folder: Path) -> None:
    options = QuantizeOptions(WeightFormat.INT8_COLUMNS, **SMALLEST)
    made = quantize_model(folder, "int8", options, lambda name, share: None, CancelToken())
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["model_version"] == "published-int8-columns"
    assert manifest["quantization"] == {"eight_bits": "int8-columns"}


def test_it_goes_on_in_the_format_that_it_began_with(folder: Path) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        quantize_model(folder, "int8", OPTIONS, lambda name, share: token.cancel(), token)
    other = QuantizeOptions(WeightFormat.INT8_COLUMNS, **SMALLEST)
    made = quantize_model(folder, "int8", other, lambda name, share: None, CancelToken())
    assert json.loads((made / "manifest.json").read_text())["model_version"] == "published-int8"
    kinds = {node.op_type for node in onnx.load(str(made / "graph.onnx")).graph.node}
    assert "DynamicQuantizeMatMul" not in kinds


def test_a_damaged_variant_is_named_with_the_command_that_makes_it_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = quantize_model(folder, "int4", OPTIONS, lambda name, share: None, CancelToken())
    AceStepFiles(folder, AceStepConfiguration()).remove_original()
    monkeypatch.setenv("LOFI_ACE_STEP_MODEL_PATH", str(folder))
    assert run(["verify", "ace_step"]) == 0
    with (made / "graph.bin").open("r+b") as stream:
        stream.write(b"altered")
    assert run(["verify", "ace_step"]) == 1
    said = capsys.readouterr().err
    assert str(made / "graph.bin") in said
    assert "lofi-daemon quantize ace_step --bits 4" in said


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    _write_graph(tmp_path / "graph.onnx")
    before = sorted(tmp_path.iterdir())
    options = QuantizeOptions(eight_bits=WeightFormat.INT8_BLOCKS)
    with pytest.raises(CannotBeMade, match="no graph is large enough"):
        quantize_model(tmp_path, "int8", options, lambda what, share: None, CancelToken())
    assert sorted(tmp_path.iterdir()) == before
