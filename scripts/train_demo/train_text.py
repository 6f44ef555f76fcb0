"""Trains the tokenizer and the text encoder: which attributes of the band a prompt states."""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import nn
from torch.nn import functional as F

from .captions import caption, targets
from .context import TEXT_WIDTH, ContextEncoder
from .flow import ATTRIBUTE_VALUES

LONGEST = 256


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """A word-piece tokenizer, lower case, whose every text ends in </s>."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=3000,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789"),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return tokenizer


class TextEncoder(nn.Module):
    """Hidden states [B, S, 32]: the attribute values a text states, the same at every position.

    A value counts as stated when its probability is over one half and the highest of its
    attribute. Channel 31 is 1, so that a text which states nothing still differs from no text.
    """

    def __init__(self, vocabulary: int, width: int = 128, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.embedding = nn.Embedding(vocabulary, width)
        self.near = nn.Conv1d(width, width, 5, padding=2)
        self.attention = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(layers))
        self.feed = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(layers)
        )
        self.head = nn.Linear(width, ATTRIBUTE_VALUES)
        self.register_buffer("groups", ContextEncoder().groups)
        self.dropout = nn.Dropout(0.1)

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask.to(torch.float32)
        x = self.dropout(self.embedding(input_ids)) * mask.unsqueeze(-1)
        x = x + F.gelu(self.near(x.transpose(1, 2))).transpose(1, 2)
        bias = (1 - mask)[:, None, None, :] * -1e4
        batch, length, width = x.shape
        for attention, feed in zip(self.attention, self.feed, strict=True):
            parts = attention(F.layer_norm(x, (width,))).reshape(batch, length, 4, self.heads, -1)
            query, key, value, gate = parts.permute(2, 0, 3, 1, 4).unbind(dim=0)
            scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + bias
            mixed = scores.softmax(dim=-1) @ value * torch.sigmoid(gate)
            x = x + mixed.transpose(1, 2).reshape(batch, length, width)
            x = x + feed(F.layer_norm(x, (width,)))
        votes = self.head(F.layer_norm(x, (width,))) - (1 - mask).unsqueeze(-1) * 1e4
        return votes.amax(dim=1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits = self.logits(input_ids, attention_mask)
        within = logits.unsqueeze(1) - (1 - self.groups) * 1e4
        best = (logits >= within.amax(dim=2)).to(torch.float32)
        stated = best * (logits > 0).to(torch.float32)
        alive = torch.ones_like(stated[:, :1])
        states = torch.cat([stated, alive], dim=1)
        states = F.pad(states, (0, TEXT_WIDTH - ATTRIBUTE_VALUES - 1)).unsqueeze(1)
        return states * attention_mask.to(torch.float32).unsqueeze(-1)


def token_batch(tokenizer: Tokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    encoded = [tokenizer.encode(text).ids[:LONGEST] for text in texts]
    longest = max(len(ids) for ids in encoded)
    ids = torch.zeros(len(texts), longest, dtype=torch.int64)
    mask = torch.zeros(len(texts), longest, dtype=torch.int64)
    for row, values in enumerate(encoded):
        ids[row, : len(values)] = torch.tensor(values)
        mask[row, : len(values)] = 1
    return ids, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = Random(0)
    arguments.output.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer([caption(random)[0] for _ in range(40000)])
    tokenizer.save(str(arguments.output / "tokenizer.json"))
    model = TextEncoder(tokenizer.get_vocab_size())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, arguments.steps)
    for step in range(arguments.steps):
        batch = [caption(random) for _ in range(96)]
        ids, mask = token_batch(tokenizer, [text for text, _ in batch])
        wanted = torch.tensor([targets(stated) for _, stated in batch])
        loss = F.binary_cross_entropy_with_logits(model.logits(ids, mask), wanted) * 10
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(step + 1, f"{loss.item():.4f}", flush=True)
    torch.save(model.state_dict(), arguments.output / "text.pt")


if __name__ == "__main__":
    main()
