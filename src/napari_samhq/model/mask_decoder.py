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
    from collections.abc import Iterable, Iterator

    from .config import SamHQMaskDecoderConfig
    from .prompt_maps import PromptPictures

__all__ = ["DecodedMasks", "MaskDecoder"]

_FEATURES_PER_STEP = 1 << 19  # 2 MiB, which stay in the cache


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
        early = _fourfold(
            early_features, self.compress_vit_conv1, self.compress_vit_norm, self.compress_vit_conv2
        )
        final = _fourfold(
            image_embedding.permute(0, 2, 3, 1),
            self.encoder_conv1,
            self.encoder_norm,
            self.encoder_conv2,
        )
        return (early + final).permute(0, 3, 1, 2)

    def forward(
        self,
        image_embedding: Tensor,
        hq_features: Tensor,
        image_places: Tensor,
        sparse: Tensor | None,
        dense: Tensor,
        pictures: PromptPictures | None = None,
        least_score: float | None = None,
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
        least_score : float, optional
            Logits of prompts of whose three candidates none has this score are not computed, but
            NaN.
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

        scores: Tensor = self.iou_prediction_head(tokens[:, 0])
        hq_features = _for_each_prompt(hq_features, per_image)
        if least_score is None:
            fine = None if pictures is None else pictures.fine(slice(None))
            sam_logits, hq_logits = self._logits(tokens, image, hq_features, fine)
            return DecodedMasks(sam_logits, hq_logits, scores)
        # Scores need the tokens alone, and masks are most of the work.
        good = (scores[:, 1:] >= least_score).any(dim=1)
        if len(hq_features) > 1:
            hq_features = hq_features[good]
        height, width = hq_features.shape[2:]
        logits = image.new_full((prompts, scores.shape[1] + 1, height, width), torch.nan)
        if good.any():
            fine = None if pictures is None else pictures.fine(good)
            parts = self._logits(tokens[good], image[good], hq_features, fine)
            logits[good] = torch.cat(parts, dim=1)
        return DecodedMasks(logits[:, :-1], logits[:, -1:], scores)

    def _logits(
        self, tokens: Tensor, image: Tensor, hq_features: Tensor, fine: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Read masks from what the transformer made of P prompts: SAM's logits and the HQ mask's.

        All of `tokens`, `image` (P, C, h, w) and `fine` (P, C / 8, 4h, 4w) belong to them, and
        either one or P `hq_features` (C / 8, 4h, 4w).
        """
        upscaled = _fourfold(
            image.permute(0, 2, 3, 1),
            self.upscale_conv1,
            self.upscale_layer_norm,
            self.upscale_conv2,
        )
        if fine is not None:
            upscaled = upscaled + fine.permute(0, 2, 3, 1)
        upscaled = F.gelu(upscaled)
        heads = self.output_hypernetworks_mlps
        vectors = torch.stack([head(tokens[:, 1 + i]) for i, head in enumerate(heads)], dim=1)
        hq_vector = self.hq_mask_mlp(tokens[:, 1 + len(heads)])[:, None]
        sam_logits = _products(vectors, upscaled.permute(0, 3, 1, 2))
        return sam_logits, self._hq_logits(upscaled, hq_features, hq_vector)

    def _hq_logits(self, upscaled: Tensor, hq_features: Tensor, vector: Tensor) -> Tensor:
        """Read the HQ mask: `upscaled` (P, 4h, 4w, C), features (1 or P, C, 4h, 4w), (P, 1, C).

        As published, `vector` is multiplied with the output of `mask_conv2`. Both are linear, so
        they become one convolution to one channel instead of C, another one for each prompt.
        """
        joint = upscaled
        if self.join_hq is not None:
            weight, bias = self.join_hq.weight.flatten(1), self.join_hq.bias
            joint = joint + F.linear(hq_features.permute(0, 2, 3, 1), weight, bias)
        folded = torch.einsum("pc,cfyx->pyxf", vector[:, 0], self.mask_conv2.weight)
        assert self.mask_conv2.bias is not None
        bias = (vector @ self.mask_conv2.bias)[..., None, None]
        refined = _convolved_3x3(self._fine_features(joint), folded)
        return refined + bias + _products(vector, hq_features)

    def _fine_features(self, joint: Tensor) -> Iterator[Tensor]:
        """Compute what `mask_conv2` takes, (P, n, 4w, F) for some rows after the other."""
        prompts, height, width, _ = joint.shape
        conv = self.mask_conv1
        step = height
        if joint.device.type == "cpu":  # all at once would leave the cache, and new memory is slow
            step = max(16, _FEATURES_PER_STEP // (prompts * width * conv.out_channels))
        padded = F.pad(joint, (0, 0, 0, 0, 1, 1)).permute(0, 3, 1, 2)
        for top in range(0, height, step):
            rows = padded[:, :, top : top + step + 2]
            fine = F.conv2d(rows, conv.weight, conv.bias, padding=(0, 1)).permute(0, 2, 3, 1)
            yield F.gelu(self.mask_norm.over_last(fine))


def _fourfold(
    x: Tensor, conv1: nn.ConvTranspose2d, norm: LayerNorm2d, conv2: nn.ConvTranspose2d
) -> Tensor:
    """Enlarge (P, h, w, C) by two 2x2 transposed convolutions to (P, 4h, 4w, C').

    Such a convolution makes each pixel four pixels, and none depends on a neighbour: it is a linear
    layer. All that is left to do is to put the pixels into order, once, at the end.
    """
    for conv in (conv1, conv2):
        weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)
        assert conv.bias is not None
        x = F.linear(x, weight, conv.bias.repeat(4)).unflatten(-1, (2, 2, -1))
        if conv is conv1:
            x = F.gelu(norm.over_last(x))
    x = x.permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.flatten(4, 6).flatten(1, 3)


def _convolved_3x3(parts: Iterable[Tensor], weight: Tensor) -> Tensor:
    """Convolve each (H, W, C), which come as parts, with its own (3, 3, C): (P, 1, H, W)."""
    # What a pixel gives to its nine neighbours is one product; `fold` adds up what each is given.
    weight = weight.flip(1, 2).flatten(1, 2)
    given = []
    for part in parts:
        width = part.shape[2]
        given.append(weight @ part.flatten(1, 2).transpose(1, 2))
    all_given = torch.cat(given, dim=2)
    return F.fold(all_given, (all_given.shape[2] // width, width), 3, padding=1)


def _products(vectors: Tensor, features: Tensor) -> Tensor:
    """Multiply vectors (P, M, C) with the channels of (1 or P, C, H, W): (P, M, H, W)."""
    logits: Tensor = (vectors @ features.flatten(2)).unflatten(-1, features.shape[2:])
    return logits


def _for_each_prompt(features: Tensor, per_image: int) -> Tensor:
    """Repeat features (B, ...) to (P, ...); those of one image serve all prompts as they are."""
    return features if 1 in (per_image, len(features)) else features.repeat_interleave(per_image, 0)
