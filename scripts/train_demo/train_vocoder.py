"""Trains the vocoder's sharpener: STFT magnitudes from true and from codec-decoded spectra."""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from .codec import Codec
from .spectrum import HOP, SECOND, log_spectrum, magnitudes
from .vocoder import Sharpener

CROP_FRAMES = 128
BATCH = 12
PEAK_RATE = 1e-3
# Room on either side of a crop, so that no STFT frame of it sees the crop's edge.
MARGIN = 8


def read_audio(paths: list[Path]) -> list[np.ndarray]:
    """Audio as int16 [2, samples], which keeps an hour in memory."""
    return [soundfile.read(path, dtype="int16")[0].T.copy() for path in paths]


def through_codec(codec: Codec, bands: torch.Tensor) -> torch.Tensor:
    """Log bands [2, 128, M] after the codec, M a multiple of 8."""
    frames = bands.shape[-1] // 8
    blocks = bands.reshape(2, 128, frames, 8).permute(2, 0, 1, 3).numpy()
    decoded = codec.decode(codec.encode(blocks, np.zeros(2, np.float32)))
    return torch.from_numpy(decoded).float().permute(1, 2, 0, 3).reshape(2, 128, 8 * frames)


def crops(
    dry: list[np.ndarray], wet: list[np.ndarray], codec: Codec, rng: np.random.Generator
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Rows [B, 128, M] and the magnitudes [B, K, frames] of each range they should become."""
    inputs = list[torch.Tensor]()
    wanted: list[list[torch.Tensor]] = [[] for _ in SECOND]
    samples = (CROP_FRAMES + 2 * MARGIN) * HOP
    for index in range(BATCH // 2):
        coded = index % 3 != 0
        songs = dry if coded else wet
        song = songs[rng.integers(len(songs))]
        begin = int(rng.integers(0, song.shape[1] - samples))
        piece = torch.from_numpy(song[:, begin : begin + samples].astype(np.float32) / 32768)
        bands = log_spectrum(piece)
        if coded:
            bands = through_codec(codec, bands)
        inputs.append(bands[..., MARGIN : MARGIN + CROP_FRAMES])
        for each, found in zip(SECOND, wanted, strict=True):
            inner = slice(MARGIN * each.per_frame, (MARGIN + CROP_FRAMES) * each.per_frame)
            found.append(magnitudes(piece, each)[:, list(each.bins), inner])
    return torch.cat(inputs), [torch.cat(found) for found in wanted]


def sharpening_loss(
    model: Sharpener, batch: tuple[torch.Tensor, list[torch.Tensor]]
) -> torch.Tensor:
    """Mean absolute error of log magnitudes, plus that of magnitudes relative to their mean.

    The second counts twice: the first alone prefers a blurred attack to a misplaced one.
    """
    inputs, targets = batch
    loss = torch.zeros(())
    for found, wanted in zip(model(inputs), targets, strict=True):
        loss = loss + (torch.log(found + 1e-4) - torch.log(wanted + 1e-4)).abs().mean()
        loss = loss + 2 * (found - wanted).abs().mean() / wanted.mean()
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("codec", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arguments.output.mkdir(parents=True, exist_ok=True)
    codec = Codec.load(arguments.codec)
    dry = read_audio(sorted(arguments.data.glob("train-*-dry.flac")))
    wet = read_audio(sorted(arguments.data.glob("train-????-??.flac")))
    held_dry = read_audio(sorted(arguments.data.glob("held-out-0000-*-dry.flac")))
    held_wet = read_audio(sorted(arguments.data.glob("held-out-0000-??.flac")))
    check_rng = np.random.default_rng(1)
    checks = [crops(held_dry, held_wet, codec, check_rng) for _ in range(4)]
    model = Sharpener()
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, (0.9, 0.99), weight_decay=0.01)
    step, spent = 0, 0.0
    checkpoint = arguments.output / "vocoder.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["seconds"]
    rng = np.random.default_rng(step)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M weights, step {step}")
    log_path = arguments.output / "vocoder.csv"
    is_new = not log_path.exists()
    with log_path.open("a", newline="") as log_file:
        log = csv.writer(log_file)
        if is_new:
            log.writerow(["step", "seconds", "train_loss", "held_out_loss"])
        losses: list[float] = []
        last = time.monotonic()
        while spent < arguments.minutes * 60:
            progress = spent / (arguments.minutes * 60)
            for group in optimizer.param_groups:
                group["lr"] = PEAK_RATE * min(1.0, max(0.02, (1 - progress) / 0.5))
            loss = sharpening_loss(model, crops(dry, wet, codec, rng))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            step += 1
            spent += time.monotonic() - last
            last = time.monotonic()
            if step % 100 == 0 or spent >= arguments.minutes * 60:
                with torch.no_grad():
                    check = float(np.mean([sharpening_loss(model, b).item() for b in checks]))
                row = [step, round(spent), f"{np.mean(losses[-100:]):.4f}", f"{check:.4f}"]
                log.writerow(row)
                log_file.flush()
                print(*row, flush=True)
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                # Put in place whole: whoever resumes finds the last one or this one.
                fresh = checkpoint.with_suffix(".tmp")
                torch.save({**state, "step": step, "seconds": spent}, fresh)
                fresh.rename(checkpoint)


if __name__ == "__main__":
    main()
