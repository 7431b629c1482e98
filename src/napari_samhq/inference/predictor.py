"""Predictor: embeds images and answers prompts with masks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from napari_samhq.core.display.html import thumbnail
from napari_samhq.core.images.rgb8 import rgb8_and_limits
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.tiles.windows import LARGEST_SHARE
from napari_samhq.errors import ModelError
from napari_samhq.inference._batches import iter_logits, iter_predictions
from napari_samhq.inference._checking import check_embedding, check_logits, cleaned_prompts
from napari_samhq.inference._decoding import Wanted
from napari_samhq.inference._encoding import (
    encode,
    encode_or_halve,
    encoder_precision,
    fingerprint_of,
)
from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.inference.memory import guarding_memory
from napari_samhq.inference.object_maps import ObjectMaps
from napari_samhq.inference.prediction import Prediction, SupportsPrediction
from napari_samhq.model.image_processor import pixel_values, resized_shape
from napari_samhq.model.sam_hq import ImageFeatures, SamHQModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.core.journal.drafts import Output

__all__ = ["ImageEmbedding", "Prediction", "Predictor", "SupportsPrediction"]


class Predictor:
    """Segment objects in images by points, boxes and rough masks.

    The image is looked at once (`embed`, the slow part); then each prompt is answered quickly
    (`predict`). The predictor itself keeps nothing of either, so one may serve many images.

    Parameters
    ----------
    model : LoadedModel or SamHQModel
        What :func:`napari_samhq.load_model` returned, or a bare network. A bare network is set to
        evaluation mode; predictor and network must then agree for as long as embeddings are used,
        so make a new predictor after changing weights.

    Raises
    ------
    ModelError
        If `model` is something else.

    Notes
    -----
    The same call gives the same result, bit by bit, on the same device. Prompts answered together
    (`predict_many`) or alone differ by rounding only (below 1e-4 in trained models); with whom
    they are answered together makes no difference on the CPU.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> predictor = samhq.Predictor(samhq.load_model("micro"))  # doctest: +SKIP
    >>> embedding = predictor.embed(image)  # doctest: +SKIP
    >>> predictor.predict(embedding, points=[[120, 80]]).mask.sum()  # doctest: +SKIP
    1021
    """

    def __init__(self, model: LoadedModel | SamHQModel) -> None:
        network = getattr(model, "network", model)
        if not isinstance(network, SamHQModel):
            raise ModelError(
                f"Predictor got {model!r}; needed is a loaded model. "
                "Pass load_model('micro'), or load_model with another name or path."
            )
        self._network = network
        vision = network.config.vision_config
        self._input_size = int(vision.image_size)
        self._low_res_size = 4 * (self._input_size // vision.patch_size)
        self._name: str
        self._fingerprint: str
        if isinstance(model, SamHQModel):
            network.eval()
            self._name, self._fingerprint = type(model).__name__, fingerprint_of(model)
        else:
            self._name, self._fingerprint = model.info.name, model.fingerprint

    def __repr__(self) -> str:
        return f"Predictor({self._name!r}, {self._input_size} px, on {self.device})"

    @property
    def name(self) -> str:
        """Short name of the model, for people."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Which weights these are, as a hash; embeddings carry it."""
        return self._fingerprint

    @property
    def precision(self) -> str:
        """Number format of the image encoder, as ``"float32"``."""
        return encoder_precision(self._network)

    @property
    def input_size(self) -> int:
        """Side of the square that the model takes, in model pixels."""
        return self._input_size

    @property
    def largest_share(self) -> float:
        """Up to which share of the input's side objects are found best."""
        return self._network.config.largest_share or LARGEST_SHARE

    @property
    def finds_objects(self) -> bool:
        """Whether the model has a dense head, so that it finds objects without prompts."""
        return self._network.dense_head is not None

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._network.device

    def embed(
        self, image: Any, *, contrast_limits: tuple[float, float] | None = None
    ) -> ImageEmbedding:
        """Look at an image once.

        Parameters
        ----------
        image : array_like of shape (H, W) or (H, W, C)
            Any real type. How values become the 8-bit colours that the model knows is told by
            :func:`~napari_samhq.core.images.rgb8.to_rgb8`.
        contrast_limits : tuple of two floats, optional
            Values that become black and white; measured when left out.

        Returns
        -------
        ImageEmbedding
            In float32, on the device of the model.

        Raises
        ------
        ImageError
            If the image cannot be segmented as it is.
        OutOfMemoryError
            If the device has too little memory for the encoder.

        Notes
        -----
        As published: the longest side is resized to the model's input size with Pillow's bilinear
        filter on 8-bit values, normalised by the colour statistics of ImageNet, and padded with
        zeros on the right and at the bottom.
        """
        return self.embed_many([image], contrast_limits=contrast_limits)[0]

    def embed_many(
        self, images: Sequence[Any], *, contrast_limits: tuple[float, float] | None = None
    ) -> list[ImageEmbedding]:
        """Look at several images at once, which on a GPU is faster than one by one.

        Parameters
        ----------
        images : sequence of array_like
            As in `embed`.
        contrast_limits : tuple of two floats, optional
            For all images alike; measured on each when left out.

        Returns
        -------
        list of ImageEmbedding
            In the order of the images. Those of several images differ from those of one by
            rounding only.

        Raises
        ------
        ImageError
            As in `embed`.
        OutOfMemoryError
            If the device has too little memory for one image; of more it takes half at a time.
        """
        shown = [rgb8_and_limits(image, contrast_limits=contrast_limits) for image in images]
        pictures = [pixel_values(rgb8, self._input_size) for rgb8, _ in shown]
        features = encode_or_halve(self._encode, pictures, self.device)
        return [
            ImageEmbedding(
                image_embedding=image_embedding,
                hq_features=hq_features,
                image_shape=(rgb8.shape[0], rgb8.shape[1]),
                input_shape=resized_shape(rgb8.shape[0], rgb8.shape[1], self._input_size),
                input_size=self._input_size,
                model_fingerprint=self._fingerprint,
                contrast_limits=limits,
                thumbnail=thumbnail(rgb8),
            )
            for (rgb8, limits), (image_embedding, hq_features) in zip(shown, features, strict=True)
        ]

    def predict(
        self,
        embedding: ImageEmbedding,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> Prediction:
        """Answer one prompt.

        Parameters
        ----------
        embedding : ImageEmbedding
            Of this model.
        points : array_like of shape (N, 2), optional
            Row, column in image pixels; integers fall on pixel centres.
        point_labels : array_like of shape (N,), optional
            1 on the object, 0 beside it; all 1 when left out.
        box : array_like of shape (4,), optional
            min_row, min_col, max_row, max_col in image pixels.
        mask : array_like, optional
            A rough mask, bool of shape (H, W); or `low_res_logits` of an earlier prediction, of
            shape (h, w) or (1, h, w).
        multimask : bool, optional
            Give three candidates instead of one: useful where one click may mean a part or the
            whole. The first is what the original repository returns.
        hq_only : bool, optional
            The same as ``output="hq"``.
        output : {"sam+hq", "sam", "hq"}, optional
            Which logits make the mask: the sum, as published, SAM's own, or those of the HQ token
            alone. There is one HQ mask for all candidates, so with `multimask` it comes three
            times, with the three scores.
        threshold : float, optional
            Logits above it are object: 0 is the border that the model was trained for, higher
            makes masks smaller, lower makes them larger.

        Returns
        -------
        Prediction
            One mask or three, best first.

        Raises
        ------
        PromptError
            If the prompt says nothing usable, see :meth:`napari_samhq.Prompt.cleaned`.
        ModelError
            If the embedding was made by another model.
        OutOfMemoryError
            If the device has too little memory.
        """
        prompts = [Prompt(points, point_labels, box, mask).cleaned(embedding.image_shape)]
        wanted = Wanted.of(multimask, hq_only, output, threshold)
        ((_, prediction),) = self._answers(embedding, prompts, wanted)
        return prediction

    def predict_many(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> list[Prediction]:
        """Answer many prompts, in batches.

        Parameters
        ----------
        embedding : ImageEmbedding
            Of this model.
        prompts : sequence of Prompt
            One for each object.
        multimask, hq_only, output, threshold
            As in `predict`.

        Returns
        -------
        list of Prediction
            In the order of the prompts. All masks are in memory then, a byte per pixel each; to
            take them one after the other use `iter_predict`.

        Raises
        ------
        PromptError
            If one of the prompts says nothing usable; the message tells which. Nothing is computed.
        ModelError, OutOfMemoryError
            As in `predict`.
        """
        cleaned = cleaned_prompts(prompts, embedding.image_shape)
        wanted = Wanted.of(multimask, hq_only, output, threshold)
        answers = dict(self._answers(embedding, cleaned, wanted))
        return [answers[index] for index in range(len(answers))]

    def iter_predict(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> Iterator[tuple[int, Prediction]]:
        """Answer many prompts, giving each answer as soon as it is there.

        Stop taking answers to cancel. Memory is bounded by a few batches, however many prompts
        come.

        Parameters
        ----------
        embedding : ImageEmbedding
            Of this model.
        prompts : sequence of Prompt
            One for each object.
        multimask, hq_only, output, threshold
            As in `predict`.

        Returns
        -------
        iterator of (int, Prediction)
            Place of the prompt in `prompts`, and its answer; prompts of the same kind follow each
            other, so the order is not that of `prompts`.

        Raises
        ------
        PromptError, ModelError
            At once, before the first answer is asked for.
        OutOfMemoryError
            As in `predict`.
        """
        cleaned = cleaned_prompts(prompts, embedding.image_shape)
        return self._answers(embedding, cleaned, Wanted.of(multimask, hq_only, output, threshold))

    def iter_logits(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        output: Output = "sam+hq",
        least_score: float | None = None,
    ) -> Iterator[tuple[list[int], NDArray[np.float32], NDArray[np.float32]]]:
        """Answer many prompts in batches, without enlarging the masks to the size of the image.

        For callers that look at thousands of answers and keep few of them.

        Parameters
        ----------
        embedding : ImageEmbedding
            Of this model.
        prompts : sequence of Prompt
            One for each object.
        multimask, output : optional
            As in `predict`.
        least_score : float, optional
            Spare the masks, most of the work, of prompts of whose three candidates none has this
            score. Their scores are told, their logits are NaN.

        Yields
        ------
        indices : list of int
            Places in `prompts` of the P prompts of a batch.
        low_res_logits : ndarray of shape (P, M, h, w), float32
            See :class:`Prediction`.
        scores : ndarray of shape (P, M), float32

        Raises
        ------
        PromptError, ModelError, OutOfMemoryError
            As in `iter_predict`.
        """
        cleaned = cleaned_prompts(prompts, embedding.image_shape)
        self._check(embedding, cleaned)
        wanted = replace(Wanted.of(multimask, False, output, 0.0), least_score=least_score)
        yield from iter_logits(self._network, embedding, cleaned, wanted)

    @torch.inference_mode()
    def dense_maps(self, embedding: ImageEmbedding) -> ObjectMaps:
        """Say of each place of an image what all objects are found by, without prompts.

        Parameters
        ----------
        embedding : ImageEmbedding
            Of this model.

        Returns
        -------
        ObjectMaps
            On the part of the low-res logits' grid that shows the image.

        Raises
        ------
        ModelError
            If the model has no dense head (see `finds_objects`), or did not make the embedding.
        OutOfMemoryError
            If the device has too little memory.

        Examples
        --------
        >>> maps = predictor.dense_maps(predictor.embed(image))  # doctest: +SKIP
        >>> maps.foreground.shape  # doctest: +SKIP
        (192, 256)
        """
        self._check(embedding, [])
        features = ImageFeatures(embedding.image_embedding[None], embedding.hq_features[None])
        with guarding_memory("finding objects", self.device):
            maps = [part[0].float().cpu().numpy() for part in self._network.dense_maps(features)]
        height, width = Enlarger(embedding, self._low_res_size).low_res_shape
        foreground, border, middle, direction = (part[..., :height, :width] for part in maps)
        return ObjectMaps(foreground, border, middle, direction, self._low_res_size)

    def _answers(
        self, embedding: ImageEmbedding, prompts: list[Prompt], wanted: Wanted
    ) -> Iterator[tuple[int, Prediction]]:
        """Check what can be checked now; return the generator that does the work."""
        self._check(embedding, prompts)
        return iter_predictions(self._network, embedding, prompts, wanted)

    def _check(self, embedding: ImageEmbedding, prompts: list[Prompt]) -> None:
        check_embedding(embedding, self._fingerprint, self._name)
        check_logits(prompts, self._low_res_size)

    def _encode(self, pictures: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        return encode(self._network, pictures, self._name)
