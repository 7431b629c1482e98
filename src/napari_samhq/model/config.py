"""Configurations of SAM-HQ: what the weights alone do not say.

`SamHQConfig` and its three parts keep the names and defaults of the published
``syscv-community/sam-hq-vit-*`` models, so their ``config.json`` files are read as they are. The
image encoder comes in three kinds, told apart by ``model_type``:

- `SamHQVisionConfig`: the plain vision transformer of SAM (ViT-B, L, H, or any other size);
- `TinyVitConfig`: the TinyViT of Light HQ-SAM;
- `ConvEncoderConfig`: the compact convolutional encoder of the bundled model ``micro``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from ..errors import CheckpointError

__all__ = [
    "ConvEncoderConfig",
    "EncoderConfig",
    "SamHQConfig",
    "SamHQDenseHeadConfig",
    "SamHQMaskDecoderConfig",
    "SamHQPromptEncoderConfig",
    "SamHQVisionConfig",
    "TinyVitConfig",
]


@dataclass
class _Config:
    """A part of the configuration that goes to and from plain dictionaries."""

    model_type: ClassVar[str]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a dictionary; entries this part has no use for are left out."""
        known = {f.name for f in fields(cls) if f.init}
        return cls(**{key: value for key, value in values.items() if key in known})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"model_type": self.model_type, **asdict(self)}


@dataclass
class SamHQVisionConfig(_Config):
    """Vision transformer encoder.

    Parameters
    ----------
    hidden_size, num_hidden_layers, num_attention_heads : int
        Width, depth and heads.
    image_size, patch_size : int
        Side of the square input and of one patch, in model pixels.
    window_size : int
        Side of the attention windows, in patches; blocks in `global_attn_indexes` see all patches.
    output_channels : int
        Channels of the image embedding.
    sum_positions_first : bool
        Order in which attention adds its position terms: true for models published in Hugging
        Face's layout, false for the original repository's. The difference is rounding.
    """

    model_type: ClassVar[str] = "sam_hq_vision_model"

    hidden_size: int = 768
    output_channels: int = 256
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 1024
    patch_size: int = 16
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    initializer_range: float = 1e-10
    qkv_bias: bool = True
    mlp_ratio: float = 4.0
    use_abs_pos: bool = True
    use_rel_pos: bool = True
    window_size: int = 14
    global_attn_indexes: list[int] = field(default_factory=lambda: [2, 5, 8, 11])
    num_pos_feats: int = 128
    mlp_dim: int | None = None
    sum_positions_first: bool = True

    def __post_init__(self) -> None:
        if self.mlp_dim is None:
            self.mlp_dim = int(self.hidden_size * self.mlp_ratio)
        self.global_attn_indexes = list(self.global_attn_indexes)

    @property
    def early_channels(self) -> int:
        """Channels of the early features."""
        return self.hidden_size


@dataclass
class TinyVitConfig(_Config):
    """TinyViT encoder of Light HQ-SAM (image embedding at stride 16)."""

    model_type: ClassVar[str] = "sam_hq_tiny_vit"
    patch_size: ClassVar[int] = 16

    image_size: int = 1024
    output_channels: int = 256
    num_channels: int = 3
    embed_dims: list[int] = field(default_factory=lambda: [64, 128, 160, 320])
    depths: list[int] = field(default_factory=lambda: [2, 2, 6, 2])
    num_heads: list[int] = field(default_factory=lambda: [2, 4, 5, 10])
    window_sizes: list[int] = field(default_factory=lambda: [7, 7, 14, 7])
    mlp_ratio: float = 4.0
    expand_ratio: float = 4.0
    num_pos_feats: int = 128

    @property
    def early_channels(self) -> int:
        """Channels of the early features."""
        return self.embed_dims[2]


@dataclass
class ConvEncoderConfig(_Config):
    """Compact convolutional encoder: strides 2-4-8-16, attention at 16, one path up to 8.

    Parameters
    ----------
    widths : list of int
        Channels at strides 2, 4, 8 and 16.
    depths : list of int
        Residual blocks at strides 4, 8 and 16.
    attention_depth, attention_heads : int
        Attention blocks at stride 16 and their heads.
    """

    model_type: ClassVar[str] = "sam_hq_conv"
    patch_size: ClassVar[int] = 8

    image_size: int = 512
    output_channels: int = 128
    num_channels: int = 3
    widths: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    depths: list[int] = field(default_factory=lambda: [2, 2, 2])
    attention_depth: int = 2
    attention_heads: int = 8
    num_pos_feats: int = 64

    @property
    def early_channels(self) -> int:
        """Channels of the early features: those at stride 4, folded to stride 8."""
        return 4 * self.widths[1]


EncoderConfig = SamHQVisionConfig | TinyVitConfig | ConvEncoderConfig
_ENCODERS: dict[str, type[EncoderConfig]] = {
    kind.model_type: kind for kind in (SamHQVisionConfig, TinyVitConfig, ConvEncoderConfig)
}


@dataclass
class SamHQPromptEncoderConfig(_Config):
    """Encoder of points, boxes and masks.

    With ``prompt_maps``, points and boxes are also drawn into the picture, see `prompt_maps.py`. No
    published model has this; the bundled ``micro`` does.
    """

    model_type: ClassVar[str] = "sam_hq_prompt_encoder"

    hidden_size: int = 256
    image_size: int = 1024
    patch_size: int = 16
    mask_input_channels: int = 16
    num_point_embeddings: int = 4
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    prompt_maps: bool = False

    @property
    def image_embedding_size(self) -> int:
        """Side of the image embedding."""
        return self.image_size // self.patch_size


@dataclass
class SamHQMaskDecoderConfig(_Config):
    """Two-way transformer and mask heads.

    ``vit_dim`` is the number of channels of the early features that the HQ branch fuses. With
    ``join_hq``, its refining convolutions see the HQ features and what the prompt asks for
    together, and not the latter alone; no published model has this, the bundled ``micro`` does.
    """

    model_type: ClassVar[str] = "sam_hq_mask_decoder"

    hidden_size: int = 256
    hidden_act: str = "relu"
    mlp_dim: int = 2048
    num_hidden_layers: int = 2
    num_attention_heads: int = 8
    attention_downsample_rate: int = 2
    num_multimask_outputs: int = 3
    iou_head_depth: int = 3
    iou_head_hidden_dim: int = 256
    layer_norm_eps: float = 1e-6
    vit_dim: int = 768
    join_hq: bool = False


@dataclass
class SamHQDenseHeadConfig(_Config):
    """Head that finds all objects without prompts, see `dense_head.py`.

    No published model has one; the bundled ``micro`` does.

    Parameters
    ----------
    hidden_size : int
        Channels inside.
    num_blocks : int
        Residual convolutions.
    """

    model_type: ClassVar[str] = "sam_hq_dense_head"

    hidden_size: int = 64
    num_blocks: int = 2


class SamHQConfig:
    """The whole configuration: image encoder, prompt encoder and mask decoder.

    Parameters
    ----------
    vision_config : SamHQVisionConfig, TinyVitConfig, ConvEncoderConfig or dict, optional
    prompt_encoder_config : SamHQPromptEncoderConfig or dict, optional
    mask_decoder_config : SamHQMaskDecoderConfig or dict, optional
        Parts left out have the values of SAM-HQ ViT-B.
    dense_head_config : SamHQDenseHeadConfig or dict, optional
        Left out in models that find no objects without prompts.
    initializer_range : float
        Kept for compatibility with published files; unused.
    largest_share : float, optional
        Objects are found best that take no more than this share of the input's side: on large
        images, windows are chosen by it. A measured trait of the weights; no published file tells
        it.
    obey_clicks : bool
        Whether clicked pixels are brought to their side of the mask, see `inference/clicks.py`. No
        published file tells it: published models answer as published.

    Examples
    --------
    >>> SamHQConfig().vision_config.hidden_size
    768
    """

    model_type = "sam_hq"

    def __init__(
        self,
        vision_config: EncoderConfig | dict[str, Any] | None = None,
        prompt_encoder_config: SamHQPromptEncoderConfig | dict[str, Any] | None = None,
        mask_decoder_config: SamHQMaskDecoderConfig | dict[str, Any] | None = None,
        dense_head_config: SamHQDenseHeadConfig | dict[str, Any] | None = None,
        initializer_range: float = 0.02,
        largest_share: float | None = None,
        obey_clicks: bool = False,
        **_unused: Any,
    ) -> None:
        self.vision_config = _encoder_config(vision_config)
        self.prompt_encoder_config = (
            prompt_encoder_config
            if isinstance(prompt_encoder_config, SamHQPromptEncoderConfig)
            else SamHQPromptEncoderConfig.from_dict(prompt_encoder_config or {})
        )
        self.mask_decoder_config = (
            mask_decoder_config
            if isinstance(mask_decoder_config, SamHQMaskDecoderConfig)
            else SamHQMaskDecoderConfig.from_dict(mask_decoder_config or {})
        )
        self.dense_head_config = (
            SamHQDenseHeadConfig.from_dict(dense_head_config)
            if isinstance(dense_head_config, dict)
            else dense_head_config
        )
        self.initializer_range = initializer_range
        self.largest_share = largest_share
        self.obey_clicks = bool(obey_clicks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SamHQConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable, like the published class

    def __repr__(self) -> str:
        return f"SamHQConfig({json.dumps(self.to_dict(), indent=2)})"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from the contents of a ``config.json``."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they stand in ``config.json``."""
        traits: dict[str, Any] = {}
        if self.dense_head_config is not None:
            traits["dense_head_config"] = self.dense_head_config.to_dict()
        if self.largest_share is not None:
            traits["largest_share"] = self.largest_share
        if self.obey_clicks:
            traits["obey_clicks"] = True
        return {
            "model_type": self.model_type,
            "vision_config": self.vision_config.to_dict(),
            "prompt_encoder_config": self.prompt_encoder_config.to_dict(),
            "mask_decoder_config": self.mask_decoder_config.to_dict(),
            "initializer_range": self.initializer_range,
            **traits,
        }

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read ``config.json`` from a folder.

        Raises
        ------
        CheckpointError
            If the file is missing or is no SAM-HQ configuration.
        """
        path = Path(folder) / "config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(
                f"{folder} holds no config.json. A model folder needs config.json beside "
                "model.safetensors; 'napari-samhq convert' makes one from a checkpoint."
            ) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read as JSON: {error}.") from error
        if not isinstance(values, dict) or values.get("model_type") != cls.model_type:
            raise CheckpointError(
                f"{path} is not a SAM-HQ configuration (its model_type is "
                f"{values.get('model_type') if isinstance(values, dict) else None!r}, "
                f"needed {cls.model_type!r})."
            )
        return cls.from_dict(values)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` into a folder, which is made where it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")


def _encoder_config(values: EncoderConfig | dict[str, Any] | None) -> EncoderConfig:
    if values is None:
        return SamHQVisionConfig()
    if not isinstance(values, dict):
        return values
    kind = values.get("model_type") or SamHQVisionConfig.model_type
    if kind not in _ENCODERS:
        raise CheckpointError(
            f"Unknown image encoder {kind!r} in the configuration; known are {sorted(_ENCODERS)}."
        )
    return _ENCODERS[kind].from_dict(values)
