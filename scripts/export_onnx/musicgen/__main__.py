"""Command line: ``python -m scripts.export_onnx.musicgen CHECKPOINT OUT_DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..verify import VerificationError
from .export import export_encoder, export_native, export_published
from .verify import verify_decoder, verify_encoder, verify_shared


def main() -> int:
    """Export a MusicGen checkpoint (a folder or a Hub name) to ONNX and check every graph."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export_onnx.musicgen", description=main.__doc__
    )
    parser.add_argument("checkpoint", help="a folder, or a name such as facebook/musicgen-small")
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--form", choices=["native", "published"], default="native")
    parser.add_argument("--precision", choices=["fp32", "int8", "int4"], default="fp32")
    parser.add_argument(
        "--only-encoder",
        action="store_true",
        help="export encodec_encode.onnx alone, which reads sound, into a folder that has the rest",
    )
    arguments = parser.parse_args()
    if arguments.form == "published" and arguments.precision != "fp32":
        parser.error("the published form is exported in fp32 only")
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    model = MusicgenForConditionalGeneration.from_pretrained(arguments.checkpoint).eval()
    if arguments.only_encoder:
        return export_encoder_alone(model, arguments.out_dir)
    with TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.json"
        AutoTokenizer.from_pretrained(arguments.checkpoint).backend_tokenizer.save(str(tokenizer))
        if arguments.form == "published":
            export_published(model, tokenizer, arguments.out_dir)
        else:
            export_native(model, tokenizer, arguments.out_dir, arguments.precision)
    try:
        verify_shared(model, arguments.out_dir)
        agreement = verify_decoder(model, arguments.out_dir, arguments.precision)
    except VerificationError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{arguments.out_dir}: logits within {agreement.logit_error:.2e} of PyTorch's, "
        f"same most probable token in {agreement.top_1:.1%}"
    )
    return 0


def export_encoder_alone(model: Any, folder: Path) -> int:
    """What reads sound, and whether it does what PyTorch does."""
    export_encoder(model, folder)
    try:
        verify_encoder(model, folder)
    except VerificationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
