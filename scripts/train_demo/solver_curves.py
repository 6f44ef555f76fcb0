"""Solver and guidance curves of the bundle, as a figure and its numbers.

Error: root mean square distance to the latents of 200 calls of adams from the same noise, against
model calls, with the guidance that the bundle asks for; each point is the mean over prompts and
seeds. Adherence: the classifier's probability of the asked values on the decoded spectra, against
the guidance scale; without a classifier that curve stays as it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
import torch

from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.score import ATTRIBUTES
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for, latents_shape
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.requests import diffusion_of
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

from .classifier import Classifier, spans
from .prompts import Request, requests

matplotlib.use("Agg")
from matplotlib import pyplot

ERROR_SECONDS, TARGET_CALLS = 10.0, 200
PROMPTS = ("lofi with rhodes and upright bass", "rainy night piano", "upbeat guitar with drums")
# Model calls of about 8, 16, 32 and 64, as each solver counts its steps.
STEPS = {"euler": (4, 8, 16, 32), "heun": (3, 5, 9, 17), "adams": (8, 12, 16, 24, 32, 48)}
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0)


def quiet(progress: object) -> None:
    """Nobody watches."""


def latents_of(pipeline: AceStepPipeline, request: GenerationRequest) -> tuple[Latents, int]:
    """The latents of a request from its own noise, and the model calls they took."""
    diffusion = diffusion_of(request, pipeline.manifest)
    cancel = CancelToken()
    contexts = pipeline.encode(request, quiet, cancel, erg=diffusion.erg)
    start = gaussian_noise(request.seed, 0, latents_shape(frames_for(request.duration_sec)))
    latents = pipeline.diffuse(diffusion, request.seed, contexts, start, quiet, cancel)
    calls = SOLVERS[diffusion.scheduler].calls_after(diffusion.steps, diffusion.guidance)
    return latents, calls[-1]


def error_curves(pipeline: AceStepPipeline, seeds: range) -> dict[str, list[tuple[int, float]]]:
    """(model calls, error) of each solver."""
    found: dict[str, list[tuple[int, float]]] = {}

    def run(prompt: str, seed: int, scheduler: str, steps: int) -> tuple[Latents, int]:
        options = DiffusionOptions(inference_steps=steps, scheduler=scheduler)
        return latents_of(pipeline, GenerationRequest(prompt, ERROR_SECONDS, seed, options))

    cases = [(prompt, seed) for prompt in PROMPTS for seed in seeds]
    targets = [run(*case, "adams", TARGET_CALLS)[0] for case in cases]
    for scheduler, numbers in STEPS.items():
        for steps in numbers:
            pairs = [run(*case, scheduler, steps) for case in cases]
            errors = [
                float(np.sqrt(np.mean((latents - target) ** 2)))
                for (latents, _), target in zip(pairs, targets, strict=True)
            ]
            found.setdefault(scheduler, []).append((pairs[0][1], float(np.mean(errors))))
    return found


def stated_probability(classifier: Classifier, mel: np.ndarray, request: Request) -> float:
    """Mean probability of the asked values over three-second patches of a spectrum."""
    bands = torch.from_numpy(mel).mean(dim=0)
    patches = torch.stack([bands[:, start : start + 256] for start in (0, 256, 512)])
    with torch.no_grad():
        logits = classifier(patches)
    chances = [
        float(logits[:, spans()[name]].softmax(dim=1)[:, ATTRIBUTES[name].index(value)].mean())
        for name, value in request.stated.items()
    ]
    return float(np.mean(chances))


def guidance_curve(
    pipeline: AceStepPipeline, classifier: Classifier, asked: list[Request]
) -> list[tuple[float, float, float]]:
    """(guidance scale, adherence, latent level relative to the lowest scale's)."""
    found: list[tuple[float, float, float]] = []
    for scale in GUIDANCE:
        chances: list[float] = []
        levels: list[float] = []
        for request in asked:
            wanted = GenerationRequest(
                request.prompt,
                ERROR_SECONDS,
                request.seed,
                options=DiffusionOptions(guidance_scale=scale),
            )
            latents, _ = latents_of(pipeline, wanted)
            mel = pipeline.decoder.mel(latents, lambda done: None, CancelToken())
            chances.append(stated_probability(classifier, mel, request))
            levels.append(float(latents.std()))
        found.append((scale, float(np.mean(chances)), float(np.mean(levels))))
    return [(scale, chance, level / found[0][2]) for scale, chance, level in found]


def draw(
    errors: dict[str, list[tuple[int, float]]],
    guidance: list[tuple[float, float, float]],
    path: Path,
) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for scheduler, points in errors.items():
        calls, values = zip(*points, strict=True)
        left.loglog(calls, values, "o-", label=scheduler)
    left.set(xlabel="model calls", ylabel="distance to 200 calls of adams (RMS)", title="Solvers")
    left.legend()
    scales, chances, levels = zip(*guidance, strict=True)
    right.semilogx(scales, chances, "o-", label="probability of what was asked")
    right.semilogx(scales, levels, "s--", label="latent level, relative")
    right.set(xlabel="guidance scale (cfg)", title="Guidance")
    right.set_xticks(scales, [f"{scale:g}" for scale in scales])
    right.minorticks_off()
    right.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("figure", type=Path, help="PNG; the numbers go to a .json beside it")
    parser.add_argument("--classifier", type=Path, help="of the training's work folder")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = AceStepPipeline(arguments.bundle, SessionSettings(threads=2), compose=compose_score)
    errors = error_curves(pipeline, range(arguments.seeds))
    print(json.dumps(errors), flush=True)
    if arguments.classifier is None:
        guidance = json.loads(arguments.figure.with_suffix(".json").read_text())["guidance"]
    else:
        classifier = Classifier().eval()
        classifier.load_state_dict(torch.load(arguments.classifier, weights_only=True))
        guidance = guidance_curve(pipeline, classifier, requests(arguments.prompts, seed=21))
    print(json.dumps(guidance), flush=True)
    numbers = {"errors": errors, "guidance": guidance}
    arguments.figure.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n")
    draw(errors, guidance, arguments.figure)


if __name__ == "__main__":
    main()
