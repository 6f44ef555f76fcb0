"""A folder of ACE-Step-shaped model files and what its manifest says of them.

A folder without manifest.json holds the published files: float32, batch 1, no ERG, and constants
that are found by probing. Light on imports: asking whether a model is there loads nothing heavy.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lofi_daemon.backends.kit.manifest import Mastering, Section, check_interface
from lofi_daemon.models.documents import FileFacts, ListedFiles, read_checked
from lofi_daemon.models.store import exists

INTERFACE = 1

# The graphs, by the names of their files without the ending.
TEXT_ENCODER = "text_encoder"
CONTEXT_ENCODER = "transformer_encoder"
TRANSFORMER = "transformer_decoder"
DCAE = "dcae_decoder"
VOCODER = "vocoder"
# What reads sound; published files, and exports of earlier versions, have none.
ENCODER = "dcae_encoder"
GRAPHS = (TEXT_ENCODER, CONTEXT_ENCODER, TRANSFORMER, DCAE, VOCODER)
# Up to here two rows are faster than one after the other, because small products use the cores
# badly. Beyond, the pair would only double the memory.
PAIR_FRAMES = 1300
FILES = ("tokenizer.json", *(f"{graph}.onnx" for graph in GRAPHS))


class LatentConstants(Section):
    """The DCAE reads latents / scale + shift; inside: the graph does it itself (None: probe)."""

    scale: float = 0.1786
    shift: float = -1.9091
    inside: bool | None = None


class MelConstants(Section):
    """(mel·scale + shift) · (maximum − minimum) + minimum is the vocoder's log-mel.

    loudness_db: what the square of each row adds to the loudness, up to a common number of dB;
    None: not known.
    """

    scale: float = 0.5
    shift: float = 0.5
    minimum: float = -11.0
    maximum: float = 3.0
    inside: bool | None = None
    loudness_db: tuple[float, ...] | None = None


class VocoderFacts(Section):
    """receptive_field_frames: mel frames on each side that a sample can depend on.

    core_frames: mel frames a call beyond those, at most. first_frames: what the first call gives,
    the next ones twice as much each, up to core_frames; None: all calls are alike. Windows overlap
    by the receptive field and agree there to the sample; a vocoder whose phases are free hands them
    on from window to window.
    """

    receptive_field_frames: int = 90
    core_frames: int = 1300
    first_frames: int | None = None
    sample_rate: int = 44100
    hop_length: int = 512


class WindowFacts(Section):
    """Latent frames a DCAE call at most, and how many of them neighbouring calls share.

    By default so many that half a minute is one call.
    """

    window_frames: int = 330
    overlap_frames: int = 64


class Run(Section):
    """A solver and its steps: model calls for adams, steps for the others."""

    scheduler: str
    inference_steps: int


class Qualities(Section):
    """What the words for quality mean to these files; `reference` is the original's own way."""

    fast: Run = Run(scheduler="adams", inference_steps=16)
    normal: Run = Run(scheduler="adams", inference_steps=25)
    reference: Run = Run(scheduler="euler", inference_steps=60)

    def completed(self, scheduler: str | None, steps: int | None, meant: Run) -> Run:
        """What is given, and for the rest what is meant.

        Steps of adams are model calls, and so mean nothing to another solver: a solver that is
        named without steps gets those of `meant` where they fit, else those of the quality that
        uses its kind.
        """
        if scheduler is None and steps is None:
            return meant
        solver = scheduler or meant.scheduler
        if steps is None:
            fitting = self.normal if solver == "adams" else self.reference
            same_kind = (solver == "adams") == (meant.scheduler == "adams")
            steps = (meant if same_kind else fitting).inference_steps
        return Run(scheduler=solver, inference_steps=steps)


class Defaults(Section):
    """What a request gets that does not say otherwise."""

    inference_steps: int = 25
    scheduler: str = "adams"
    guidance_scale: float = 15.0
    cfg_type: str = "apg"
    guidance_interval: float = 0.5
    guidance_decay: float = 0.0
    omega: float = 10.0


class RelativeCost(Section):
    """Seconds at reference speed: loading, encoding a prompt, and per latent frame one model call,
    the DCAE, the vocoder (one channel), the finish, and reading a sound. The defaults are those of
    the real sizes."""

    loading: float = 20.0
    encoding: float = 0.1
    model_call: float = 0.023
    dcae: float = 0.048
    vocoder: float = 0.063
    finish: float = 0.0
    reading: float = 0.04

    @property
    def decoding(self) -> float:
        """Seconds a latent frame from latents to the finished track."""
        return self.dcae + 2.0 * self.vocoder + self.finish


class Manifest(Section):
    """manifest.json, with the published files' facts as defaults."""

    interface: int = INTERFACE
    form: str = "published"
    model_version: str = "published-fp32"
    precision: str = "fp32"
    latents: LatentConstants = Field(default_factory=LatentConstants)
    mel: MelConstants = Field(default_factory=MelConstants)
    vocoder: VocoderFacts = Field(default_factory=VocoderFacts)
    dcae: WindowFacts = Field(default_factory=WindowFacts)
    erg: bool = False
    score: str | None = None
    null_lyric: str = "zero"
    defaults: Defaults = Field(default_factory=Defaults)
    qualities: Qualities = Field(default_factory=Qualities)
    mastering: Mastering | None = None
    relative_cost: RelativeCost = Field(default_factory=RelativeCost)
    files: ListedFiles = Field(default_factory=dict[str, FileFacts])


def encoder_file(folder: Path) -> Path:
    """The graph that reads sound: in the folder, or, where a smaller set was made before it came,
    in the model's own around it."""
    name = f"{ENCODER}.onnx"
    return next(
        (each / name for each in (folder, folder.parent) if exists(each / name)), folder / name
    )


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest, or the published defaults where there is none.

    Raises ModelLoadFailed when the file is broken or of another interface version.
    """
    path = folder / "manifest.json"
    if not exists(path):
        return Manifest()
    manifest = read_checked(path, Manifest)
    check_interface(path, manifest.interface, INTERFACE)
    return manifest
