"""Command line: ``python -m scripts.export_onnx.ace_step CHECKPOINT_DIR OUT_DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..verify import VerificationError
from .checkpoint import (
    DCAE_FOLDER,
    TEXT_ENCODER_FOLDER,
    CheckpointError,
    load_checkpoint,
    load_dcae,
)
from .export import TOKENIZER_FILE, export_checkpoint, export_mel_encoder


def main() -> int:
    """Export an original ACE-Step checkpoint to ONNX."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export_onnx.ace_step", description=main.__doc__
    )
    parser.add_argument("checkpoint_dir", type=Path, help="folder with the original's four folders")
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--form", choices=["native", "published"], default="native")
    parser.add_argument("--precision", choices=["fp32", "fp16"], default="fp32")
    parser.add_argument(
        "--lyrics",
        type=Path,
        metavar="VOCAB_JSON",
        help="the vocabulary of lyrics, acestep/models/lyrics_utils/vocab.json of the original's "
        "source code; without it the model sings no lyrics",
    )
    parser.add_argument(
        "--only-encoder",
        action="store_true",
        help="export dcae_encoder.onnx alone, which reads sound, into a folder that has the rest; "
        "of the checkpoint, the folder music_dcae_f8c8 is enough",
    )
    arguments = parser.parse_args()
    tokenizer = arguments.checkpoint_dir / TEXT_ENCODER_FOLDER / TOKENIZER_FILE
    try:
        if arguments.only_encoder:
            dcae = load_dcae(arguments.checkpoint_dir / DCAE_FOLDER)
            export_mel_encoder(dcae, arguments.out_dir, arguments.precision)
            return 0
        if not tokenizer.is_file():
            raise CheckpointError(f"{tokenizer} is missing; it comes with the checkpoint")
        if arguments.lyrics is not None and not arguments.lyrics.is_file():
            raise CheckpointError(f"{arguments.lyrics} is missing")
        export_checkpoint(
            load_checkpoint(arguments.checkpoint_dir),
            {arguments.form: arguments.out_dir},
            tokenizer=tokenizer,
            lyric_tokenizer=arguments.lyrics,
            precision=arguments.precision,
        )
    except (CheckpointError, VerificationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
