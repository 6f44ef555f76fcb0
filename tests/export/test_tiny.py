"""The tiny random model: its tokenizer, and what is asked of stacks too shallow for ERG."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.export_onnx.ace_step.checkpoint import load_checkpoint
from scripts.export_onnx.ace_step.graphs import build_graphs, weakening_has_effect
from scripts.export_onnx.tiny import TinySizes, build_tiny_checkpoint, build_tokenizer


def test_tokenizer_has_t5_s_manners() -> None:
    tokenizer = build_tokenizer()
    tokens = tokenizer.encode("Rainy   night,\nlofi").tokens
    assert tokens == [*"▁Rainy▁night,▁lofi", "</s>"]
    assert tokenizer.token_to_id("<pad>") == 0
    assert tokenizer.token_to_id("</s>") == 1
    assert tokenizer.decode(tokenizer.encode("soft keys").ids).replace(" ", "") == "softkeys"
    assert tokenizer.encode("雨").ids[-2] == tokenizer.token_to_id("<unk>")


def scale_inputs(folder: Path, sizes: TinySizes) -> tuple[set[str], bool]:
    """The ERG inputs of all graphs, and whether the model counts as capable of ERG."""
    checkpoint = load_checkpoint(build_tiny_checkpoint(folder, seed="s", sizes=sizes))
    capable = weakening_has_effect(checkpoint)
    found: set[str] = set()
    for graph in build_graphs(checkpoint):
        inputs = graph.example(graph.sizes, torch.Generator())
        found |= {f"{graph.file_name}:{name}" for name in inputs if name in graph.pinned_inputs}
        if graph.file_name != "vocoder.onnx":
            graph.module(*inputs.values())
    return found, capable


@pytest.mark.parametrize(
    ("sizes", "expected", "capable"),
    [
        (
            TinySizes(),
            {
                "text_encoder.onnx:query_scale",
                "transformer_encoder.onnx:lyric_query_scale",
                "transformer_decoder.onnx:query_scale",
            },
            True,
        ),
        (TinySizes(blocks=2, lyric_blocks=1, text_blocks=2), set(), False),
        (
            TinySizes(blocks=3, heads=3, head_width=8, lyric_blocks=1, text_blocks=9),
            {"text_encoder.onnx:query_scale"},
            False,
        ),
    ],
)
def test_erg_inputs_exist_where_blocks_do(
    tmp_path: Path, sizes: TinySizes, expected: set[str], capable: bool
) -> None:
    with torch.no_grad():
        assert scale_inputs(tmp_path, sizes) == (expected, capable)
