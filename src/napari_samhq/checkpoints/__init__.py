"""Weights of models: named ones, fetched ones, and files in every published form.

Importing this package loads neither torch nor the hub library.
"""

from .convert import convert
from .download import fetch
from .heads import list_heads
from .load import LoadedModel, load_model
from .registry import ModelInfo, list_models, model_info

__all__ = [
    "LoadedModel",
    "ModelInfo",
    "convert",
    "fetch",
    "list_heads",
    "list_models",
    "load_model",
    "model_info",
]
