"""Models of sessions: by name, path or object, loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_samhq.checkpoints import ModelInfo
    from napari_samhq.inference.prediction import SupportsPrediction

__all__ = ["ModelSource"]


def _list() -> list[ModelInfo]:
    from napari_samhq.checkpoints import list_heads, list_models

    return list_models() + list_heads()


@dataclass(frozen=True)
class ModelSource:
    """Where models come from.

    Attributes
    ----------
    load : callable, optional
        Takes a name or path and a function for progress in bytes, returns a predictor.
    list : callable, optional
        Returns what is known of each named model.
    device, precision : str
        Where and how models compute, as in :func:`napari_samhq.load_model`.
    """

    load: Callable[[str, Callable[[float, float], None]], SupportsPrediction] | None = None
    list: Callable[[], list[Any]] = _list
    device: str = "auto"
    precision: str = "auto"

    def get(self, name: str, report: Callable[[float, float], None]) -> SupportsPrediction:
        """Load a model."""
        if self.load is not None:
            return self.load(name, report)
        from napari_samhq.checkpoints import load_model
        from napari_samhq.inference import Predictor

        return Predictor(load_model(name, self.device, self.precision, progress=report))

    def info(self, name: str) -> Any | None:
        """Tell what is known of a model; None for a path."""
        return next((info for info in self.list() if info.name == name), None)

    def must_fetch(self, name: str) -> bool:
        """Whether the model must come over the network before it can be used."""
        info = self.info(name)
        return info is not None and not (info.bundled or info.cached)
