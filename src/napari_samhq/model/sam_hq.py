"""SAM-HQ as a whole, with the call signatures of the published Hugging Face-style models.

Two ways to use `SamHQModel`: `encode_image` and `decode` are the plain halves that the predictor
calls; `forward` keeps the published signature on top of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModelError, PromptError
from .config import EncoderConfig, SamHQConfig
from .dense_head import DenseHead, DenseMaps
from .image_encoder import build_encoder
from .mask_decoder import DecodedMasks, MaskDecoder
from .outputs import EncoderOutput, SamHQImageSegmentationOutput, SamHQVisionOutput
from .pretrained import Pretrained
from .prompt_encoder import PositionalEmbedding, PromptEncoder

__all__ = ["ImageFeatures", "SamHQModel", "SamHQVisionModel"]


class ImageFeatures(NamedTuple):
    """All that prompts need of an image.

    Attributes
    ----------
    image_embedding : Tensor of shape (B, C, h, w)
    hq_features : Tensor of shape (B, C / 8, 4h, 4w)
    """

    image_embedding: Tensor
    hq_features: Tensor


class SamHQVisionModel(Pretrained):
    """The image encoder alone.

    Examples
    --------
    >>> from napari_samhq.model import SamHQVisionConfig
    >>> small = SamHQVisionConfig(
    ...     hidden_size=24,
    ...     num_hidden_layers=2,
    ...     num_attention_heads=2,
    ...     image_size=64,
    ...     output_channels=16,
    ...     global_attn_indexes=[1],
    ... )
    >>> SamHQVisionModel(small)(torch.zeros(1, 3, 64, 64)).last_hidden_state.shape
    torch.Size([1, 16, 4, 4])
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = build_encoder(config)

    def forward(self, pixel_values: Tensor) -> SamHQVisionOutput:
        """Encode (B, 3, S, S)."""
        output: EncoderOutput = self.vision_encoder(pixel_values)
        return SamHQVisionOutput(output.image_embedding, output.intermediate)

    @classmethod
    def _config_from(cls, config: SamHQConfig) -> EncoderConfig:
        return config.vision_config

    @classmethod
    def _select(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: t for name, t in tensors.items() if name.startswith("vision_encoder.")}

    def _whole_config(self) -> SamHQConfig:
        return SamHQConfig(vision_config=self.config)


class SamHQModel(Pretrained):
    """SAM-HQ: image encoder, prompt encoder and HQ mask decoder.

    Parameters
    ----------
    config : SamHQConfig

    Examples
    --------
    >>> model = SamHQModel.from_pretrained("syscv-community/sam-hq-vit-base")  # doctest: +SKIP
    """

    def __init__(self, config: SamHQConfig) -> None:
        super().__init__()
        self.config = config
        vision = config.vision_config
        self.shared_image_embedding = PositionalEmbedding(vision.num_pos_feats)
        self.vision_encoder = build_encoder(vision)
        self.prompt_encoder = PromptEncoder(
            config.prompt_encoder_config, self.shared_image_embedding
        )
        self.mask_decoder = MaskDecoder(config.mask_decoder_config)
        head = config.dense_head_config
        self.dense_head = None if head is None else DenseHead(head, vision.output_channels)

    # The two halves ----------------------------------------------------------------------

    def encode_image(self, pixel_values: Tensor) -> ImageFeatures:
        """Compute all that does not depend on a prompt.

        Parameters
        ----------
        pixel_values : Tensor of shape (B, 3, S, S)
            Normalised and padded, see `SamHQProcessor`. The convolutional encoder also takes
            crops of other sizes.

        Returns
        -------
        ImageFeatures
        """
        output: EncoderOutput = self.vision_encoder(pixel_values)
        return self._features(output.image_embedding, output.intermediate)

    def decode(
        self,
        features: ImageFeatures,
        *,
        points_xy: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes_xy: Tensor | None = None,
        mask_logits: Tensor | None = None,
        origin_xy: Tensor | None = None,
        least_score: float | None = None,
    ) -> DecodedMasks:
        """Predict the masks of P prompts on B images.

        P is a multiple of B; the prompts of one image stand side by side.

        Parameters
        ----------
        features : ImageFeatures
        points_xy : Tensor of shape (P, N, 2), optional
            Model pixels.
        point_labels : Tensor of shape (P, N), optional
            1 foreground, 0 background, -1 padding; all 1 when left out.
        boxes_xy : Tensor of shape (P, 4) or (P, K, 4), optional
            x0, y0, x1, y1 in model pixels.
        mask_logits : Tensor of shape (P, 1, 4h, 4w), optional
            Low-res logits of an earlier prediction.
        origin_xy : Tensor of shape (P, 2), optional
            Where in the model's frame the features begin, for crops.
        least_score : float, optional
            Spare the logits of prompts of whose three candidates none has this score; they are NaN.

        Returns
        -------
        DecodedMasks
        """
        encoder = self.prompt_encoder
        sparse = []
        if points_xy is not None:
            if point_labels is None:
                point_labels = torch.ones_like(points_xy[..., 0], dtype=torch.long)
            sparse.append(encoder.points(points_xy, point_labels, pad=boxes_xy is None))
        if boxes_xy is not None:
            boxes_xy = boxes_xy[:, None] if boxes_xy.ndim == 2 else boxes_xy
            sparse.append(encoder.boxes(boxes_xy))
        height, width = features.image_embedding.shape[2:]
        size = (height, width)
        decoded: DecodedMasks = self.mask_decoder(
            features.image_embedding,
            features.hq_features,
            encoder.image_positions(size, origin_xy),
            torch.cat(sparse, dim=1) if sparse else None,
            encoder.dense(mask_logits, size),
            encoder.pictures(points_xy, point_labels, boxes_xy, size, origin_xy),
            least_score,
        )
        return decoded

    def dense_maps(self, features: ImageFeatures) -> DenseMaps:
        """Predict what all objects of B images are found by, without prompts.

        Raises
        ------
        ModelError
            The model has no dense head.
        """
        if self.dense_head is None:
            raise ModelError(
                "This model has no dense head, so it finds objects by prompts only. Use "
                "method='points', or another model to find them (find='micro')."
            )
        maps: DenseMaps = self.dense_head(*features)
        return maps

    # Published signatures ------------------------------------------------------------------

    def get_image_embeddings(self, pixel_values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the image embedding (B, C, h, w) and the list of intermediate embeddings."""
        output: EncoderOutput = self.vision_encoder(pixel_values)
        return output.image_embedding, output.intermediate

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Return the positional codes of the image's places (1, C, h, w)."""
        side = self.config.prompt_encoder_config.image_embedding_size
        return self.prompt_encoder.image_positions((side, side))

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        multimask_output: bool = True,
        hq_token_only: bool = False,
        intermediate_embeddings: list[Tensor] | None = None,
        return_dict: bool = True,
        **_unused: Any,
    ) -> SamHQImageSegmentationOutput | tuple[Any, ...]:
        """Predict masks with the signature of the published models.

        Parameters
        ----------
        pixel_values : Tensor of shape (B, 3, S, S), optional
            Or give `image_embeddings` and `intermediate_embeddings`.
        input_points : Tensor of shape (B, P, N, 2), optional
            x, y in model pixels, for P objects of each image.
        input_labels : Tensor of shape (B, P, N), optional
            1 foreground, 0 background, -1 padding point, -10 filler.
        input_boxes : Tensor of shape (B, P, 4), optional
        input_masks : Tensor of shape (B, 1 or P, 4h, 4w), optional
            Low-res logits: one mask for all objects of an image, or one for each.
        multimask_output : bool
            Three masks sorted by score, or one.
        hq_token_only : bool
            The HQ mask alone instead of its sum with SAM's.

        Returns
        -------
        SamHQImageSegmentationOutput

        Raises
        ------
        PromptError
            If shapes do not fit together, or no image is given.
        """
        self._check(pixel_values, image_embeddings, input_points, input_boxes)
        if pixel_values is not None:
            image_embeddings, intermediate_embeddings = self.get_image_embeddings(pixel_values)
        if image_embeddings is None or intermediate_embeddings is None:
            raise PromptError(
                "image_embeddings need the intermediate_embeddings that were computed with them; "
                "pass both from get_image_embeddings, or pass pixel_values."
            )
        features = self._features(image_embeddings, intermediate_embeddings)
        batch = len(image_embeddings)
        objects = next((x.shape[1] for x in (input_points, input_boxes) if x is not None), 1)
        if input_masks is not None:
            size = input_masks.shape[-2:]
            input_masks = input_masks.expand(batch, objects, *size).reshape(-1, 1, *size)
        decoded = self.decode(
            features,
            points_xy=None if input_points is None else input_points.flatten(0, 1),
            point_labels=None if input_labels is None else input_labels.flatten(0, 1),
            boxes_xy=None if input_boxes is None else input_boxes.flatten(0, 1),
            mask_logits=None if input_masks is None else input_masks.to(image_embeddings.dtype),
        )
        masks, scores = _choose(decoded, multimask=multimask_output, hq_only=hq_token_only)
        output = SamHQImageSegmentationOutput(
            iou_scores=scores.unflatten(0, (batch, objects)),
            pred_masks=masks.unflatten(0, (batch, objects)),
        )
        return output if return_dict else output.to_tuple()

    def _features(self, image_embedding: Tensor, intermediate: list[Tensor]) -> ImageFeatures:
        # The encoder may run in half precision; what follows is small and stays in its own.
        dtype = self.mask_decoder.mask_tokens.weight.dtype
        image_embedding, early = image_embedding.to(dtype), intermediate[0].to(dtype)
        fused = self.mask_decoder.hq_features(image_embedding, early)
        return ImageFeatures(image_embedding, fused)

    @staticmethod
    def _check(
        pixel_values: Tensor | None,
        image_embeddings: Tensor | None,
        points: Tensor | None,
        boxes: Tensor | None,
    ) -> None:
        if (pixel_values is None) == (image_embeddings is None):
            raise PromptError("Pass either pixel_values or image_embeddings, exactly one of them.")
        if points is not None and (points.ndim != 4 or points.shape[-1] != 2):
            raise PromptError(
                f"input_points have shape {tuple(points.shape)}; needed is (images, objects, "
                "points, 2) with x, y."
            )
        if boxes is not None and (boxes.ndim != 3 or boxes.shape[-1] != 4):
            raise PromptError(
                f"input_boxes have shape {tuple(boxes.shape)}; needed is (images, objects, 4)."
            )
        if points is not None and boxes is not None and points.shape[1] != boxes.shape[1]:
            raise PromptError(
                f"{points.shape[1]} objects have points but {boxes.shape[1]} have boxes; give as "
                "many of the one as of the other."
            )
        image = pixel_values if pixel_values is not None else image_embeddings
        for name, prompts in (("input_points", points), ("input_boxes", boxes)):
            if image is not None and prompts is not None and len(prompts) != len(image):
                raise PromptError(
                    f"{name} are for {len(prompts)} images, but {len(image)} images were given."
                )


def _choose(decoded: DecodedMasks, *, multimask: bool, hq_only: bool) -> tuple[Tensor, Tensor]:
    """Combine SAM's and the HQ mask as the published models do: masks (P, M, ...), scores."""
    if multimask:
        scores, order = decoded.scores[:, 1:].sort(dim=1, descending=True)
        rows = torch.arange(len(order), device=order.device)[:, None]
        sam = decoded.sam_logits[:, 1:][rows, order]
    else:
        scores, sam = decoded.scores[:, :1], decoded.sam_logits[:, :1]
    return decoded.hq_logits if hq_only else sam + decoded.hq_logits, scores
