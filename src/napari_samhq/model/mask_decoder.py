"""HQ mask decoder (Ke et al., "Segment Anything in High Quality", NeurIPS 2023).

SAM's decoder predicts four masks: one for clear prompts, three for ambiguous ones. SAM-HQ adds an
output token whose mask is read from finer features: the decoder's own, the final image embedding
and the encoder's early features, fused. The latter two do not depend on the prompt; they are the
HQ features, computed once per image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import MLP, LayerNorm2d
from .transformer import TwoWayTransformer

if TYPE_CHECKING:
    from .config import SamHQMaskDecoderConfig
    from .prompt_maps import PromptPictures

__all__ = ["DecodedMasks", "MaskDecoder"]


class DecodedMasks(NamedTuple):
    """What the decoder says about P prompts.

    Attributes
    ----------
    sam_logits : Tensor of shape (P, 4, 4h, 4w)
        SAM's masks; the first for clear prompts, the other three are candidates for ambiguous ones.
    hq_logits : Tensor of shape (P, 1, 4h, 4w)
        The HQ correction, to be added to a SAM mask or used alone.
    scores : Tensor of shape (P, 4)
        Predicted IoU of the four SAM masks.
    """

    sam_logits: Tensor
    hq_logits: Tensor
    scores: Tensor


class MaskDecoder(nn.Module):
    """Decode masks from an image embedding, HQ features and encoded prompts."""

    def __init__(self, config: SamHQMaskDecoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        masks = config.num_multimask_outputs + 1
        fine, finest = width // 4, width // 8
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(masks, width)
        self.transformer = TwoWayTransformer(config)
        self.upscale_conv1 = nn.ConvTranspose2d(width, fine, 2, stride=2)
        self.upscale_layer_norm = LayerNorm2d(fine)
        self.upscale_conv2 = nn.ConvTranspose2d(fine, finest, 2, stride=2)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, finest) for _ in range(masks)
        )
        self.iou_prediction_head = MLP(
            width, config.iou_head_hidden_dim, masks, config.iou_head_depth
        )

        self.hq_token = nn.Embedding(1, width)
        self.hq_mask_mlp = MLP(width, width, finest)
        self.compress_vit_conv1 = nn.ConvTranspose2d(config.vit_dim, width, 2, stride=2)
        self.compress_vit_norm = LayerNorm2d(width)
        self.compress_vit_conv2 = nn.ConvTranspose2d(width, finest, 2, stride=2)
        self.encoder_conv1 = nn.ConvTranspose2d(width, fine, 2, stride=2)
        self.encoder_norm = LayerNorm2d(fine)
        self.encoder_conv2 = nn.ConvTranspose2d(fine, finest, 2, stride=2)
        self.mask_conv1 = nn.Conv2d(finest, fine, 3, padding=1)
        self.mask_norm = LayerNorm2d(fine)
        self.mask_conv2 = nn.Conv2d(fine, finest, 3, padding=1)
        self.join_hq: nn.Conv2d | None = None
        if config.join_hq:
            self.join_hq = nn.Conv2d(finest, finest, 1)
            for parameter in self.join_hq.parameters():
                nn.init.zeros_(parameter)

    def hq_features(self, image_embedding: Tensor, early_features: Tensor) -> Tensor:
        """Fuse (B, C, h, w) and (B, h, w, E) to the HQ features (B, C / 8, 4h, 4w)."""
        early = self.compress_vit_conv1(early_features.permute(0, 3, 1, 2))
        early = self.compress_vit_conv2(F.gelu(self.compress_vit_norm(early)))
        final = self.encoder_conv1(image_embedding)
        final = self.encoder_conv2(F.gelu(self.encoder_norm(final)))
        out: Tensor = early + final
        return out

    def forward(
        self,
        image_embedding: Tensor,
        hq_features: Tensor,
        image_places: Tensor,
        sparse: Tensor | None,
        dense: Tensor,
        pictures: PromptPictures | None = None,
    ) -> DecodedMasks:
        """Decode P prompts on B images; P is a multiple of B, each image's prompts side by side.

        Parameters
        ----------
        image_embedding : Tensor of shape (B, C, h, w)
        hq_features : Tensor of shape (B, C / 8, 4h, 4w)
        image_places : Tensor of shape (1 or P, C, h, w)
        sparse : Tensor of shape (P, N, C) or None
            Tokens of points and boxes; None for prompts of masks alone, or of nothing.
        dense : Tensor of shape (1 or P, C, h, w)
        pictures : PromptPictures, optional
            Of the P prompts, in models with prompt maps.
        """
        if pictures is not None:
            dense = dense + pictures.coarse
        prompts = max(len(image_embedding), len(dense)) if sparse is None else len(sparse)
        per_image = prompts // len(image_embedding)
        image = _for_each_prompt(image_embedding, per_image) + dense
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight, self.hq_token.weight])
        tokens = tokens.expand(prompts, -1, -1)
        if sparse is not None:
            tokens = torch.cat([tokens, sparse], dim=1)
        tokens, image = self.transformer(tokens, image, image_places)

        upscaled = F.gelu(self.upscale_layer_norm(self.upscale_conv1(image)))
        upscaled = self.upscale_conv2(upscaled)
        upscaled = F.gelu(upscaled if pictures is None else upscaled + pictures.fine)
        joint = upscaled
        if self.join_hq is not None:
            joint = joint + _for_each_prompt(self.join_hq(hq_features), per_image)
        refined = self.mask_conv2(F.gelu(self.mask_norm(self.mask_conv1(joint))))
        refined = refined + _for_each_prompt(hq_features, per_image)

        heads = self.output_hypernetworks_mlps
        vectors = torch.stack([head(tokens[:, 1 + i]) for i, head in enumerate(heads)], dim=1)
        hq_vector = self.hq_mask_mlp(tokens[:, 1 + len(heads)])[:, None]
        return DecodedMasks(
            sam_logits=torch.einsum("pmc,pchw->pmhw", vectors, upscaled),
            hq_logits=torch.einsum("pmc,pchw->pmhw", hq_vector, refined),
            scores=self.iou_prediction_head(tokens[:, 0]),
        )


def _for_each_prompt(features: Tensor, per_image: int) -> Tensor:
    """Repeat features (B, ...) to (P, ...), without a copy where there is nothing to repeat."""
    return features if per_image == 1 else features.repeat_interleave(per_image, dim=0)
