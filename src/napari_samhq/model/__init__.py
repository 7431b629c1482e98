"""SAM-HQ in PyTorch, with the class and tensor names of the published Hugging Face models."""

from __future__ import annotations

from .config import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
    TinyVitConfig,
)
from .mask_decoder import DecodedMasks
from .processor import BatchFeature, SamHQImageProcessor, SamHQProcessor
from .sam_hq import (
    ImageFeatures,
    SamHQImageSegmentationOutput,
    SamHQModel,
    SamHQVisionModel,
    SamHQVisionOutput,
)

__all__ = [
    "BatchFeature",
    "ConvEncoderConfig",
    "DecodedMasks",
    "ImageFeatures",
    "SamHQConfig",
    "SamHQImageProcessor",
    "SamHQImageSegmentationOutput",
    "SamHQMaskDecoderConfig",
    "SamHQModel",
    "SamHQProcessor",
    "SamHQPromptEncoderConfig",
    "SamHQVisionConfig",
    "SamHQVisionModel",
    "SamHQVisionOutput",
    "TinyVitConfig",
]
