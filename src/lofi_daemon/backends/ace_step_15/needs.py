"""What a track of ACE-Step 1.5 needs of memory, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lofi_daemon.backends.ace_step_15.bundle import (
    CONDITION_ENCODER,
    DECODER,
    ENCODER,
    TEXT_ENCODER,
    TOKEN_EMBEDDINGS,
    TRANSFORMER,
    read_manifest,
)
from lofi_daemon.backends.kit.residency import graphs_bytes
from lofi_daemon.backends.protocol import Need, Phase

GRAPHS_OF_PHASES: Mapping[Phase, tuple[str, ...]] = {
    Phase.ENCODING: (TOKEN_EMBEDDINGS, TEXT_ENCODER, CONDITION_ENCODER),
    Phase.DIFFUSING: (TRANSFORMER,),
    Phase.DECODING: (DECODER,),
}
# Besides the weights, at the real size, 0.4 GB were measured for the texts, 0.6 GB for the
# transformer on a track of a minute, and 1.6 GB for two windows of the decoder side by side. The
# transformer's part alone grows with the track.
WORKING_BYTES = {Phase.ENCODING: 500_000_000, Phase.DECODING: 1_700_000_000}
# One window of the encoder is as large as one of the decoder.
READING_BYTES = 900_000_000
DIFFUSING_BYTES = 100_000_000
DIFFUSING_BYTES_PER_FRAME = 400_000


def needs(folder: Path, duration_sec: float, *, reads_sound: bool = False) -> Mapping[Phase, Need]:
    """Of a track of this length; reads_sound: it begins with a sound that has to be encoded.

    Raises ModelLoadFailed when the manifest is broken.
    """
    manifest = read_manifest(folder)
    frames = manifest.audio.track_frames(duration_sec)
    diffusing = DIFFUSING_BYTES + DIFFUSING_BYTES_PER_FRAME * frames
    working = {**WORKING_BYTES, Phase.DIFFUSING: diffusing}
    graphs_of_phases = dict(GRAPHS_OF_PHASES)
    if reads_sound:
        graphs_of_phases[Phase.ENCODING] += (ENCODER,)
        working[Phase.ENCODING] = READING_BYTES
    of_bytes = manifest.precision == "int8" and manifest.eight_bits == "int8-columns"
    return {
        phase: Need(graphs_bytes(folder, graphs, columns_of_bytes=of_bytes), working[phase])
        for phase, graphs in graphs_of_phases.items()
    }
