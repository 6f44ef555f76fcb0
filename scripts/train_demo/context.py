"""The context encoder: text tags and score tokens, laid out as the decoder reads them.

It has no learned weights. What the text says about the band wins; what it leaves open is taken
from the score's header, so a track keeps one sound throughout. With zeros for the text states
(the unconditional pass) the header is left out as well, and the score's bars stay.
"""

from __future__ import annotations

import torch
from torch import nn

from lofi_daemon.backends.demo.score import (
    ATTRIBUTES,
    BAR_FRAMES,
    BASS_KEYS,
    EIGHTHS,
    HEADER_TOKENS,
    MELODY_KEYS,
    NOTED_TOKENS_PER_BAR,
    PARTS,
    QUALITIES,
    SECTIONS,
    SIXTEENTHS,
    VOCABULARY_SIZE,
    Chord,
    drum_hits,
    lines,
)

from .flow import (
    ATTRIBUTE_VALUES,
    BAR,
    CHORD_FEATURES,
    CONTEXT_WIDTH,
    DRUM_FEATURES,
    END,
    FEATURES,
    MELODY_FEATURES,
    SCORE_FEATURES,
    START,
)

TEXT_WIDTH = 32
"""Width of the text states: one number an attribute value, then 1 as a sign of life."""


def token_table() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bar frames [V], attribute one-hots [V, A] and score features [V, F] of each token."""
    bar_frames = torch.zeros(VOCABULARY_SIZE)
    attributes = torch.zeros(VOCABULARY_SIZE, ATTRIBUTE_VALUES)
    features = torch.zeros(VOCABULARY_SIZE, SCORE_FEATURES)
    token = 1
    for frames in BAR_FRAMES:
        bar_frames[token] = frames
        token += 1
    for value in range(ATTRIBUTE_VALUES):
        attributes[token, value] = 1
        token += 1
    for section in range(len(SECTIONS)):
        features[token, section] = 1
        token += 1
    for mask in range(2 ** len(PARTS)):
        for part in range(len(PARTS)):
            features[token, len(SECTIONS) + part] = mask >> part & 1
        token += 1
    offset = len(SECTIONS) + len(PARTS)
    for quality in QUALITIES:
        for root in range(12):
            features[token, offset + root] = 1
            for tone in Chord(root, quality).pitch_classes:
                features[token, offset + 12 + tone] = 1
            token += 1
    drums = offset + CHORD_FEATURES
    melody = drums + DRUM_FEATURES
    bass = melody + MELODY_FEATURES
    for note in range(token, VOCABULARY_SIZE):
        for bit in range(DRUM_FEATURES):
            features[note, drums + bit] = drum_hits(note) >> bit & 1
        sung, plucked = lines(note)
        if sung:
            features[note, melody] = float(sung > 0)
            features[note, melody + 1 + MELODY_KEYS.index(abs(sung))] = 1
        if plucked:
            features[note, bass] = float(plucked > 0)
            features[note, bass + 1] = float(abs(plucked) >= BASS_KEYS.start + 12)
            features[note, bass + 2 + abs(plucked) % 12] = 1
    return bar_frames, attributes, features


def slots() -> tuple[torch.Tensor, torch.Tensor]:
    """Where in its bar each token of a bar holds: begins and ends, in bars, [28]."""
    spans = [(0.0, 1.0), (0.0, 1.0), (0.0, 0.5), (0.5, 1.0)]
    spans += [(step / SIXTEENTHS, (step + 1) / SIXTEENTHS) for step in range(SIXTEENTHS)]
    spans += [(step / EIGHTHS, (step + 1) / EIGHTHS) for step in range(EIGHTHS)]
    assert len(spans) == NOTED_TOKENS_PER_BAR
    begins, ends = torch.tensor(spans).unbind(dim=1)
    return begins, ends


class ContextEncoder(nn.Module):
    """[speaker | text | lyric] as the published encoder orders it; no learned weights."""

    def __init__(self) -> None:
        super().__init__()
        bar_frames, attributes, features = token_table()
        self.register_buffer("bar_frames", bar_frames)
        self.register_buffer("attributes", attributes)
        self.register_buffer("features", features)
        begins, ends = slots()
        self.register_buffer("begins", begins)
        self.register_buffer("ends", ends)
        sizes = [len(values) for values in ATTRIBUTES.values()]
        groups = torch.zeros(ATTRIBUTE_VALUES, ATTRIBUTE_VALUES)
        start = 0
        for size in sizes:
            groups[start : start + size, start : start + size] = 1
            start += size
        self.register_buffer("groups", groups)

    def forward(
        self,
        encoder_text_hidden_states: torch.Tensor,
        text_attention_mask: torch.Tensor,
        speaker_embeds: torch.Tensor,
        lyric_token_idx: torch.Tensor,
        lyric_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        text_mask = text_attention_mask.to(torch.float32)
        lyric = lyric_mask.to(torch.float32)
        text = encoder_text_hidden_states * text_mask.unsqueeze(-1)
        said = text.sum(dim=1) / text_mask.sum(dim=1, keepdim=True).clamp_min(1)
        tags, present = said[:, :ATTRIBUTE_VALUES], said[:, ATTRIBUTE_VALUES : ATTRIBUTE_VALUES + 1]
        header = (self.attributes[lyric_token_idx] * lyric.unsqueeze(-1)).sum(dim=1)
        # An attribute of which the text says anything is the text's alone.
        open_ = (1 - tags @ self.groups).clamp(0, 1)
        attributes = tags + open_ * header * present

        bar = (self.bar_frames[lyric_token_idx] * lyric).amax(dim=1, keepdim=True)
        features = self.features[lyric_token_idx] * lyric.unsqueeze(-1)
        position = torch.arange(lyric_token_idx.shape[1], device=lyric.device) - HEADER_TOKENS
        bar_index = torch.div(position, NOTED_TOKENS_PER_BAR, rounding_mode="floor")
        slot = torch.remainder(position, NOTED_TOKENS_PER_BAR)
        begins = bar_index.to(torch.float32) + self.begins[slot]
        ends = bar_index.to(torch.float32) + self.ends[slot]
        in_score = lyric * (position >= 0).to(torch.float32)
        lyric_states = torch.cat(
            [
                (begins * bar * in_score).unsqueeze(-1),
                (ends * bar * in_score).unsqueeze(-1),
                (bar * lyric).unsqueeze(-1),
                pad_features(features),
            ],
            dim=-1,
        )
        speaker = speaker_embeds[:, :1].unsqueeze(1) * 0
        first = torch.cat(
            [speaker.expand(-1, 1, FEATURES), pad_features(attributes).unsqueeze(1)], dim=-1
        )
        text_states = text[..., :1] * 0
        text_states = text_states.expand(-1, -1, CONTEXT_WIDTH)
        states = torch.cat([first, text_states, lyric_states], dim=1)
        ones = torch.ones_like(speaker_embeds[:, :1])
        return states, torch.cat([ones, text_mask, lyric], dim=1)


def pad_features(values: torch.Tensor) -> torch.Tensor:
    """Fill the last axis with zeros up to what follows the three time numbers."""
    return nn.functional.pad(values, (0, CONTEXT_WIDTH - FEATURES - values.shape[-1]))


assert (START, END, BAR, FEATURES) == (0, 1, 2, 3)
