"""Trains the flow model on crops of the rendered songs; resumes, reads shards as they appear."""

from __future__ import annotations

import argparse
import csv
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lofi_daemon.backends.demo.score import HEADER_TOKENS, NOTED_TOKENS_PER_BAR

from .codec import Codec
from .context import TEXT_WIDTH, ContextEncoder
from .flow import ATTRIBUTE_VALUES, Flow
from .precision import quick_precision

CROP_FRAMES = 96
BATCH = 12
PEAK_RATE = 1.2e-3
TAG_DROPOUT = 0.12


@dataclass(frozen=True)
class Piece:
    """A song as the flow model sees it: latents [T, 128] and score tokens [L]."""

    latents: np.ndarray
    tokens: np.ndarray
    bar_frames: int


def read_pieces(paths: list[Path], codec: Codec) -> list[Piece]:
    encoder = ContextEncoder()
    pieces: list[Piece] = []
    for path in paths:
        shard = np.load(path)
        count = sum(name.startswith("bands") for name in shard.files)
        for index in range(count):
            latents = codec.encode(shard[f"bands{index}"], shard[f"textures{index}"])
            tokens = shard[f"tokens{index}"].astype(np.int64)
            bar_frames = int(encoder.bar_frames[tokens[0]])
            pieces.append(Piece(latents.astype(np.float16), tokens, bar_frames))
    return pieces


def contexts(
    encoder: ContextEncoder, tokens: list[np.ndarray], told: list[bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Contexts of several scores at once; `told` is false where the text is dropped."""
    longest = max(len(ids) for ids in tokens)
    ids = torch.zeros(len(tokens), longest, dtype=torch.int64)
    mask = torch.zeros(len(tokens), longest, dtype=torch.int64)
    for row, values in enumerate(tokens):
        ids[row, : len(values)] = torch.from_numpy(values)
        mask[row, : len(values)] = 1
    text = torch.zeros(len(tokens), 1, TEXT_WIDTH)
    text[:, 0, ATTRIBUTE_VALUES] = torch.tensor(told, dtype=torch.float32)
    ones = torch.ones(len(tokens), 1, dtype=torch.int64)
    return encoder(text, ones, torch.zeros(len(tokens), 512), ids, mask)


def crop_batch(
    pieces: list[Piece], encoder: ContextEncoder, rng: np.random.Generator, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents [B, 8, 16, T], contexts, and their masks: crops that start on a bar line."""
    lengths = np.array([len(piece.latents) for piece in pieces], np.float64)
    chosen = rng.choice(len(pieces), size, p=lengths / lengths.sum())
    latents = np.zeros((size, 128, CROP_FRAMES), np.float32)
    tokens: list[np.ndarray] = []
    for row, index in enumerate(chosen):
        piece = pieces[index]
        # Crops start on every other bar, as melodies repeat in pairs of bars. The last one
        # reaches the end of the song, so that endings are learnt as well.
        pair = 2 * piece.bar_frames
        beyond = max(0, len(piece.latents) - CROP_FRAMES)
        first = 2 * int(rng.integers(0, -(-beyond // pair) + 1))
        crop = piece.latents[first * piece.bar_frames :][:CROP_FRAMES].T
        latents[row, :, : crop.shape[1]] = crop
        if crop.shape[1] < CROP_FRAMES:
            latents[row, :, crop.shape[1] :] = crop[:, -1:]
        kept = piece.tokens[HEADER_TOKENS + NOTED_TOKENS_PER_BAR * first :]
        tokens.append(np.concatenate([piece.tokens[:HEADER_TOKENS], kept]))
    told = [bool(flag) for flag in rng.random(size) >= TAG_DROPOUT]
    states, mask = contexts(encoder, tokens, told)
    return torch.from_numpy(latents).unflatten(1, (8, 16)), states, mask


def flow_loss(
    model: Flow, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], rng: torch.Generator
) -> torch.Tensor:
    """Mean square error of v = noise - data at logit-normal times."""
    data, states, mask = batch
    noise = torch.randn(data.shape, generator=rng)
    sigma = torch.sigmoid(torch.randn(len(data), generator=rng))
    at = sigma[:, None, None, None]
    noisy = (1 - at) * data + at * noise
    frames = torch.ones(len(data), data.shape[-1])
    with quick_precision():
        predicted = model(noisy, frames, states, mask, 1000 * sigma)
    return (predicted.float() - (noise - data)).square().mean()


def learning_rate(progress: float, step: int) -> float:
    """Warm-up over 60 steps, then flat, then a linear decay over the last 40 %."""
    return PEAK_RATE * min(1.0, (step + 1) / 60, max(0.02, (1 - progress) / 0.4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("codec", type=Path)
    parser.add_argument("output", type=Path, help="folder for checkpoints and the log")
    parser.add_argument("--minutes", type=float, default=90, help="length of the whole training")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    arguments.output.mkdir(parents=True, exist_ok=True)
    codec = Codec.load(arguments.codec)
    encoder = ContextEncoder()
    held_out = read_pieces(sorted(arguments.data.glob("held-out-*.npz"))[:1], codec)
    rng, noise_rng = np.random.default_rng(0), torch.Generator().manual_seed(0)
    check_rng = np.random.default_rng(1)
    checks = [crop_batch(held_out, encoder, check_rng, BATCH) for _ in range(3)]

    model = Flow()
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, (0.9, 0.99), weight_decay=0.01)
    average = deepcopy(model)
    step, spent = 0, 0.0
    checkpoint = arguments.output / "flow.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["seconds"]
        rng, noise_rng = np.random.default_rng(step), noise_rng.manual_seed(step)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M weights, step {step}")

    def save() -> None:
        torch.save(
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "seconds": spent,
            },
            checkpoint.with_suffix(".tmp"),
        )
        checkpoint.with_suffix(".tmp").rename(checkpoint)

    log_path = arguments.output / "flow.csv"
    is_new = not log_path.exists()
    log_file = log_path.open("a", newline="")
    log = csv.writer(log_file)
    if is_new:
        log.writerow(["step", "seconds", "songs", "train_loss", "held_out_loss"])
    pieces: list[Piece] = []
    read: set[Path] = set()
    losses: list[float] = []
    last = time.monotonic()
    while spent < arguments.minutes * 60:
        if step % 200 == 0 or not pieces:
            fresh = sorted(set(arguments.data.glob("train-????.npz")) - read)
            pieces += read_pieces(fresh, codec)
            read |= set(fresh)
            last = time.monotonic()
        rate = learning_rate(spent / (arguments.minutes * 60), step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = flow_loss(model, crop_batch(pieces, encoder, rng, BATCH), noise_rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, quick in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(quick, 1 - decay)
        losses.append(loss.item())
        step += 1
        spent += time.monotonic() - last
        last = time.monotonic()
        if step % 100 == 0:
            with torch.no_grad():
                fixed = torch.Generator().manual_seed(7)
                check = float(
                    np.mean([flow_loss(average, batch, fixed).item() for batch in checks])
                )
            row = [step, round(spent), len(pieces), f"{np.mean(losses[-100:]):.4f}", f"{check:.4f}"]
            log.writerow(row)
            log_file.flush()
            print(*row, flush=True)
            save()
    save()


if __name__ == "__main__":
    main()
