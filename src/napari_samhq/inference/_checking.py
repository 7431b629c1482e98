"""Checks of prompts and embeddings before a predictor computes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.errors import ModelError, PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_samhq.inference.embedding import ImageEmbedding


def cleaned_prompts(prompts: Sequence[Prompt], image_shape: tuple[int, int]) -> list[Prompt]:
    """Clean all prompts; the error about one of them tells which.

    Raises
    ------
    PromptError
        If one says nothing usable, or is no prompt.
    """
    found = []
    for index, prompt in enumerate(prompts):
        which = f"Prompt {index} of {len(prompts)} (counted from 0)"
        if not isinstance(prompt, Prompt):
            raise PromptError(
                f"{which} is a {type(prompt).__name__}; needed is a Prompt, for example "
                "Prompt(box=(10, 10, 40, 50))."
            )
        try:
            found.append(prompt.cleaned(image_shape))
        except PromptError as error:
            raise PromptError(f"{which}: {error}") from error
    return found


def check_embedding(embedding: ImageEmbedding, fingerprint: str, name: str) -> None:
    """Refuse the embedding of another model.

    Raises
    ------
    ModelError
    """
    if embedding.model_fingerprint != fingerprint:
        raise ModelError(
            "The embedding was made by another model "
            f"({embedding.model_fingerprint[:12]}) than this one ({name}, "
            f"{fingerprint[:12]}). Embed the image again with this model."
        )


def check_logits(prompts: Sequence[Prompt], side: int) -> None:
    """Refuse low-res logits that are not as large as those of the model.

    Raises
    ------
    PromptError
    """
    for prompt in prompts:
        mask = prompt.mask
        if isinstance(mask, np.ndarray) and mask.shape != (side, side):
            raise PromptError(
                f"The mask prompt of floats has the shape {mask.shape}; low-res logits of this "
                f"model are {side} x {side}. For a mask of the image's size pass bool values."
            )
