"""The tiny ACE-Step bundle, exported once and kept for as long as its exporter stays the same."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tiny_bundle() -> Path:
    """Folder of the bundle under build/. The first call takes a minute or two of processor time."""
    sources = sorted((ROOT / "scripts/export_onnx").rglob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = ROOT / "build" / f"tiny-ace-step-{digest}"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(f".{os.getpid()}")
            subprocess.run(
                [sys.executable, "-m", "scripts.export_onnx.tiny", str(unfinished)],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            unfinished.rename(folder)
    return folder
