"""Draws the training logs: loss against minutes, for the flow model and the sharpener."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, help="folder with flow.csv and vocoder.csv")
    parser.add_argument("figure", type=Path)
    arguments = parser.parse_args()
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for name, title, axis in zip(("flow", "vocoder"), ("Flow", "Sharpener"), axes, strict=True):
        with (arguments.logs / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        steps = [int(row["step"]) for row in rows]
        for column in ("train_loss", "held_out_loss"):
            label = column.replace("_", " ")
            axis.plot(steps, [float(row[column]) for row in rows], label=label)
        axis.set(title=title, xlabel="step", ylabel="loss", yscale="log")
        axis.legend()
    figure.savefig(arguments.figure, dpi=110)


if __name__ == "__main__":
    main()
