"""Which 8-bit format this processor multiplies fastest with and rightly: measured.

The formats differ by four in time, and on some processors one of them loses sums. Takes about two
seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lofi_daemon.onnx.processor import multiply_bytes_exactly
from lofi_daemon.onnx.weight_formats import MICROSOFT, Packing, WeightFormat, multiplication, pack

logger = logging.getLogger(__name__)

EIGHT_BITS = (WeightFormat.INT8_COLUMNS, WeightFormat.INT8_BLOCKS)
# A feed-forward product of the diffusion transformer, half a minute of music long.
ROWS, WIDTH, COLUMNS = 323, 2560, 3200
SECONDS_EACH = 0.6
# By bits. Rounding to 8 bits changes the product of even numbers by 0.8 % in blocks and 1.1 % in
# columns, sums that saturate change it by 11 %; rounding to 4 bits changes it by 7 %.
MAX_ERROR = {8: 0.03, 4: 0.12}
OPSET = 18
IR_VERSION = 10


@dataclass(frozen=True)
class Measured:
    """seconds: of the fastest call. error: root mean square of what a format changes in a product
    of float32, relative to it."""

    seconds: float
    error: float


def fastest_format(threads: int | None = None) -> WeightFormat:
    """The 8-bit format that this processor multiplies fastest with, of those it is right in."""
    return fastest_right(measure_formats(threads))


def fastest_right(measured: Mapping[WeightFormat, Measured]) -> WeightFormat:
    """The fastest whose error is its rounding's; where none is, the one with the smallest."""
    right = {each: found.seconds for each, found in measured.items() if is_right(each, found)}
    if not right:
        errors = {each: found.error for each, found in measured.items()}
        closest = min(errors, key=errors.__getitem__)
        logger.warning(
            "No product in 8 bits is right on this processor; %s, which is off by %.1f %%, is "
            "taken. The original files are exact.",
            closest.value,
            100.0 * errors[closest],
        )
        return closest
    return min(right, key=right.__getitem__)


def is_right(weight_format: WeightFormat, measured: Measured) -> bool:
    """Whether no more is lost than what rounding loses."""
    return measured.error <= MAX_ERROR[weight_format.bits]


def measure_formats(threads: int | None = None) -> Mapping[WeightFormat, Measured]:
    """What each 8-bit format costs here."""
    packings = [Packing(each, WIDTH, COLUMNS) for each in EIGHT_BITS]
    found = measure_products(packings, ROWS, threads)
    return {packing.format: measured for packing, measured in found.items()}


def measure_products(
    packings: Sequence[Packing], rows: int, threads: int | None = None, matrices: int = 1
) -> dict[Packing, Measured]:
    """What a product of [rows, K] with a matrix [K, N] costs in each packing, all of one K and N.

    matrices: how many take turns, so that they come from memory where a few rows leave no time to
    find them in a cache. Both operands are drawn evenly from −1 to 1: their bytes then are as large
    as bytes get, and what loses the carry of a sum is found out.
    """
    shape = packings[0].rows, packings[0].columns
    generator = np.random.default_rng(0)
    weights = generator.uniform(-1.0, 1.0, shape).astype(np.float32)
    activations = generator.uniform(-1.0, 1.0, (1, rows, shape[0])).astype(np.float32)
    expected = activations @ weights
    found: dict[Packing, Measured] = {}
    for packing in packings:
        session = _session(packing, weights, threads, matrices)
        product = np.asarray(session.run(["product.0"], {"activations": activations})[0])
        error = float(np.linalg.norm(product - expected) / np.linalg.norm(expected))
        fastest = float("inf")
        started = time.perf_counter()
        while time.perf_counter() - started < SECONDS_EACH:
            before = time.perf_counter()
            session.run(None, {"activations": activations})
            fastest = min(fastest, time.perf_counter() - before)
        found[packing] = Measured(fastest / matrices, error)
    return found


def _session(
    packing: Packing, weights: NDArray[np.float32], threads: int | None, matrices: int
) -> ort.InferenceSession:
    tensors = pack(weights, packing.format, packing.block).tensors
    value = helper.make_tensor_value_info
    nodes: list[NodeProto] = []
    stored: list[TensorProto] = []
    for number in range(matrices):
        roles = {role: f"{role}.{number}" for role in tensors}
        stored += [numpy_helper.from_array(tensors[role], name) for role, name in roles.items()]
        product = f"product.{number}"
        nodes.append(multiplication(packing, "activations", roles, product, product))
    products = [
        value(node.output[0], TensorProto.FLOAT, [1, None, packing.columns]) for node in nodes
    ]
    activations = value("activations", TensorProto.FLOAT, [1, None, packing.rows])
    graph = helper.make_graph(nodes, "measurement", [activations], products, stored)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    options = ort.SessionOptions()
    multiply_bytes_exactly(options)
    if threads is not None:
        options.intra_op_num_threads = threads
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
