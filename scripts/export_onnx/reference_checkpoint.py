"""Checkpoint folders in the original's layout, filled by the seeded weight rule.

``params.json`` names the seed and every tensor's shape; the configs lie beside it. Nothing here
knows the sizes of any particular set.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from .ace_step.checkpoint import (
    DCAE_FOLDER,
    TEXT_ENCODER_FOLDER,
    TRANSFORMER_FOLDER,
    VOCODER_FOLDER,
)
from .weight_rule import draw

FOLDERS = {
    "umt5": TEXT_ENCODER_FOLDER,
    "transformer": TRANSFORMER_FOLDER,
    "dcae": DCAE_FOLDER,
    "vocoder": VOCODER_FOLDER,
}
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


def build_reference_checkpoint(params_json: Path, config_dir: Path, out_dir: Path) -> Path:
    """Write the checkpoint that ``params_json`` describes into ``out_dir`` and return it.

    ``config_dir`` holds ``<module>.config.json`` for umt5, transformer, dcae and vocoder.
    """
    params = json.loads(params_json.read_text(encoding="utf-8"))
    for module, folder_name in FOLDERS.items():
        folder = out_dir / folder_name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(config_dir / f"{module}.config.json", folder / "config.json")
        (folder / "config.json").chmod(0o644)
        save_weights(folder, module, params["weight_seed"], params["modules"][module])
    return out_dir


def save_weights(folder: Path, module: str, seed: str, shapes: dict[str, list[int]]) -> None:
    """Draw every tensor of ``shapes`` and write them as one safetensors file."""
    tensors = {
        name: torch.from_numpy(draw(seed, f"{module}/{name}", shape))
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / WEIGHTS_FILE)


def main() -> None:
    """Command line: build a reference checkpoint."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("params_json", type=Path)
    parser.add_argument("out_dir", type=Path)
    arguments = parser.parse_args()
    folder = arguments.params_json.parent
    print(build_reference_checkpoint(arguments.params_json, folder, arguments.out_dir))


if __name__ == "__main__":
    main()
