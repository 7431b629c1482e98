"""Every error that napari-samhq raises on purpose.

The family tree::

    SamHQError
    ├── ImageError          (ValueError)   an image that cannot be segmented as it is
    ├── PromptError         (ValueError)   points, boxes or masks that say nothing usable
    ├── ModelError          (ValueError)   an unknown model, device or precision
    ├── CheckpointError                    a weights file that is not what it should be
    ├── DownloadError       (OSError)      weights that could not be fetched
    ├── LayerError          (ValueError)   a napari layer that cannot be used, or is gone
    ├── FileError           (OSError)      a file that cannot be read or written
    ├── OutOfMemoryError    (MemoryError)  the device has too little memory
    ├── DeviceLostError     (RuntimeError) the device stopped working
    ├── MissingExtraError   (ImportError)  an optional dependency that is not installed
    ├── SettingsError       (ValueError)   a setting that does not exist or cannot have that value
    ├── TrainingError       (ValueError)   examples that nothing can be learned from
    ├── TilesFailedError                   some tiles of a run could not be done; others are kept
    └── Cancelled                          the user stopped the work

Each message says what came, what was needed, and what to do next. Where a standard exception
describes the same situation the class derives from it too, so that ``except ValueError`` works as
users of numpy and scikit-image expect.
"""

from __future__ import annotations

__all__ = [
    "Cancelled",
    "CheckpointError",
    "DeviceLostError",
    "DownloadError",
    "FileError",
    "ImageError",
    "LayerError",
    "MissingExtraError",
    "ModelError",
    "OutOfMemoryError",
    "PromptError",
    "SamHQError",
    "SamHQWarning",
    "SettingsError",
    "TilesFailedError",
    "TrainingError",
]


class SamHQError(Exception):
    """Base of every error raised on purpose."""


class ImageError(SamHQError, ValueError):
    """An image cannot be segmented as it is."""


class PromptError(SamHQError, ValueError):
    """A prompt says nothing that the model could use."""


class ModelError(SamHQError, ValueError):
    """A model, device or precision of that name does not exist here."""


class CheckpointError(SamHQError):
    """A weights file is damaged, incomplete, or for another architecture."""


class DownloadError(SamHQError, OSError):
    """Weights could not be fetched."""


class LayerError(SamHQError, ValueError):
    """A napari layer cannot be used for this, or is gone."""


class FileError(SamHQError, OSError):
    """A file cannot be read or written."""


class OutOfMemoryError(SamHQError, MemoryError):
    """The device has too little memory for the work."""


class DeviceLostError(SamHQError, RuntimeError):
    """The device stopped working, or was taken away."""


class MissingExtraError(SamHQError, ImportError):
    """An optional dependency is not installed."""


class SettingsError(SamHQError, ValueError):
    """A setting does not exist, or cannot have that value."""


class TrainingError(SamHQError, ValueError):
    """Examples that nothing can be learned from, or nothing that was learned from them."""


class Cancelled(SamHQError):
    """The user stopped the work."""


class SamHQWarning(UserWarning):
    """Something was repaired or left out; the result stands, and the message says what changed."""


class TilesFailedError(SamHQError):
    """Some tiles of a run could not be done; the others are kept.

    Attributes
    ----------
    tiles : list of (int, int)
        Which: number of the grid, and place in it.
    """

    def __init__(self, message: str, tiles: list[tuple[int, int]]) -> None:
        super().__init__(message)
        self.tiles = tiles
