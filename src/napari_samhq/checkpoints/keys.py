"""Names of tensors: the layout of the original repository and that of Hugging Face.

The model's own names are those of the published ``syscv-community/sam-hq-vit-*`` files. The tables
below lead from the names in the ``sam_hq_vit_*.pth`` files to them and back. TinyViT was never
published in the other layout; its encoder keeps its names after ``vision_encoder.``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DROPPED", "has_tiny_vit", "is_original", "to_model", "to_original"]

T = TypeVar("T")

#: The classifier with which TinyViT was pretrained; SAM-HQ has no use for it.
DROPPED = frozenset(
    f"image_encoder.{name}.{kind}" for name in ("norm_head", "head") for kind in ("weight", "bias")
)
#: One table under two names: it places the image and the prompts in the same frame.
POSITIONS = "shared_image_embedding.positional_embedding"
POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"

# Beginnings of names, original first; `#` stands for a number, the same on both sides.
_PROMPTS_AND_MASKS = (
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", POSITIONS),
    ("prompt_encoder.point_embeddings.#", "prompt_encoder.point_embed.#"),
    ("prompt_encoder.mask_downscaling.0", "prompt_encoder.mask_embed.conv1"),
    ("prompt_encoder.mask_downscaling.1", "prompt_encoder.mask_embed.layer_norm1"),
    ("prompt_encoder.mask_downscaling.3", "prompt_encoder.mask_embed.conv2"),
    ("prompt_encoder.mask_downscaling.4", "prompt_encoder.mask_embed.layer_norm2"),
    ("prompt_encoder.mask_downscaling.6", "prompt_encoder.mask_embed.conv3"),
    ("mask_decoder.transformer.layers.#.norm#", "mask_decoder.transformer.layers.#.layer_norm#"),
    ("mask_decoder.transformer.norm_final_attn", "mask_decoder.transformer.layer_norm_final_attn"),
    ("mask_decoder.output_upscaling.0", "mask_decoder.upscale_conv1"),
    ("mask_decoder.output_upscaling.1", "mask_decoder.upscale_layer_norm"),
    ("mask_decoder.output_upscaling.3", "mask_decoder.upscale_conv2"),
    ("mask_decoder.hf_token", "mask_decoder.hq_token"),
    ("mask_decoder.compress_vit_feat.0", "mask_decoder.compress_vit_conv1"),
    ("mask_decoder.compress_vit_feat.1", "mask_decoder.compress_vit_norm"),
    ("mask_decoder.compress_vit_feat.3", "mask_decoder.compress_vit_conv2"),
    ("mask_decoder.embedding_encoder.0", "mask_decoder.encoder_conv1"),
    ("mask_decoder.embedding_encoder.1", "mask_decoder.encoder_norm"),
    ("mask_decoder.embedding_encoder.3", "mask_decoder.encoder_conv2"),
    ("mask_decoder.embedding_maskfeature.0", "mask_decoder.mask_conv1"),
    ("mask_decoder.embedding_maskfeature.1", "mask_decoder.mask_norm"),
    ("mask_decoder.embedding_maskfeature.3", "mask_decoder.mask_conv2"),
)
_HEADS = (
    ("mask_decoder.output_hypernetworks_mlps.#", "mask_decoder.output_hypernetworks_mlps.#"),
    ("mask_decoder.iou_prediction_head", "mask_decoder.iou_prediction_head"),
    ("mask_decoder.hf_mlp", "mask_decoder.hq_mask_mlp"),
)
_HEAD_LAYERS = (("layers.0", "proj_in"), ("layers.1", "layers.0"), ("layers.2", "proj_out"))
_VIT = (
    ("image_encoder.patch_embed.proj", "vision_encoder.patch_embed.projection"),
    ("image_encoder.blocks.#.norm#", "vision_encoder.layers.#.layer_norm#"),
    ("image_encoder.blocks.#", "vision_encoder.layers.#"),
    ("image_encoder.neck.0", "vision_encoder.neck.conv1"),
    ("image_encoder.neck.1", "vision_encoder.neck.layer_norm1"),
    ("image_encoder.neck.2", "vision_encoder.neck.conv2"),
    ("image_encoder.neck.3", "vision_encoder.neck.layer_norm2"),
    ("image_encoder", "vision_encoder"),
)
_TINY_VIT = (("image_encoder", "vision_encoder"),)

_COMMON = _PROMPTS_AND_MASKS + tuple(
    (f"{old}.{old_layer}", f"{new}.{new_layer}")
    for old, new in _HEADS
    for old_layer, new_layer in _HEAD_LAYERS
)
_Rules = tuple[tuple[re.Pattern[str], str], ...]


def _compile(pairs: Iterable[tuple[str, str]]) -> _Rules:
    """Turn pairs of beginnings into patterns and replacements, to be tried in order."""
    rules = []
    for old, new in pairs:
        pattern = re.compile(re.escape(old).replace(r"\#", r"(\d+)") + r"(?=\.|$)")
        numbers = iter(range(1, new.count("#") + 1))
        rules.append((pattern, re.sub("#", lambda _: rf"\g<{next(numbers)}>", new)))  # noqa: B023
    return tuple(rules)


def _reversed(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(new, old) for old, new in pairs]


_TO_MODEL = {True: _compile(_COMMON + _TINY_VIT), False: _compile(_COMMON + _VIT)}
_TO_ORIGINAL = {
    True: _compile(_reversed(_COMMON + _TINY_VIT)),
    False: _compile(_reversed(_COMMON + _VIT)),
}


def is_original(names: Iterable[str]) -> bool:
    """Tell whether names are in the layout of the original repository."""
    return any(name.startswith(("image_encoder.", "prompt_encoder.pe_layer.")) for name in names)


def has_tiny_vit(names: Iterable[str]) -> bool:
    """Tell whether names, in either layout, belong to a model with the TinyViT encoder."""
    return any(".patch_embed.seq." in name for name in names)


def to_model(entries: Mapping[str, T]) -> dict[str, T]:
    """Rename the entries of a checkpoint to the model's names.

    Entries that are in the model's layout already stay as they are. Names without a rule stay
    too, so that strict loading can name them.

    Parameters
    ----------
    entries
        Tensors, shapes or anything else by name, in either layout.

    Returns
    -------
    dict
        In the order of ``entries``.

    Examples
    --------
    >>> to_model({"image_encoder.blocks.3.norm1.bias": 1, "mask_decoder.hf_mlp.layers.2.bias": 2})
    {'vision_encoder.layers.3.layer_norm1.bias': 1, 'mask_decoder.hq_mask_mlp.proj_out.bias': 2}
    """
    if not is_original(entries):
        return dict(entries)
    rules = _TO_MODEL[has_tiny_vit(entries)]
    renamed = {_rename(name, rules): entry for name, entry in _kept(entries)}
    if POSITIONS in renamed:
        renamed[POSITIONS_AGAIN] = renamed[POSITIONS]
    return renamed


def to_original(entries: Mapping[str, T]) -> dict[str, T]:
    """Rename entries under the model's names to the layout of the original repository.

    Parameters
    ----------
    entries
        Tensors, shapes or anything else by the model's names.

    Returns
    -------
    dict
        In the order of ``entries``, the positional table once.
    """
    rules = _TO_ORIGINAL[has_tiny_vit(entries)]
    return {
        _rename(name, rules): entry for name, entry in entries.items() if name != POSITIONS_AGAIN
    }


def _kept(entries: Mapping[str, T]) -> list[tuple[str, T]]:
    if not has_tiny_vit(entries):
        return list(entries.items())
    return [(name, entry) for name, entry in entries.items() if name not in DROPPED]


def _rename(name: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        if match := pattern.match(name):
            return match.expand(replacement) + name[match.end() :]
    return name
