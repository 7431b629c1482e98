"""Commands of napari's menus that need no dock: typed functions, of which magicgui makes forms.

Each starts a worker and returns it, so that the viewer is never blocked: napari shows how far it
is and adds the layer that comes of it. Scripts that want the layer at once call
:func:`napari_samhq.session.segment_layer` and :func:`napari_samhq.session.refine_layer`.
"""

from contextlib import closing
from typing import TYPE_CHECKING, Any

from magicgui import magic_factory
from napari.layers import Image, Labels
from napari.qt.threading import FunctionWorker, create_worker
from napari.types import LayerDataTuple

from napari_samhq.checkpoints import list_heads, list_models
from napari_samhq.errors import LayerError
from napari_samhq.inference.settings import DenseSettings, Search
from napari_samhq.session.commands import iter_refine_layer, iter_segment_layer
from napari_samhq.ui.form import options_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_samhq.batch.run import Step

__all__ = ["refine_labels", "segment_everything"]

_FINDER = "micro"  # bundled, and has a dense head
_SETTINGS = {one.name: one for one in DenseSettings.described()}


def _models(_widget: Any = None) -> list[str]:
    return [info.name for info in (*list_models(), *list_heads())]


_MODEL: dict[str, Any] = {
    "choices": _models,
    "label": "Model",
    "tooltip": "Weights that are not on this machine are fetched first.",
}


def _say_automatic(form: Any) -> None:
    form.diameter.native.setSpecialValueText(_SETTINGS["diameter"].zero)


@magic_factory(
    call_button="Segment",
    widget_init=_say_automatic,
    image={"label": "Image"},
    model=_MODEL,
    diameter=options_of(_SETTINGS["diameter"]),
    min_score=options_of(_SETTINGS["min_score"]),
    smallest_px=options_of(_SETTINGS["smallest_px"]),
)
def segment_everything(
    image: Image,
    model: str = "micro",
    diameter: float = _SETTINGS["diameter"].default,
    min_score: float = _SETTINGS["min_score"].default,
    smallest_px: int = _SETTINGS["smallest_px"].default,
) -> FunctionWorker[LayerDataTuple]:
    """Find all objects of an image, in a new labels layer.

    The dense head finds them, that of the model or else that of 'micro'; the model outlines them.
    Of a stack each plane is segmented by itself.
    """
    changes = {"diameter": diameter, "min_score": min_score, "smallest_px": smallest_px}
    # The networks with this encoder are those that have a dense head.
    infos = (*list_models(), *list_heads())
    finds = any(info.name == model and info.encoder == "conv" for info in infos)
    search = Search("dense", changes=changes)
    steps = iter_segment_layer(_there(image), model, search, find=None if finds else _FINDER)
    return _started(steps, "SAM-HQ segments everything")


@magic_factory(
    call_button="Refine",
    image={"label": "Image"},
    rough={"label": "Labels", "tooltip": "Objects with rough outlines. They are not changed."},
    model=_MODEL,
)
def refine_labels(
    image: Image, rough: Labels, model: str = "micro"
) -> FunctionWorker[LayerDataTuple]:
    """Find a better outline for each object of a labels layer, in a new one with the same ids."""
    steps = iter_refine_layer(_there(image), _there(rough), model)
    return _started(steps, "SAM-HQ refines labels")


def _there(layer: Any) -> Any:
    if layer is None:
        raise LayerError("There is no such layer in the viewer. Open or make one first.")
    return layer


def _started(steps: "Generator[Step, None, Any]", what: str) -> Any:
    progress = {"total": 100, "desc": what}
    return create_worker(_in_percent, steps, _progress=progress, _start_thread=True)


def _in_percent(steps: "Generator[Step, None, Any]") -> "Generator[None, None, Any]":
    """Yield as often as napari's bar of 100 is to go on; between two yields it can be stopped."""
    told = 0
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                return stop.value
            percent = round(100 * step.done / max(step.total, 1))
            for _ in range(told, percent):
                yield
            told = max(told, percent)
