"""SAM-HQ in PyTorch, with the class and tensor names of the published Hugging Face models."""

from __future__ import annotations

from .config import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQDenseHeadConfig,
    SamHQMaskDecoderConfig,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
    TinyVitConfig,
)
from .dense_head import DenseMaps
from .image_processor import SamHQImageProcessor
from .mask_decoder import DecodedMasks
from .outputs import SamHQImageSegmentationOutput, SamHQVisionOutput
from .processor import BatchFeature, SamHQProcessor
from .sam_hq import ImageFeatures, SamHQModel, SamHQVisionModel

__all__ = [
    "BatchFeature",
    "ConvEncoderConfig",
    "DecodedMasks",
    "DenseMaps",
    "ImageFeatures",
    "SamHQConfig",
    "SamHQDenseHeadConfig",
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
