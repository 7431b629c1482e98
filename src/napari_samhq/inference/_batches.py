"""Batches of prompts: decoded together, side by side, or in halves when memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch

from napari_samhq.inference._decoding import (
    Wanted,
    chosen_masks,
    clicks_of,
    decode,
    disagreements,
    enlarged,
)
from napari_samhq.inference._side_by_side import side_by_side
from napari_samhq.inference.clicks import obey_clicks
from napari_samhq.inference.memory import (
    free_memory,
    guarding_memory,
    is_out_of_memory,
    out_of_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.model.sam_hq import SamHQModel

R = TypeVar("R")

# Measured on the CPU for ViT and micro: the decoder's peak for each prompt of a batch is 8 to 10.5
# times what it reads of the image.
_COPIES_PER_PROMPT = 11
# On the CPU prompts are answered one by one, unless they are small: what several need at once
# leaves the cache, and takes 1.5 times as long.
_BATCH_BYTES = {"cpu": 2**25}
_BATCH_BYTES_ELSEWHERE = 2**32
_LONGEST_CHUNK = 64


class Answers(NamedTuple):
    """What the decoder says to P prompts: their places, logits (P, M, h, w), and two (P, M)."""

    indices: list[int]
    logits: Tensor
    scores: Tensor
    disagreement: Tensor


def iter_predictions(
    network: SamHQModel, embedding: ImageEmbedding, prompts: Sequence[Prompt], wanted: Wanted
) -> Iterator[tuple[int, Prediction]]:
    """Answer prompts with masks of the image's size: (place of the prompt, prediction)."""

    def predictions(answers: Answers) -> list[tuple[int, Prediction]]:
        return [
            (index, enlarged(embedding, logits, scores, changed, wanted.threshold))
            for index, logits, scores, changed in zip(*answers, strict=True)
        ]

    for some in answer_batches(network, embedding, prompts, wanted, predictions):
        yield from some


def iter_logits(
    network: SamHQModel, embedding: ImageEmbedding, prompts: Sequence[Prompt], wanted: Wanted
) -> Iterator[tuple[list[int], NDArray[np.float32], NDArray[np.float32]]]:
    """Answer prompts with low-res logits: (places of a batch's prompts, logits, scores)."""
    yield from answer_batches(
        network,
        embedding,
        prompts,
        wanted,
        lambda answers: (
            answers.indices,
            answers.logits.cpu().numpy(),
            answers.scores.cpu().numpy(),
        ),
    )


def answer_batches(
    network: SamHQModel,
    embedding: ImageEmbedding,
    prompts: Sequence[Prompt],
    wanted: Wanted,
    finish: Callable[[Answers], R],
) -> Iterator[R]:
    """Answer prompts, batch by batch; on a processor several batches at a time.

    Parameters
    ----------
    network : SamHQModel
    embedding : ImageEmbedding
    prompts : sequence of Prompt
        Cleaned.
    wanted : Wanted
    finish : callable
        What is made of a batch's answers, where they were made: in another thread perhaps.

    Yields
    ------
    result of `finish`
    """
    device = embedding.image_embedding.device
    longest = chunk_length(embedding, device)

    def answered(indices: list[int]) -> R:
        batch = [prompts[i] for i in indices]
        if len(batch) == 1 < min(len(prompts), longest):
            batch *= 2  # alone it would be rounded otherwise than with others
        parts = _decode_or_halve(network, embedding, batch, wanted)
        return finish(Answers(indices, *(part[: len(indices)] for part in parts)))

    batches = grouped(prompts, longest)
    alone = len(prompts) == 1 or device.type != "cpu"
    yield from map(answered, batches) if alone else side_by_side(answered, batches)


def grouped(prompts: Sequence[Prompt], longest: int) -> Iterator[list[int]]:
    """Divide prompts into batches that the decoder can take at once.

    Points without a box get a padding point and others do not, so prompts are not padded to the
    same length, which would change their answers; they are grouped by kind instead.

    Parameters
    ----------
    prompts : sequence of Prompt
        Cleaned.
    longest : int
        Most prompts in a batch.

    Yields
    ------
    list of int
        Places of prompts of one kind.
    """
    kinds: dict[tuple[int, bool, bool], list[int]] = {}
    for index, prompt in enumerate(prompts):
        count = 0 if prompt.points is None else len(prompt.points)
        kind = (count, prompt.box is not None, prompt.mask is not None)
        kinds.setdefault(kind, []).append(index)
    for indices in kinds.values():
        for start in range(0, len(indices), longest):
            yield indices[start : start + longest]


def chunk_length(embedding: ImageEmbedding, device: torch.device) -> int:
    """Tell how many prompts may be decoded at once within the memory set aside for it."""
    budget = _BATCH_BYTES.get(device.type, _BATCH_BYTES_ELSEWHERE)
    return int(np.clip(budget // (_COPIES_PER_PROMPT * embedding.nbytes), 1, _LONGEST_CHUNK))


def _decode_or_halve(
    network: SamHQModel, embedding: ImageEmbedding, prompts: list[Prompt], wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor]:
    device = embedding.image_embedding.device
    try:
        return _decode(network, embedding, prompts, wanted)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(prompts) == 1:
            raise out_of_memory("answering a prompt", device) from error
    free_memory(device)
    half = (len(prompts) + 1) // 2
    with guarding_memory(f"answering {half} prompts", device):
        halves = (prompts[:half], prompts[half:])
        parts = [_decode(network, embedding, part, wanted) for part in halves]
    logits, scores, changed = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(scores), torch.cat(changed)


@torch.inference_mode()
def _decode(
    network: SamHQModel, embedding: ImageEmbedding, prompts: list[Prompt], wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor]:
    low_res_size = embedding.hq_features.shape[-1]
    decoded = decode(network, embedding, prompts, low_res_size, wanted.least_score)
    logits, scores = chosen_masks(decoded, multimask=wanted.multimask, output=wanted.output)
    if network.config.obey_clicks and prompts[0].points is not None:
        points, labels = clicks_of(prompts, embedding)
        stride = embedding.input_size / low_res_size
        logits = obey_clicks(logits, points, labels, stride, wanted.threshold)
    return logits, scores, disagreements(decoded, embedding, wanted)
