"""Conversion of prompts to the decoder's tensors, and of its outputs to predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from napari_samhq.core.geometry.frames import rc_to_model_xy
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.measure.uncertainty import Doubt, uncertainty_of
from napari_samhq.errors import PromptError
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.inference.memory import guarding_memory
from napari_samhq.inference.prediction import Prediction
from napari_samhq.model.image_processor import (
    MASK_PROMPT_LOGIT,
    MASK_THRESHOLD,
    upscale_logits,
)
from napari_samhq.model.sam_hq import ImageFeatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.model.mask_decoder import DecodedMasks
    from napari_samhq.model.sam_hq import SamHQModel


@dataclass(frozen=True)
class Wanted:
    """How prompts are to be answered: candidates, which logits make the mask, and from where on.

    With `least_score`, prompts none of whose three candidates has it need no masks.
    """

    multimask: bool
    output: Output
    threshold: float
    least_score: float | None = None

    @classmethod
    def of(cls, multimask: bool, hq_only: bool, output: Output, threshold: float) -> Wanted:
        """Check what the caller asked for."""
        if output not in ("sam+hq", "sam", "hq"):
            raise PromptError(
                f"output={output!r} is not known. Choose 'sam+hq' (as published), 'sam' or 'hq'."
            )
        if not np.isfinite(threshold):
            raise PromptError(f"threshold={threshold} is no finite number; 0 is the model's own.")
        return cls(multimask, "hq" if hq_only else output, float(threshold))


def decode(
    network: SamHQModel,
    embedding: ImageEmbedding,
    prompts: Sequence[Prompt],
    low_res_size: int,
    least_score: float | None = None,
) -> DecodedMasks:
    """Run the decoder on prompts of one kind.

    Parameters
    ----------
    network : SamHQModel
    embedding : ImageEmbedding
    prompts : sequence of P Prompt
        Cleaned, and alike: as many points each, all or none with a box, all or none with a mask.
    low_res_size : int
        Side of the low-res logits.
    least_score : float, optional
        As in `SamHQModel.decode`.

    Returns
    -------
    DecodedMasks
    """
    device = embedding.image_embedding.device
    first = prompts[0]
    points = labels = boxes = masks = None
    if first.points is not None:
        points, labels = clicks_of(prompts, embedding)
    if first.box is not None:
        boxes = _coordinates([p.box for p in prompts], embedding)
    if first.mask is not None:
        logits = [
            low_res_mask_logits(p.mask, embedding, low_res_size)
            for p in prompts
            if p.mask is not None
        ]
        masks = torch.stack(logits)[:, None].to(device)
    features = ImageFeatures(embedding.image_embedding[None], embedding.hq_features[None])
    return network.decode(
        features,
        points_xy=points,
        point_labels=labels,
        boxes_xy=boxes,
        mask_logits=masks,
        least_score=least_score,
    )


def clicks_of(prompts: Sequence[Prompt], embedding: ImageEmbedding) -> tuple[Tensor, Tensor]:
    """Stack the points (P, N, 2) of prompts that have as many each, in model pixels (x, y), and
    their labels (P, N).
    """
    labels = torch.as_tensor(np.array([p.point_labels for p in prompts]))
    points = _coordinates([p.points for p in prompts], embedding)
    return points, labels.to(points.device)


def _coordinates(values_rc: Sequence[Any], embedding: ImageEmbedding) -> Tensor:
    """Stack points or boxes of several prompts, in the frame of the model's input."""
    values_xy = rc_to_model_xy(
        np.array(values_rc), embedding.image_shape, embedding.input_shape
    ).astype(np.float32)  # before they move: MPS knows no float64
    return torch.from_numpy(values_xy).to(embedding.image_embedding.device)


def low_res_mask_logits(
    mask: NDArray[np.bool_] | NDArray[np.float32] | CroppedMask,
    embedding: ImageEmbedding,
    low_res_size: int,
) -> Tensor:
    """Bring a mask prompt into the frame of the low-res logits.

    Parameters
    ----------
    mask : CroppedMask or ndarray
        Of the image, cropped or bool of its shape (H, W); or low-res logits (h, w), which stay as
        they are.
    embedding : ImageEmbedding
    low_res_size : int
        Side of the low-res logits.

    Returns
    -------
    Tensor of shape (h, w), float32
        For a bool mask +10 where it covers a low-res pixel, -10 where it does not, in proportion
        between; -10 in the padding.
    """
    if isinstance(mask, CroppedMask):
        mask = mask.within(embedding.image_shape)
    if mask.dtype != np.bool_:
        return torch.from_numpy(mask.copy())
    height, width = embedding.input_shape
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
    coverage = torch.from_numpy(resized.astype(np.float32) / 255)
    padding = (0, embedding.input_size - width, 0, embedding.input_size - height)
    padded = F.pad(coverage, padding)[None]
    pooled = F.avg_pool2d(padded, embedding.input_size // low_res_size)[0]
    return (2 * pooled - 1) * MASK_PROMPT_LOGIT


def chosen_masks(
    decoded: DecodedMasks, *, multimask: bool, output: Output
) -> tuple[Tensor, Tensor]:
    """Choose among the decoder's masks, and combine SAM's and the HQ token's.

    Parameters
    ----------
    decoded : DecodedMasks
        Of P prompts.
    multimask : bool
        The three candidates for ambiguous prompts, best first, instead of the first mask.
    output : {"sam+hq", "sam", "hq"}
        Which logits; the HQ mask alone comes as often as there are candidates.

    Returns
    -------
    logits : Tensor of shape (P, M, h, w)
    scores : Tensor of shape (P, M)
    """
    if multimask:
        scores, order = decoded.scores[:, 1:].sort(dim=1, descending=True, stable=True)
        rows = torch.arange(len(order), device=order.device)[:, None]
        sam = decoded.sam_logits[:, 1:][rows, order]
    else:
        scores, sam = decoded.scores[:, :1], decoded.sam_logits[:, :1]
    if output == "sam":
        return sam, scores
    return (decoded.hq_logits.expand_as(sam) if output == "hq" else sam + decoded.hq_logits), scores


def disagreements(decoded: DecodedMasks, embedding: ImageEmbedding, wanted: Wanted) -> Tensor:
    """Measure what the HQ token changes (`core.measure.uncertainty.Doubt`); (P, M)."""
    sam, _ = chosen_masks(decoded, multimask=wanted.multimask, output="sam")
    rows, cols = _without_padding(embedding, sam.shape[-1])
    before = sam[..., rows, cols] > wanted.threshold
    after = (sam + decoded.hq_logits)[..., rows, cols] > wanted.threshold
    common = (before & after).sum(dim=(-2, -1))
    return 1 - common / (before | after).sum(dim=(-2, -1)).clamp(min=1)


def _without_padding(embedding: ImageEmbedding, side: int) -> tuple[slice, slice]:
    """Find the part of low-res logits that lies over the image."""
    height, width = (-(-n * side // embedding.input_size) for n in embedding.input_shape)
    return slice(height), slice(width)


def _doubts(
    embedding: ImageEmbedding, logits: NDArray[np.float32], disagreement: Tensor, threshold: float
) -> tuple[Doubt, ...]:
    side = logits.shape[-1]
    rows, cols = _without_padding(embedding, side)
    px = max(embedding.image_shape) / max(embedding.input_shape) * embedding.input_size / side
    return tuple(
        Doubt(changed, uncertainty_of(one[rows, cols], threshold, px))
        for changed, one in zip(disagreement.tolist(), logits, strict=True)
    )


@torch.inference_mode()
def enlarged(
    embedding: ImageEmbedding,
    logits: Tensor,
    scores: Tensor,
    disagreement: Tensor,
    threshold: float = MASK_THRESHOLD,
) -> Prediction:
    """Bring the answer to one prompt to the image's size.

    Parameters
    ----------
    embedding : ImageEmbedding
    logits : Tensor of shape (M, h, w)
        Low-res logits, best first.
    scores, disagreement : Tensor of shape (M,)
    threshold : float
        Logits above it are object.

    Returns
    -------
    Prediction
        Over the whole image.
    """
    shape = embedding.image_shape
    low_res_logits = logits.cpu().numpy().copy()
    masks = np.zeros((len(logits), *shape), dtype=np.bool_)
    with guarding_memory("enlarging a mask", logits.device):
        if logits.device.type == "cpu":
            enlarger = Enlarger(embedding, logits.shape[-1])
            height, width = enlarger.low_res_shape
            for mask, low_res in zip(masks, low_res_logits, strict=True):
                enlarger.draw(low_res[:height, :width], mask, threshold)
        else:  # all of it there takes less time than a small part of it here
            for mask, low_res in zip(masks, logits, strict=True):  # one at a time, for memory
                full = upscale_logits(
                    low_res[None], embedding.input_shape, shape, embedding.input_size
                )
                mask[:] = (full[0] > threshold).cpu().numpy()
    region = slice(0, shape[0]), slice(0, shape[1])
    return Prediction(
        masks=masks,
        scores=scores.cpu().numpy(),
        low_res_logits=low_res_logits,
        best=0,
        doubts=_doubts(embedding, low_res_logits, disagreement, threshold),
        region=region,
        seen_in=None if embedding.thumbnail is None else (embedding.thumbnail, region),
    )
