"""Command that prints the numbers of the model card.

``python -m napari_samhq.training.evaluate --data DIR --weights DIR [--windows N] [--source NAME]``

Boxes, clicks and corrections on held-out images, beside Otsu's threshold, and how far scores
foretell them. Prompts go through the public predictor, so the numbers are what users get.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.training.micro.manifest import read_manifest, split_by_group
from napari_samhq.training.micro.model_card import (
    chosen_records,
    evaluate_records,
    scores_report,
    summary,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate weights on the held-out images; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog="napari_samhq.training.evaluate", description="Numbers of the model card."
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder with MANIFEST.tsv")
    parser.add_argument(
        "--weights", type=Path, required=True, help="folder with config.json and model.safetensors"
    )
    parser.add_argument("--objects", type=int, default=20, help="objects per image at most")
    parser.add_argument("--images", type=int, default=None, help="images per look at most")
    parser.add_argument("--source", nargs="+", default=None, help="these sources only")
    parser.add_argument("--corrections", type=int, default=5)
    parser.add_argument(
        "--windows",
        type=int,
        default=0,
        help="objects per image that are also prompted in a window",
    )
    parser.add_argument(
        "--window-share", type=float, default=0.25, help="of a window's side that the object spans"
    )
    parser.add_argument(
        "--hints",
        type=float,
        nargs="*",
        default=(),
        metavar="IOU",
        help="also give masks of this IoU with the object, beside its box",
    )
    parser.add_argument("--out", type=Path, default=None, help="JSON lines with one object each")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.model.sam_hq import SamHQModel

    predictor = Predictor(SamHQModel.from_pretrained(options.weights))
    _, validation = split_by_group(read_manifest(options.data))
    results = evaluate_records(
        predictor,
        chosen_records(validation, options.images, options.source),
        most=options.objects,
        corrections=options.corrections,
        windows=options.windows,
        share=options.window_share,
        hints=options.hints,
    )
    if options.out:
        options.out.write_text(
            "".join(json.dumps(vars(r)) + "\n" for r in results), encoding="utf-8"
        )
    sys.stdout.write(table(summary(results)) + "\n\n" + scores_report(results) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
