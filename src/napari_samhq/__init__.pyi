from ._version import __version__
from .batch.everything import segment_everything
from .checkpoints.load import LoadedModel, load_model
from .checkpoints.registry import ModelInfo, list_models
from .core.prompts.prompt import Prompt
from .engine.replay import replay
from .errors import (
    Cancelled,
    CheckpointError,
    DownloadError,
    FileError,
    ImageError,
    LayerError,
    MissingExtraError,
    ModelError,
    OutOfMemoryError,
    PromptError,
    SamHQError,
    SamHQWarning,
    SettingsError,
    TilesFailedError,
    TrainingError,
)
from .inference.embedding import ImageEmbedding
from .inference.prediction import Prediction
from .inference.predictor import Predictor
from .inference.propagate import Propagation, propagate
from .inference.segment import segment
from .session.session import Session, annotate
from .session.storage.open import open_session
from .tracking.link import link
from .tracking.linked import Linked
from .training.finetune import finetune

__all__ = [
    "Cancelled",
    "CheckpointError",
    "DownloadError",
    "FileError",
    "ImageEmbedding",
    "ImageError",
    "LayerError",
    "Linked",
    "LoadedModel",
    "MissingExtraError",
    "ModelError",
    "ModelInfo",
    "OutOfMemoryError",
    "Prediction",
    "Predictor",
    "Prompt",
    "PromptError",
    "Propagation",
    "SamHQError",
    "SamHQWarning",
    "Session",
    "SettingsError",
    "TilesFailedError",
    "TrainingError",
    "__version__",
    "annotate",
    "finetune",
    "link",
    "list_models",
    "load_model",
    "open_session",
    "propagate",
    "replay",
    "segment",
    "segment_everything",
]
