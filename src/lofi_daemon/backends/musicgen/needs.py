"""What a track of MusicGen needs of memory, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lofi_daemon.backends.kit.residency import graphs_bytes
from lofi_daemon.backends.musicgen.bundle import (
    ENCODER,
    MusicGenConfig,
    encoder_file,
    read_config,
    read_manifest,
)
from lofi_daemon.backends.musicgen.continuation import frames_for, stretches
from lofi_daemon.backends.protocol import Need, Phase

BYTES_PER_WEIGHT = {"fp32": 4.0, "int8": 1.1, "int4": 0.6}
# What a call of any graph needs, and EnCodec for a window of its own.
WORKING_BYTES = 100_000_000
CODEC_BYTES = 400_000_000
GUIDANCE_ROWS = 2
KEYS_AND_VALUES = 2
BYTES_OF_FLOAT = 4


def needs(folder: Path, duration_sec: float, *, reads_sound: bool = False) -> Mapping[Phase, Need]:
    """Of a track of this length: the published form has its decoder twice.

    reads_sound: it begins with a sound that has to be encoded. Raises ModelLoadFailed.
    """
    config, manifest = read_config(folder), read_manifest(folder)
    copies = 1 if manifest.form == "native" else 2
    decoder = config.decoder.weights_per_step * BYTES_PER_WEIGHT[manifest.precision]
    cross = graphs_bytes(folder, ("cross_attention",))
    caches = _caches_bytes(config, duration_sec)
    text, reading = graphs_bytes(folder, ("text_encoder",)), WORKING_BYTES
    if reads_sound:
        text += graphs_bytes(encoder_file(folder).parent, (ENCODER,))
        reading = CODEC_BYTES
    return {
        Phase.ENCODING: Need(text, reading),
        Phase.DECODING_TOKENS: Need(round(copies * decoder) + cross, WORKING_BYTES + caches),
        Phase.DECODING: Need(graphs_bytes(folder, ("encodec_decode",)), CODEC_BYTES),
    }


def _caches_bytes(config: MusicGenConfig, duration_sec: float) -> int:
    """Keys and values of the longest window, of every layer and both rows of guidance."""
    rate, decoder = config.audio_encoder.frame_rate, config.decoder
    columns = max(each.frames for each in stretches(frames_for(duration_sec, rate), rate))
    columns += decoder.num_codebooks
    values = decoder.num_hidden_layers * KEYS_AND_VALUES * GUIDANCE_ROWS * decoder.hidden_size
    return values * columns * BYTES_OF_FLOAT
