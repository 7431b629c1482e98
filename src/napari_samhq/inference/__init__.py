"""From an image and prompts to masks: embeddings, predictions and the predictor that makes both.

Importing this package loads no torch; the names below load what they need when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .embedding import ImageEmbedding
    from .prediction import Prediction, SupportsPrediction
    from .predictor import Predictor
    from .source import ImageSource

__all__ = [
    "ImageEmbedding",
    "ImageSource",
    "Prediction",
    "Predictor",
    "SupportsPrediction",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "embedding": ["ImageEmbedding"],
        "prediction": ["Prediction", "SupportsPrediction"],
        "predictor": ["Predictor"],
        "source": ["ImageSource"],
    },
)
