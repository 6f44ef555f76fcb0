"""Which 8-bit format this processor multiplies fastest with: measured, since they differ by four.

Takes about two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from lofi_daemon.onnx.processor import multiply_bytes_exactly
from lofi_daemon.onnx.weight_formats import MICROSOFT, WeightFormat, multiplication, pack

EIGHT_BITS = (WeightFormat.INT8_COLUMNS, WeightFormat.INT8_BLOCKS)
# A feed-forward product of the diffusion transformer, half a minute of music long.
ROWS, WIDTH, COLUMNS = 323, 2560, 3200
SECONDS_EACH = 0.6
OPSET = 18
IR_VERSION = 10


def fastest_format(threads: int | None = None) -> WeightFormat:
    """The 8-bit format that this processor multiplies fastest with."""
    seconds = measure_formats(threads)
    return min(seconds, key=seconds.__getitem__)


def measure_formats(threads: int | None = None) -> Mapping[WeightFormat, float]:
    """Seconds of the fastest call in each 8-bit format."""
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((WIDTH, COLUMNS), dtype=np.float32)
    activations = generator.standard_normal((1, ROWS, WIDTH), dtype=np.float32)
    fastest: dict[WeightFormat, float] = {}
    for each in EIGHT_BITS:
        session = _session(each, weights, threads)
        fastest[each] = float("inf")
        started = time.perf_counter()
        while time.perf_counter() - started < SECONDS_EACH:
            before = time.perf_counter()
            session.run(None, {"activations": activations})
            fastest[each] = min(fastest[each], time.perf_counter() - before)
    return fastest


def _session(
    weight_format: WeightFormat, weights: np.ndarray, threads: int | None
) -> ort.InferenceSession:
    packed = pack(weights, weight_format)
    roles = {role: role for role in packed.tensors}
    node = multiplication(packed.packing, "activations", roles, "product", "product")
    shapes = {"activations": [1, None, WIDTH], "product": [1, None, COLUMNS]}
    value = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    graph = helper.make_graph(
        [node],
        "measurement",
        [value["activations"]],
        [value["product"]],
        [numpy_helper.from_array(tensor, role) for role, tensor in packed.tensors.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    options = ort.SessionOptions()
    multiply_bytes_exactly(options)
    if threads is not None:
        options.intra_op_num_threads = threads
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
