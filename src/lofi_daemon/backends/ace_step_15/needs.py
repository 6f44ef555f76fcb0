"""What a track of ACE-Step 1.5 needs of memory, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lofi_daemon.backends.ace_step_15.bundle import (
    CONDITION_ENCODER,
    DECODER,
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
# Besides the weights, for a track of a minute 0.4 GB was measured. The transformer's part grows
# with the track; the decoder's windows, and the texts, do not.
WORKING_BYTES = 500_000_000
DIFFUSING_BYTES = 200_000_000
DIFFUSING_BYTES_PER_FRAME = 200_000


def needs(folder: Path, duration_sec: float) -> Mapping[Phase, Need]:
    """Of a track of this length. Raises ModelLoadFailed when the manifest is broken."""
    frames = read_manifest(folder).audio.track_frames(duration_sec)
    working = {
        Phase.ENCODING: WORKING_BYTES,
        Phase.DIFFUSING: DIFFUSING_BYTES + DIFFUSING_BYTES_PER_FRAME * frames,
        Phase.DECODING: WORKING_BYTES,
    }
    return {
        phase: Need(graphs_bytes(folder, graphs), working[phase])
        for phase, graphs in GRAPHS_OF_PHASES.items()
    }
