"""The reference checkpoint, exported once and kept for as long as the exporter stays the same."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.parity.reference_set import REFERENCE

ROOT = Path(__file__).parents[2]
EXPORTER = ROOT / "scripts/export_onnx"


def exported_reference() -> Path:
    """Folder with ``checkpoint/``, ``native/`` and ``published/`` of the set under test.

    Built by the export's own code in a process of its own; the first call takes about a minute of
    processor time, later ones find the result under build/.
    """
    digest = hashlib.sha256()
    for path in _inputs():
        digest.update(path.name.encode() + path.read_bytes())
    folder = ROOT / "build" / f"reference-{digest.hexdigest()[:12]}"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(f".{os.getpid()}")
            shutil.rmtree(unfinished, ignore_errors=True)
            subprocess.run(
                [sys.executable, "-m", "tests.parity.bundles", str(unfinished)],
                cwd=ROOT,
                check=True,
            )
            unfinished.rename(folder)
    return folder


def _inputs() -> Iterator[Path]:
    yield Path(__file__)
    yield from sorted((EXPORTER / "ace_step").glob("*.py"))
    yield from sorted(EXPORTER.glob("*.py"))
    yield from sorted(REFERENCE.folder.glob("*.json"))


def build(folder: Path) -> None:
    """Build the reference checkpoint and export it in both forms."""
    from scripts.export_onnx.ace_step.checkpoint import load_checkpoint
    from scripts.export_onnx.ace_step.export import export_checkpoint
    from scripts.export_onnx.reference_checkpoint import build_reference_checkpoint
    from scripts.export_onnx.tiny import build_tokenizer

    checkpoint = folder / "checkpoint"
    build_reference_checkpoint(REFERENCE.folder / "params.json", REFERENCE.folder, checkpoint)
    tokenizer = folder / "tokenizer.json"
    # The reference numbers start from token ids; any tokenizer completes the bundle.
    build_tokenizer().save(str(tokenizer))
    export_checkpoint(
        load_checkpoint(checkpoint),
        {"native": folder / "native", "published": folder / "published"},
        tokenizer=tokenizer,
        model_version="reference",
    )
    # The files on the Hub have no manifest.
    (folder / "published" / "manifest.json").unlink()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
