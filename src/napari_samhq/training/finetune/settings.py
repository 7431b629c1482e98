"""Settings of fine-tuning. Imports no torch."""

from __future__ import annotations

from typing import Literal

from napari_samhq.settings import Settings, checked, setting

__all__ = ["TuningSettings"]


@checked
class TuningSettings(Settings):
    """How a model is fine-tuned.

    Raises
    ------
    SettingsError
        If a value is out of its range.

    Examples
    --------
    >>> TuningSettings(steps=100).parts
    'hq'
    """

    parts: Literal["hq", "decoder", "encoder"] = setting(
        "hq",
        "What learns",
        "'hq': what SAM-HQ adds to SAM, some hundredths of the weights or less; 'decoder': all "
        "that makes masks, for many objects of another kind; 'encoder': the decoder, and low-rank "
        "additions (LoRA) to what looks at the image, which takes a GPU where the model is large.",
    )
    prompts: Literal["both", "boxes", "clicks"] = setting(
        "both", "Prompts", "Which prompts the model learns to answer, and is measured with."
    )
    steps: int = setting(300, "Steps", "How often the weights are changed, at most.", low=1)
    minutes: float = setting(
        5.0, "Minutes", "How long it learns at most; 0 for as long as the steps take.", low=0
    )
    batch: int = setting(4, "Objects in a step", "How many objects a step looks at.", low=1)
    learning_rate: float = setting(
        1e-3, "Learning rate", "How far a step goes, at the beginning.", low=0
    )
    rank: int = setting(
        4, "Rank", "Of the additions to the encoder, where it learns: how much they can say.", low=1
    )
    views: int = setting(
        4,
        "Views of an image",
        "Each image is also learned from turned and mirrored: in so many ways, itself included.",
        low=1,
        high=8,
    )
    validation: float = setting(
        0.25,
        "Held-out share",
        "Share of the images, or of the objects where there is one image, that it does not learn "
        "from, but is measured on.",
        low=0.01,
        high=0.9,
    )
    check_every: int = setting(
        20, "Steps between checks", "How often it is measured on what was held out.", low=1
    )
    patience: int = setting(
        5, "Patience", "After so many checks without a better one it stops.", low=1
    )
    smallest_px: int = setting(
        16, "Smallest area", "Objects with fewer pixels are not learned from.", low=1
    )
    seed: int = setting(0, "Seed", "The same seed gives the same model on the same machine.", low=0)
