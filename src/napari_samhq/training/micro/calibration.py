"""Calibration of scores: predicted against true IoU, and the choice among candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Bin", "Calibration", "Choice", "calibration", "choice", "report"]


@dataclass(frozen=True)
class Bin:
    """Masks whose scores lie between ``low`` and ``high``: how many, mean score, mean IoU."""

    low: float
    high: float
    count: int
    score: float
    iou: float


@dataclass(frozen=True)
class Calibration:
    """How scores and IoUs of masks agree.

    Attributes
    ----------
    bins : tuple of Bin
        Those that hold masks.
    error : float
        Expected calibration error: distance of mean score and mean IoU of a bin, weighted by the
        number of masks (Guo et al., ICML 2017, for a number between 0 and 1 instead of a class).
    bias : float
        Mean score less mean IoU: above 0 the scores promise too much.
    rank : float
        Spearman's rank correlation; NaN where all scores, or all IoUs, are alike.
    """

    bins: tuple[Bin, ...]
    error: float
    bias: float
    rank: float


@dataclass(frozen=True)
class Choice:
    """What comes of taking the candidate with the best score.

    Attributes
    ----------
    right : float
        How often it is the best one, or as good to within 0.01 of IoU.
    chosen, best, mean : float
        Mean IoU of the candidates chosen by score, of those that are best, and of all.
    """

    right: float
    chosen: float
    best: float
    mean: float


def calibration(
    scores: Sequence[float], ious: Sequence[float], edges: int | Sequence[float] = 10
) -> Calibration:
    """Compare scores with the IoUs that they foretell.

    Parameters
    ----------
    scores, ious : sequence of float, 0 to 1
        Of the same masks, one at least.
    edges : int or sequence of float
        Number of bins of equal width from 0 to 1, or their edges.

    Examples
    --------
    >>> found = calibration([0.9, 0.9, 0.3], [0.8, 0.8, 0.2])
    >>> round(found.error, 3), round(found.bias, 3), round(found.rank, 3)
    (0.1, 0.1, 1.0)
    """
    score, truth = np.asarray(scores, float), np.asarray(ious, float)
    borders = np.linspace(0, 1, edges + 1) if isinstance(edges, int) else np.asarray(edges, float)
    place = np.clip(np.digitize(score, borders) - 1, 0, len(borders) - 2)
    bins = tuple(
        Bin(
            float(borders[k]),
            float(borders[k + 1]),
            int(np.count_nonzero(place == k)),
            float(score[place == k].mean()),
            float(truth[place == k].mean()),
        )
        for k in np.unique(place)
    )
    error = sum(one.count * abs(one.score - one.iou) for one in bins) / len(score)
    alike = np.ptp(score) == 0 or np.ptp(truth) == 0
    rank = float("nan") if alike else float(stats.spearmanr(score, truth).statistic)
    return Calibration(bins, float(error), float(score.mean() - truth.mean()), rank)


def choice(scores: Sequence[Sequence[float]], ious: Sequence[Sequence[float]]) -> Choice:
    """Judge the choice of one candidate by score, of each of several prompts.

    Parameters
    ----------
    scores, ious : (N, M) nested sequences
        Of the M candidates of N prompts.

    Examples
    --------
    >>> choice([[0.9, 0.2], [0.4, 0.6]], [[0.8, 0.1], [0.7, 0.5]])
    Choice(right=0.5, chosen=0.65, best=0.75, mean=0.525)
    """
    score, truth = np.asarray(scores, float), np.asarray(ious, float)
    chosen = np.take_along_axis(truth, score.argmax(1)[:, None], 1)[:, 0]
    best = truth.max(1)
    numbers = (np.mean(chosen >= best - 0.01), chosen.mean(), best.mean(), truth.mean())
    return Choice(*(round(float(number), 6) for number in numbers))


def report(
    scored: Iterable[tuple[str, float, float]],
    candidates: Iterable[Sequence[tuple[float, float]]],
) -> str:
    """Write Markdown tables about scores.

    Parameters
    ----------
    scored : iterable of (str, float, float)
        Kind of prompt, score, IoU of each mask that a user was given.
    candidates : iterable of sequence of (float, float)
        Score and IoU of the candidates of each click.
    """
    scored, clicks = list(scored), [list(some) for some in candidates]
    lines = ["| masks of | count | error | bias | rank correlation |", "|---|---|---|---|---|"]
    for kind in [*dict.fromkeys(kind for kind, _, _ in scored), "all"] if scored else []:
        pairs = [(score, iou) for name, score, iou in scored if kind in (name, "all")]
        found = calibration(*zip(*pairs, strict=True))
        lines.append(
            f"| {kind} | {len(pairs)} | {found.error:.3f} | {found.bias:+.3f} | {found.rank:.2f} |"
        )
    if scored:
        _, scores, ious = zip(*scored, strict=True)
        lines += ["", "| score | masks | mean score | mean IoU |", "|---|---|---|---|"]
        lines += [
            f"| {one.low:.1f} to {one.high:.1f} | {one.count} | {one.score:.3f} | {one.iou:.3f} |"
            for one in calibration(scores, ious).bins
        ]
    if clicks:
        pick = choice(
            [[score for score, _ in some] for some in clicks],
            [[iou for _, iou in some] for some in clicks],
        )
        told = (
            f"Of the three candidates of {len(clicks)} clicks the one with the best score is the "
            f"best, or within 0.01 of it, in {pick.right:.0%}; mean IoU {pick.chosen:.3f} by "
            f"score, {pick.best:.3f} at best, {pick.mean:.3f} of all."
        )
        lines += ["", told]
    return "\n".join(lines)
