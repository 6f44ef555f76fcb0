"""What a track of a bundle needs of memory, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lofi_daemon.backends.kit.mel_diffusion.bundle import (
    CONTEXT_ENCODER,
    DCAE,
    ENCODER,
    PAIR_FRAMES,
    TEXT_ENCODER,
    TRANSFORMER,
    VOCODER,
    Manifest,
    encoder_file,
    read_manifest,
)
from lofi_daemon.backends.kit.mel_diffusion.latents import MEL_FRAMES_PER_LATENT, frames_for
from lofi_daemon.backends.kit.residency import graphs_bytes
from lofi_daemon.backends.protocol import Need, Phase

GRAPHS_OF_PHASES: Mapping[Phase, tuple[str, ...]] = {
    Phase.ENCODING: (TEXT_ENCODER, CONTEXT_ENCODER),
    Phase.DIFFUSING: (TRANSFORMER,),
    Phase.DECODING: (DCAE, VOCODER),
}
BYTES_OF_WEIGHT = {"fp32": 4.0, "fp16": 2.0, "int8": 1.0, "int4": 0.75}
# What a call needs besides its weights: activations, which grow with the model and not with the
# bits of its weights (1.0 GB was measured at the real size for a pair of rows of a minute). Those
# of the transformer grow with the track too; the decoder's windows, and the texts, do not.
WORKING_BYTES_PER_WEIGHT = 0.35
MEASURED_FRAMES = 2 * frames_for(60.0)
WORKING_BYTES = 150_000_000
# Of the decoder, a weight: for a latent frame of a window, and for a mel frame of one, of which
# both channels are vocoded at once. Measured at the real size: 1.43 GB for 330 latent frames, and
# 1.00 GB for twice 1450 mel frames.
DCAE_BYTES_PER_FRAME = 0.06
VOCODER_BYTES_PER_FRAME = 0.004
CHANNELS = 2


def needs(folder: Path, duration_sec: float, *, reads_sound: bool = False) -> Mapping[Phase, Need]:
    """Of a track of this length; reads_sound: it begins with a sound that has to be encoded.

    Raises ModelLoadFailed when the manifest is broken.
    """
    manifest = read_manifest(folder)
    bytes_of_weight = BYTES_OF_WEIGHT.get(manifest.precision, 4.0)
    of_bytes = manifest.model_version.endswith("int8-columns")
    frames = frames_for(duration_sec)
    rows = 2 if frames <= PAIR_FRAMES else 1

    def need(phase: Phase) -> Need:
        model = graphs_bytes(folder, GRAPHS_OF_PHASES[phase], columns_of_bytes=of_bytes)
        growth = rows * frames / MEASURED_FRAMES if phase is Phase.DIFFUSING else 1.0
        activations = WORKING_BYTES_PER_WEIGHT * model / bytes_of_weight * growth
        if phase is Phase.DECODING:
            activations = max(
                _of_latents(graphs_bytes(folder, (DCAE,)), manifest, frames),
                _of_mel(graphs_bytes(folder, (VOCODER,)), manifest, frames),
            )
        elif reads_sound and phase is Phase.ENCODING:
            reader = graphs_bytes(encoder_file(folder).parent, (ENCODER,))
            activations += _of_latents(reader, manifest, frames)
            model += reader
        return Need(model, WORKING_BYTES + round(activations))

    return {phase: need(phase) for phase in GRAPHS_OF_PHASES}


def _of_latents(graph_bytes: int, manifest: Manifest, frames: int) -> float:
    """Bytes of a call of the autoencoder: its decoder, or its encoder, which is as wide."""
    window = min(frames, manifest.dcae.window_frames)
    return DCAE_BYTES_PER_FRAME * graph_bytes / BYTES_OF_WEIGHT["fp32"] * window


def _of_mel(graph_bytes: int, manifest: Manifest, frames: int) -> float:
    """Bytes of the vocoder's calls for both channels."""
    shared = 2 * manifest.vocoder.receptive_field_frames
    window = min(MEL_FRAMES_PER_LATENT * frames, manifest.vocoder.core_frames + shared)
    weights = graph_bytes / BYTES_OF_WEIGHT["fp32"]
    return CHANNELS * VOCODER_BYTES_PER_FRAME * weights * window
