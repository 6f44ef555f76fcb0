"""How the matrices of MusicGen's decoder are stored: what this processor multiplies fastest with.

A step has two rows and reads every weight once, so that neither the format that suits the many rows
of a diffusion transformer nor another processor's tells which is fastest. Takes a few seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lofi_daemon.backends.musicgen.bundle import DecoderConfig
from lofi_daemon.backends.musicgen.native.decoder_graph import Forms
from lofi_daemon.models.quantize.fastest_format import Measured, is_right, measure_products
from lofi_daemon.onnx.weight_formats import Storage, WeightFormat

BLOCKS = (32, 64, 128)
# From the most exact one on.
EIGHT_BITS = tuple(Storage(WeightFormat.INT8_BLOCKS, block) for block in BLOCKS)
FOUR_BITS = tuple(Storage(WeightFormat.INT4_BLOCKS, block) for block in BLOCKS)
# With and without the prompt.
ROWS = 2
# Together larger than the caches of most processors.
MATRICES = 16
# Where matrices are small, nothing is to be gained.
MIN_ELEMENTS = 1 << 20
# A form must be so much faster than a more exact one.
WORTH = 1.1


def fastest_forms(config: DecoderConfig, threads: int | None = None) -> Forms:
    """Measured with the first matrix of the feed-forward."""
    if config.hidden_size * config.ffn_dim < MIN_ELEMENTS:
        return Forms()

    def fastest(candidates: Sequence[Storage]) -> Storage:
        packings = [each.packing(config.hidden_size, config.ffn_dim) for each in candidates]
        found = measure_products(packings, ROWS, threads, MATRICES)
        measured = {
            each: found[packing] for each, packing in zip(candidates, packings, strict=True)
        }
        return worth_most(measured)

    return Forms(fastest(EIGHT_BITS), fastest(FOUR_BITS))


def worth_most(measured: Mapping[Storage, Measured]) -> Storage:
    """The first of those that are right and nearly as fast as the fastest of them; measured: from
    the most exact form on. Where none is right, the first."""
    right = {
        each: found.seconds for each, found in measured.items() if is_right(each.format, found)
    }
    fastest = min(right.values(), default=0.0)
    near = (each for each, seconds in right.items() if seconds <= WORTH * fastest)
    return next(near, next(iter(measured)))
