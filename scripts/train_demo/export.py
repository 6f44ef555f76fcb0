"""Exports the trained model as the ONNX bundle that the package ships."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.export import Dim

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import LATENT_RATE, encode

from .codec import Codec
from .context import TEXT_WIDTH, ContextEncoder
from .decoder import LatentDecoder
from .flow import Flow
from .spectrum import FIRST, SECOND, FrontEnd, loudness_db
from .train_text import TextEncoder
from .vocoder import Sharpener, Vocoder

OPSET = 18
HALF_PRECISION_FROM = 2048
"""Constants of at least this many numbers are stored in half precision."""

DEFAULTS = {
    "inference_steps": 16,
    "scheduler": "adams",
    "guidance_scale": 2.0,
    "cfg_type": "cfg",
    "guidance_interval": 1.0,
    "omega": 0.0,
}


def export_graph(
    model: nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: list[str],
    axes: dict[str, dict[int, Dim]],
    path: Path,
) -> None:
    """Export one graph with free axes, large weights in half precision."""
    model.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=nested_axes(model, [axes.get(name, {}) for name in inputs]),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto
    store_half_precision(graph)
    del graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def nested_axes(model: nn.Module, axes: list[dict[int, Dim]]) -> tuple[object, ...]:
    """The free axes in the form of the model's parameters: those of a `*rest` in a tuple."""
    kinds = [each.kind for each in inspect.signature(model.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return tuple(axes)
    named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*axes[:named], tuple(axes[named:]))


def store_half_precision(model: onnx.ModelProto) -> None:
    """Large float constants as float16 behind a Cast, which the runtime folds when it loads."""
    casts: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < HALF_PRECISION_FROM:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16))
        tensor.CopyFrom(half)
        tensor.name = f"{name}.half"
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    known = {cast.output[0] for cast in casts}
    kept = [info for info in model.graph.value_info if info.name not in known]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def compare(path: Path, model: nn.Module, inputs: dict[str, torch.Tensor]) -> float:
    """Largest difference between the exported graph and the model, relative to the output."""
    session = onnxruntime.InferenceSession(path)
    feeds = {name: value.numpy() for name, value in inputs.items()}
    feeds = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
    found = session.run(None, feeds)[0]
    with torch.no_grad():
        wanted = model(*inputs.values())
    wanted = (wanted[0] if isinstance(wanted, tuple) else wanted).numpy()
    return float(np.abs(found - wanted).max() / (np.abs(wanted).max() + 1e-9))


def example_inputs(
    frames: int, tokens: int, batch: int, front_end: FrontEnd = SECOND
) -> dict[str, dict[str, torch.Tensor]]:
    """Inputs of each graph, of the given sizes."""
    lyric = torch.tensor([encode(with_notes(compose("rain", 1, frames / LATENT_RATE), 1))])
    ones = torch.ones(1, tokens, dtype=torch.int64)
    context = {
        "encoder_text_hidden_states": torch.rand(1, tokens, TEXT_WIDTH).round(),
        "text_attention_mask": ones,
        "speaker_embeds": torch.zeros(1, 512),
        "lyric_token_idx": lyric,
        "lyric_mask": torch.ones_like(lyric),
    }
    states, mask = ContextEncoder()(*context.values())
    return {
        "text_encoder": {
            "input_ids": torch.randint(3, 100, (1, tokens)),
            "attention_mask": ones,
        },
        "transformer_encoder": context,
        "transformer_decoder": {
            "hidden_states": torch.randn(batch, 8, 16, frames),
            "attention_mask": torch.ones(batch, frames),
            "encoder_hidden_states": states.expand(batch, -1, -1).contiguous(),
            "encoder_hidden_mask": mask.expand(batch, -1).contiguous(),
            "timestep": torch.linspace(900, 100, batch),
        },
        "dcae_decoder": {"latents": torch.randn(1, 8, 16, frames)},
        "vocoder": {
            "mel": torch.randn(2, 128, 8 * frames) - 5,
            **{
                name: torch.randn(shape)
                for name, shape in Vocoder(Sharpener(front_end)).past_shapes().items()
            },
        },
    }


def free_axes() -> dict[str, dict[str, dict[int, Dim]]]:
    batch, text, lyric = Dim("batch", max=64), Dim("tokens", max=256), Dim("lyric", max=4096)
    context, frames = Dim("context", max=8192), Dim("frames", min=2, max=8192)
    mel_frames = Dim("mel_frames", min=64, max=65536)
    return {
        "text_encoder": {"input_ids": {1: text}, "attention_mask": {1: text}},
        "transformer_encoder": {
            "encoder_text_hidden_states": {1: text},
            "text_attention_mask": {1: text},
            "lyric_token_idx": {1: lyric},
            "lyric_mask": {1: lyric},
        },
        "transformer_decoder": {
            "hidden_states": {0: batch, 3: frames},
            "attention_mask": {0: batch, 1: frames},
            "encoder_hidden_states": {0: batch, 1: context},
            "encoder_hidden_mask": {0: batch, 1: context},
            "timestep": {0: batch},
        },
        "dcae_decoder": {"latents": {3: frames}},
        "vocoder": {"mel": {2: mel_frames}},
    }


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """The weights in an exported graph by their names in the model."""
    return {
        tensor.name.removesuffix(".half"): torch.from_numpy(
            numpy_helper.to_array(tensor).astype(np.float32)
        )
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
    }


def reopened(bundle: Path) -> dict[str, nn.Module]:
    """Latent decoder and vocoder of the first edition, as the code now has them, its weights."""
    codec = Codec(*(np.ones(1, np.float32) for _ in range(4)))
    models: dict[str, nn.Module] = {
        "dcae_decoder": LatentDecoder(codec, front_end=FIRST),
        "vocoder": Vocoder(Sharpener(FIRST)),
    }
    for name, model in models.items():
        weights = weights_of(bundle / f"{name}.onnx")
        for key, value in model.state_dict(keep_vars=True).items():
            if key != "stock":
                value.data = weights[key]
    return models


def load_models(trained: Path) -> dict[str, nn.Module]:
    """The five models by the names of their graphs."""
    if (trained / "manifest.json").exists():
        return reopened(trained)
    text_weights = torch.load(trained / "text" / "text.pt", weights_only=True)
    text = TextEncoder(text_weights["embedding.weight"].shape[0])
    text.load_state_dict(text_weights)
    flow = Flow()
    flow.load_state_dict(torch.load(trained / "flow" / "flow.pt", weights_only=True)["average"])
    sharpener = Sharpener()
    saved = torch.load(trained / "vocoder" / "vocoder.pt", weights_only=True)
    sharpener.load_state_dict(saved["model"])
    tone_path = trained / "tone.npy"
    tone = np.load(tone_path) if tone_path.exists() else None
    models = {
        "text_encoder": text,
        "transformer_encoder": ContextEncoder(),
        "transformer_decoder": flow,
        "dcae_decoder": LatentDecoder(Codec.load(trained / "codec.npz"), tone),
        "vocoder": Vocoder(sharpener),
    }
    return {name: model.eval() for name, model in models.items()}


def write_manifest(folder: Path, version: str, score: str, front_end: FrontEnd) -> None:
    names = ["tokenizer.json", *sorted(path.name for path in folder.glob("*.onnx"))]
    manifest = {
        "interface": 1,
        "form": "native",
        "model": "demo",
        "model_version": version,
        "precision": "fp32",
        "licence": "MIT",
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
        "latents": {"scale": 1.0, "shift": 0.0, "inside": True},
        "mel": {
            "scale": 1.0,
            "shift": 0.0,
            "minimum": 0.0,
            "maximum": 1.0,
            "inside": True,
            "loudness_db": [round(float(level), 1) for level in loudness_db(front_end)],
        },
        # The iterations reach over 40 frames; a window's first 48 are those of the one before.
        "vocoder": {
            "receptive_field_frames": 40,
            "core_frames": 344,
            "first_frames": 96,
            "sample_rate": 44100,
            "hop_length": 512,
        },
        "dcae": {"window_frames": 4096, "overlap_frames": 128},
        "erg": False,
        "score": score,
        "null_lyric": "keep",
        "defaults": DEFAULTS,
        "mastering": {
            "high_pass_hz": 25,
            "loudness_lufs": -16,
            "true_peak_db": -1,
            # The first edition was taught that tracks begin with a thump.
            "fade_in_sec": 0.03,
            "fade_out_sec": 1.5,
        },
        "relative_cost": {
            "loading": 0.3,
            "encoding": 0.01,
            "model_call": 0.00012,
            "dcae": 0.0002,
            "vocoder": 0.0032,
            "finish": 0.0006,
        },
        "files": {
            name: {
                "bytes": (folder / name).stat().st_size,
                "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            }
            for name in names
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "trained",
        type=Path,
        help="folder with codec.npz, flow/, text/, vocoder/, perhaps tone.npy; or a bundle, whose "
        "latent decoder and vocoder are written again from its own weights",
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--version", default="2.0")
    parser.add_argument("--only", nargs="*", help="graphs to export; default all")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    arguments.bundle.mkdir(parents=True, exist_ok=True)
    models = load_models(arguments.trained)
    front_end = FIRST if (arguments.trained / "manifest.json").exists() else SECOND
    outputs = {
        "text_encoder": ["hidden_states"],
        "transformer_encoder": ["encoder_hidden_states", "encoder_hidden_mask"],
        "transformer_decoder": ["sample"],
        "dcae_decoder": ["mel_spectrogram"],
        "vocoder": ["waveform", *(f"present_{each.name}" for each in front_end)],
    }
    axes = free_axes()
    small, large = example_inputs(64, 7, 2, front_end), example_inputs(150, 5, 3, front_end)
    for name, model in models.items():
        if arguments.only and name not in arguments.only:
            continue
        path = arguments.bundle / f"{name}.onnx"
        export_graph(model, small[name], outputs[name], axes[name], path)
        error = compare(path, model, large[name])
        print(f"{name}: {path.stat().st_size / 1e6:.2f} MB, error {error:.1e}", flush=True)
    if (arguments.trained / "text").exists():
        shutil.copy(arguments.trained / "text" / "tokenizer.json", arguments.bundle)
    score = "lofi" if front_end is FIRST else "lofi-notes"
    write_manifest(arguments.bundle, arguments.version, score, front_end)


if __name__ == "__main__":
    main()
