"""Closing summary of `segment`, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_samhq.cli.console import counted

if TYPE_CHECKING:
    from pathlib import Path

    from napari_samhq.cli.each_image import Outcome
    from napari_samhq.cli.segment_image import Engine

__all__ = ["told_all", "told_one"]


def told_one(summary: dict[str, Any]) -> str:
    """Put the summary of one image into words."""
    height, width = summary["shape"]
    found = f"{counted(summary['count'], 'object')} in {summary['image']} ({height} x {width} px)"
    if summary["skipped"]:
        return f"{found}: done already.\nLabels: {summary['labels']}"
    scores = [row["score"] for row in summary.get("objects", [])]
    seconds = sum(summary["seconds"].values())
    lines = [
        f"{found}, with {summary['model']} on {summary['device']} in {seconds:.1f} s"
        + (f", mean score {sum(scores) / len(scores):.2f}." if scores else ".")
    ]
    if summary.get("without_pixels"):
        which = ", ".join(map(str, summary["without_pixels"][:10]))
        count = counted(len(summary["without_pixels"]), "object")
        lines.append(f"{count} got no pixel: {which}.")
    lines.append(f"Labels: {summary['labels']}")
    return "\n".join(lines)


def told_all(outcome: Outcome, folder: Path, engine: Engine) -> str:
    """Put what came of many images into words."""
    new = [summary for summary in outcome.done if not summary["skipped"]]
    told = []
    if new:
        objects = sum(summary["count"] for summary in new)
        seconds = sum(sum(summary["seconds"].values()) for summary in new)
        told.append(
            f"{counted(objects, 'object')} in {counted(len(new), 'image')}, with {engine.name} on "
            f"{engine.device} in {seconds:.1f} s."
        )
    if len(new) < len(outcome.done):
        told.append(f"Done already: {counted(len(outcome.done) - len(new), 'image')}.")
    empty = sum(bool(summary.get("without_pixels")) for summary in new)
    if empty:
        told.append(f"In {counted(empty, 'image')} objects got no pixel.")
    told.append(f"Labels: {folder}")
    return "\n".join(told)
