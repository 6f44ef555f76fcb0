"""What the flow model sees of a score at every frame is what the score says."""

from __future__ import annotations

import numpy as np
import torch

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import MELODY_KEYS, PARTS, SECTIONS, Score, encode
from scripts.train_demo.context import ContextEncoder
from scripts.train_demo.flow import BAR_HARMONICS, CHORD_FEATURES, DRUM_FEATURES, frame_features
from scripts.train_demo.train_flow import contexts

DRUMS = 2 * len(BAR_HARMONICS) + len(SECTIONS) + len(PARTS) + CHORD_FEATURES
MELODY = DRUMS + DRUM_FEATURES


def seen(score: Score) -> torch.Tensor:
    states, mask = contexts(ContextEncoder(), [np.array(encode(score))], [True])
    frames = len(score.bars) * score.bar_frames
    return frame_features(states * mask.unsqueeze(-1), frames)[0]


def test_every_hit_and_every_note_is_seen_where_it_sounds() -> None:
    score = with_notes(compose("saxophone", 4, 60), 4)
    features = seen(score)
    for index, bar in enumerate(score.bars):
        assert bar.notes is not None
        for step, hits in enumerate(bar.notes.drums):
            frame = int(np.ceil((index + step / 16) * score.bar_frames - 1e-6))
            found = features[frame, DRUMS : DRUMS + DRUM_FEATURES]
            assert found.tolist() == [float(hits >> bit & 1) for bit in range(DRUM_FEATURES)]
        for eighth, key in enumerate(bar.notes.melody):
            frame = int(np.ceil((index + eighth / 8) * score.bar_frames - 1e-6))
            onset, *keys = features[frame, MELODY : MELODY + 1 + len(MELODY_KEYS)].tolist()
            assert onset == float(key > 0)
            assert sum(keys) == float(key != 0)
            if key:
                assert keys[MELODY_KEYS.index(abs(key))] == 1
