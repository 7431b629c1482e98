"""Curves of a training of `micro`: loss, and how right masks were after each round, over the steps.

    python benchmarks/curves.py OUT.png LOG.jsonl [LOG.jsonl ...] [--smooth 10]

LOG.jsonl is what `python -m napari_samhq.training.micro --out FOLDER` writes into its folder, a
line for each twenty steps; further files go on where the one before ended. The numbers are of
randomised crops as they are learned from, so they are lower than those of held-out images.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LINES = (
    ("box0", "a jittered box", "#0072b2", "-"),
    ("box1", "and a correcting click", "#0072b2", ":"),
    ("click0", "one click", "#d55e00", "-"),
    ("click1", "and a correcting click", "#d55e00", ":"),
)


def read(paths: list[Path]) -> dict[str, np.ndarray]:
    """Read the rows of logs, one after the other, as columns."""
    rows: list[dict[str, float]] = []
    for path in paths:
        begun = rows[-1]["step"] if rows else 0
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append({**row, "step": row["step"] + begun})
    names = {name for row in rows for name in row}
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def smoothed(values: np.ndarray, count: int) -> np.ndarray:
    """Mean of the last `count` values at each place; fewer at the beginning."""
    known = np.nan_to_num(values)
    there = np.isfinite(values).astype(float)
    kernel = np.ones(count)
    sums, counts = (np.convolve(x, kernel)[: len(values)] for x in (known, there))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def main() -> None:
    """Read, smooth, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--smooth", type=int, default=10, help="lines of the log averaged")
    options = parser.parse_args()
    table = read(options.logs)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for name, label, color, style in LINES:
        values = smoothed(table[name], options.smooth)
        left.plot(table["step"], values, style, color=color, label=label)
    left.set(xlabel="step", ylabel="IoU with the object", ylim=(0, 1))
    left.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    right.plot(table["step"], smoothed(table["loss"], options.smooth), color="#333333")
    right.set(xlabel="step", ylabel="loss")
    rates = right.twinx()
    rates.plot(table["step"], table["rate"], color="#999999", linewidth=0.8)
    rates.set_ylabel("learning rate", color="#777777")
    for axes in (left, right):
        axes.spines["top"].set_visible(False)
    figure.savefig(options.out, dpi=130)


if __name__ == "__main__":
    main()
