"""The configuration of a model, read off the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .keys import has_tiny_vit, is_original

if TYPE_CHECKING:
    from ..model.config import (
        SamHQConfig,
        SamHQMaskDecoderConfig,
        SamHQPromptEncoderConfig,
        SamHQVisionConfig,
        TinyVitConfig,
    )

__all__ = ["describe", "infer_config"]

Shapes = Mapping[str, Sequence[int]]

_TINY_VIT_SIDE = 1024
_HQ_PARTS = ("mask_decoder.hq_token.weight", "mask_decoder.hf_token.weight")
# The first description whose mark is in a name applies. All are files that people have at hand.
_OTHER_MODELS = (
    (("image_encoder.trunk.", "sam_mask_decoder.", "memory_attention."), "weights of SAM 2"),
    (("detector.backbone.", "geometry_encoder."), "weights of SAM 3"),
    (("sam.image_encoder.", "model_state."), "a training checkpoint of another SAM program"),
    (("backbone.net.", "cp_net", "diam_mean"), "a network of Cellpose"),
    (("text_model.", "text_projection"), "weights of CLIP"),
)


def infer_config(shapes: Shapes, source: str, *, original: bool = False) -> SamHQConfig:
    """Infer the configuration of a SAM-HQ with a ViT or TinyViT encoder of any size.

    The number of heads of the mask decoder is not visible in any tensor; it is 8, as in all
    published models.

    Parameters
    ----------
    shapes
        Shapes by name, under the model's names (see `napari_samhq.checkpoints.keys.to_model`).
    source
        What the tensors were read from, for the message.
    original
        The file is in the layout of the original repository, whose attention adds its position
        terms in another order and whose decoder normalises with a larger epsilon (1e-5, torch's
        default). The difference is rounding.

    Returns
    -------
    SamHQConfig

    Raises
    ------
    CheckpointError
        The tensors are not those of a SAM-HQ whose configuration can be inferred. The message
        says what they are, as far as that is known, and what to choose instead.
    """
    from ..model.config import SamHQConfig

    if not any(name in shapes for name in _HQ_PARTS) or not any(
        name.startswith("vision_encoder.") for name in shapes
    ):
        raise CheckpointError(
            f"{source} holds {describe(shapes)}, not a whole SAM-HQ model. Choose sam_hq_vit_b, "
            "_l, _h or _tiny of the original repository, a syscv-community/sam-hq-vit-* model, "
            "or one of the names that napari_samhq.list_models() gives."
        )
    try:
        if has_tiny_vit(shapes):
            original = True  # TinyViT was published in that layout only, whatever its names now
            vision: SamHQVisionConfig | TinyVitConfig = _tiny_vit(shapes)
        elif "vision_encoder.patch_embed.projection.weight" in shapes:
            vision = _vit(shapes, source, original)
        else:
            raise CheckpointError(
                f"{source} has an image encoder whose configuration the tensors do not tell (such "
                "as that of the model micro). Put its config.json beside it and load the folder."
            )
        return SamHQConfig(
            vision,
            _prompt_encoder(shapes, vision),
            _mask_decoder(shapes, vision.early_channels, original),
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{source} is no complete SAM-HQ: {error} is missing or has an impossible shape. "
            "The file may be damaged; fetch it again or choose another one."
        ) from error


def describe(entries: Mapping[str, object]) -> str:
    """Say what a file with these names holds, as far as it is known.

    Parameters
    ----------
    entries
        Anything by name, in any layout.

    Examples
    --------
    >>> describe({"image_encoder.pos_embed": 0, "mask_decoder.iou_token.weight": 0})
    'weights of SAM without its HQ part'
    """
    names = list(entries)
    for marks, description in _OTHER_MODELS:
        if any(mark in name for mark in marks for name in names):
            return description
    has_encoder = any(name.startswith(("image_encoder.", "vision_encoder.")) for name in names)
    has_decoder = any(name.startswith("mask_decoder.") for name in names)
    has_hq = any(name.endswith(("hf_token.weight", "hq_token.weight")) for name in names)
    if has_encoder and has_decoder and not has_hq:
        sam = "MobileSAM" if has_tiny_vit(names) else "SAM"
        return f"weights of {sam} without its HQ part"
    if has_hq and not has_encoder:
        return "the HQ part of a SAM-HQ without its image encoder"
    if has_encoder and not has_decoder:
        return "an image encoder without a mask decoder"
    if has_hq:
        layout = "original" if is_original(names) else "Hugging Face"
        return f"a SAM-HQ in the {layout} layout"
    shown = ", ".join(names[:3])
    return f"{len(names)} tensors of another network ({shown}, ...)"


def _count(shapes: Shapes, beginning: str) -> int:
    """Count the numbered parts under a beginning; none may be left out."""
    pattern = re.compile(re.escape(beginning) + r"\.(\d+)\.")
    found = {int(match[1]) for name in shapes if (match := pattern.match(name))}
    for number in range(len(found)):
        if number not in found:
            raise KeyError(f"{beginning}.{number}")
    if not found:
        raise KeyError(beginning)
    return len(found)


def _vit(shapes: Shapes, source: str, original: bool) -> SamHQVisionConfig:
    from ..model.config import SamHQVisionConfig

    encoder = "vision_encoder"
    width, channels, patch = shapes[f"{encoder}.patch_embed.projection.weight"][:3]
    depth = _count(shapes, f"{encoder}.layers")
    positions = shapes.get(f"{encoder}.pos_embed")
    relative = [shapes.get(f"{encoder}.layers.{i}.attn.rel_pos_h") for i in range(depth)]
    if positions is None or any(entry is None for entry in relative):
        raise CheckpointError(
            f"{source} has no {'absolute' if positions is None else 'relative'} positions, from "
            "which image size, heads and windows are read. Put its config.json beside it and "
            "load the folder."
        )
    grid = positions[1]
    sides = [(entry[0] + 1) // 2 for entry in relative if entry is not None]
    windows = sorted({side for side in sides if side != grid})
    if len(windows) > 1:
        raise ValueError(f"a window size ({windows}: one was expected)")
    mlp = shapes[f"{encoder}.layers.0.mlp.lin1.weight"][0]
    return SamHQVisionConfig(
        hidden_size=width,
        num_channels=channels,
        patch_size=patch,
        image_size=grid * patch,
        num_hidden_layers=depth,
        num_attention_heads=width // _last(relative[0]),
        qkv_bias=f"{encoder}.layers.0.attn.qkv.bias" in shapes,
        mlp_ratio=mlp / width,
        mlp_dim=mlp,
        window_size=windows[0] if windows else grid,
        global_attn_indexes=[i for i, side in enumerate(sides) if side == grid],
        output_channels=shapes[f"{encoder}.neck.conv1.weight"][0],
        num_pos_feats=_positional_features(shapes),
        sum_positions_first=not original,
    )


def _tiny_vit(shapes: Shapes) -> TinyVitConfig:
    """Infer a TinyViT; its input size is not visible in any tensor and 1024, as published."""
    from ..model.config import TinyVitConfig

    encoder = "vision_encoder"
    stages = _count(shapes, f"{encoder}.layers")
    first = f"{encoder}.layers.0.blocks.0"
    width = shapes[f"{encoder}.patch_embed.seq.2.c.weight"][0]
    widths, heads, windows = [width], [max(width // 32, 1)], [7]
    for stage in range(1, stages):
        block = f"{encoder}.layers.{stage}.blocks.0"
        number, places = shapes[f"{block}.attn.attention_biases"]
        widths.append(shapes[f"{block}.attn.proj.weight"][0])
        heads.append(number)
        windows.append(round(places**0.5))
    return TinyVitConfig(
        image_size=_TINY_VIT_SIDE,
        num_channels=shapes[f"{encoder}.patch_embed.seq.0.c.weight"][1],
        embed_dims=widths,
        depths=[_count(shapes, f"{encoder}.layers.{stage}.blocks") for stage in range(stages)],
        num_heads=heads,
        window_sizes=windows,
        expand_ratio=shapes[f"{first}.conv1.c.weight"][0] / width,
        mlp_ratio=shapes[f"{encoder}.layers.1.blocks.0.mlp.fc1.weight"][0] / widths[1],
        output_channels=shapes[f"{encoder}.neck.0.weight"][0],
        num_pos_feats=_positional_features(shapes),
    )


def _prompt_encoder(
    shapes: Shapes, vision: SamHQVisionConfig | TinyVitConfig
) -> SamHQPromptEncoderConfig:
    from ..model.config import SamHQPromptEncoderConfig

    return SamHQPromptEncoderConfig(
        hidden_size=shapes["prompt_encoder.no_mask_embed.weight"][1],
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        mask_input_channels=shapes["prompt_encoder.mask_embed.conv2.weight"][0],
        num_point_embeddings=_count(shapes, "prompt_encoder.point_embed"),
    )


def _mask_decoder(shapes: Shapes, early_channels: int, original: bool) -> SamHQMaskDecoderConfig:
    from ..model.config import SamHQMaskDecoderConfig

    masks, width = shapes["mask_decoder.mask_tokens.weight"]
    layer = "mask_decoder.transformer.layers.0"
    return SamHQMaskDecoderConfig(
        hidden_size=width,
        mlp_dim=shapes[f"{layer}.mlp.lin1.weight"][0],
        num_hidden_layers=_count(shapes, "mask_decoder.transformer.layers"),
        attention_downsample_rate=width
        // shapes[f"{layer}.cross_attn_token_to_image.q_proj.weight"][0],
        num_multimask_outputs=masks - 1,
        iou_head_depth=2 + _count(shapes, "mask_decoder.iou_prediction_head.layers"),
        iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.proj_in.weight"][0],
        # The strict check finds it, should the decoder expect another width than the encoder has.
        vit_dim=early_channels,
        layer_norm_eps=1e-5 if original else 1e-6,
    )


def _positional_features(shapes: Shapes) -> int:
    for name in (
        "shared_image_embedding.positional_embedding",
        "prompt_encoder.shared_embedding.positional_embedding",
    ):
        if name in shapes:
            return shapes[name][1]
    raise KeyError("the positional table")


def _last(shape: Sequence[int] | None) -> int:
    return shape[-1] if shape else 1
