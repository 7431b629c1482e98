"""Predictor for images of any size: each prompt is answered in the window that fits it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.tiles.windows import LARGEST_SHARE, WHOLE_UP_TO, Window, Windows
from napari_samhq.core.util.notes import note
from napari_samhq.errors import PromptError
from napari_samhq.inference._frames import (
    Asked,
    WindowPrediction,
    bounds,
    candidate,
    moved,
    placed,
    step_of,
)
from napari_samhq.inference.borders import border_pieces, merged, question
from napari_samhq.inference.source import ImageSource, digest
from napari_samhq.inference.store import EmbeddingStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.prediction import SupportsPrediction
    from napari_samhq.inference.source import Region

__all__ = ["WindowPrediction", "WindowedPredictor"]

_MOST_READ_PX = 2**28  # so many pixels are averaged for a window where there is no coarser level
_WORTH_READING_PX = 2**24  # for a second look at what was found already
_REMEMBERED = 64  # answers whose logits may come back as prompts


class Options(TypedDict, total=False):
    """What :meth:`SupportsPrediction.predict` takes besides a prompt."""

    multimask: bool
    hq_only: bool
    output: Output
    threshold: float


class WindowedPredictor:
    """Segment objects in an image of any size; only the pixels around prompts are read.

    A small image, up to twice the model's input, is seen as a whole, and answers are those of the
    predictor itself. On others each prompt is answered in a window, see
    :mod:`napari_samhq.core.tiles.windows`: a mask that reaches the edge is asked for again in a
    larger one, one that fills the window from farther away, a tiny one from closer up, and the
    border of an object seen from afar is drawn anew in windows along it.

    Parameters
    ----------
    predictor : SupportsPrediction
        The model.
    source : ImageSource or array or sequence of arrays
        The image, see :meth:`ImageSource.of`.
    store : EmbeddingStore, optional
        Where to keep what the model saw; its own, in memory, when left out.
    border_windows : int, optional
        Most windows along the border of one object. 0 leaves borders as they are seen from afar.

    Notes
    -----
    The pixels of a window are read for each prompt and compared by their hash with what the model
    saw, so that an edit of the image is noticed. The same prompt on the same image gets the same
    answer, whatever was asked before.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> predictor = samhq.Predictor(samhq.load_model("micro"))  # doctest: +SKIP
    >>> windowed = WindowedPredictor(predictor, zarr.open("slide.zarr"))  # doctest: +SKIP
    >>> prediction = windowed.predict(samhq.Prompt(points=[[52_000, 71_000]]))  # doctest: +SKIP
    >>> prediction.region  # doctest: +SKIP
    (slice(51712, 52224, None), slice(70656, 71168, None))
    """

    def __init__(
        self,
        predictor: SupportsPrediction,
        source: Any,
        *,
        store: EmbeddingStore | None = None,
        border_windows: int = 16,
    ) -> None:
        self.predictor = predictor
        self.source = ImageSource.of(source)
        self.store = EmbeddingStore() if store is None else store
        share = getattr(predictor, "largest_share", LARGEST_SHARE)  # others need not know
        self.windows = Windows(self.source.shape, predictor.input_size, share)
        self.border_windows = border_windows
        self._answers: OrderedDict[str, WindowPrediction] = OrderedDict()

    def prepare(
        self, region: Region | None = None, *, report: Callable[[str], None] | None = None
    ) -> ImageEmbedding:
        """Look at a window before it is prompted.

        Parameters
        ----------
        region : pair of slices, optional
            What the user sees: the window in the middle of it is looked at. All of the image when
            left out.
        report : callable, optional
            As in :meth:`predict`.

        Returns
        -------
        ImageEmbedding
            Of the window.
        """
        rows, cols = region or self.windows.whole.region
        centre = (rows.start + rows.stop - 1) / 2, (cols.start + cols.stop - 1) / 2
        return self._embedding(self.windows.around(centre, 1.0), report or _nothing)[0]

    def remembers(self, low_res_logits: NDArray[np.float32]) -> bool:
        """Tell whether logits (h, w) of an earlier answer can be a prompt, see :meth:`predict`."""
        return digest(low_res_logits) in self._answers

    def picture(self, window: Window) -> NDArray[np.uint8]:
        """Read a window as it is given to the model: (h, w, 3)."""
        # A small image is made smaller by the model's own rules, as ever.
        scale = 1.0 if self.windows.is_small else max(window.scale, 1.0)
        return self.source.read_rgb8_at(window.region, scale)

    def predict(
        self,
        prompt: Prompt,
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
        report: Callable[[str], None] | None = None,
    ) -> WindowPrediction:
        """Answer one prompt.

        Parameters
        ----------
        prompt : Prompt
            In image pixels. A mask of floats must be the `low_res_logits` of one of the latest
            answers here: in the same window they are used as they are, otherwise the mask of that
            answer is.
        multimask, hq_only, output, threshold : optional
            As in :meth:`Predictor.predict`.
        report : callable, optional
            Called with "prepare" before the model looks at a window and with "predict" before it
            answers. May raise :class:`~napari_samhq.Cancelled`.

        Returns
        -------
        WindowPrediction
            Its masks cover a window of the image.

        Raises
        ------
        PromptError, ModelError, OutOfMemoryError
            As :meth:`Predictor.predict`.
        FileError
            If pixels cannot be read.

        Warns
        -----
        SamHQWarning
            If the window is empty, the object goes on past the largest window that can be read, or
            the store cannot be written.
        """
        options = Options(multimask=multimask, hq_only=hq_only, output=output, threshold=threshold)
        ((_, prediction),) = self._rounds([self._asked(prompt)], options, report or _nothing)
        return prediction

    def predict_many(
        self,
        prompts: Sequence[Prompt],
        *,
        report: Callable[[str], None] | None = None,
        **options: Any,
    ) -> list[WindowPrediction]:
        """Answer many prompts, in their order; all masks are in memory then.

        Parameters and errors are those of :meth:`iter_predict`.
        """
        answers = dict(self.iter_predict(prompts, report=report, **options))
        return [answers[index] for index in range(len(answers))]

    def iter_predict(
        self,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
        report: Callable[[str], None] | None = None,
    ) -> Iterator[tuple[int, WindowPrediction]]:
        """Answer many prompts, window by window, giving each answer as soon as it is there.

        Parameters
        ----------
        prompts : sequence of Prompt
            One for each object.
        multimask, hq_only, output, threshold, report : optional
            As in :meth:`predict`.

        Returns
        -------
        iterator of (int, WindowPrediction)
            Place of the prompt in `prompts`, and its answer. Prompts that share a window follow
            each other, so the order is not that of `prompts`.

        Raises
        ------
        PromptError
            At once, if one of the prompts says nothing usable; the message tells which.
        ModelError, OutOfMemoryError, FileError
            As in :meth:`predict`.
        """
        options = Options(multimask=multimask, hq_only=hq_only, output=output, threshold=threshold)
        asked = []
        for index, prompt in enumerate(prompts):
            try:
                asked.append(self._asked(prompt))
            except PromptError as error:
                raise PromptError(
                    f"Prompt {index} of {len(prompts)} (counted from 0): {error}"
                ) from error
        return self._rounds(asked, options, report or _nothing)

    def _asked(self, prompt: Prompt) -> Asked:
        """Check a prompt, and find the answer whose logits it brings back."""
        prompt = prompt.cleaned(self.source.shape)
        may_grow = prompt.box is None  # a box says how far the object goes
        mask = prompt.mask
        if mask is None or isinstance(mask, CroppedMask) or self.windows.is_small:
            return Asked(prompt, may_grow=may_grow)
        logits: NDArray[np.float32] = mask.astype(np.float32)
        earlier = self._answers.get(digest(logits))
        if earlier is None:
            raise PromptError(
                "These logits are none of the latest answers on this image, so nothing tells where "
                "in the image they belong. Pass a bool mask of the image's shape."
            )
        return Asked(replace(prompt, mask=None), logits, earlier, may_grow=may_grow)

    def _rounds(
        self, asked: list[Asked], options: Options, report: Callable[[str], None]
    ) -> Iterator[tuple[int, WindowPrediction]]:
        """Ask in first windows, then in those that the answers ask for, until all are settled."""
        waiting: OrderedDict[Window, list[int]] = OrderedDict()
        for index, one in enumerate(asked):
            waiting.setdefault(self._first(one), []).append(index)
        while waiting:
            window, indices = waiting.popitem(last=False)
            answers = self._in_window(window, [asked[i] for i in indices], options, report)
            for place, answer, following in answers:
                index = indices[place]
                if following is None:
                    yield index, self._finished(asked[index].prompt, answer, options, report)
                else:
                    waiting.setdefault(following, []).append(index)

    def _first(self, one: Asked) -> Window:
        if one.earlier is None:
            return self.windows.first(one.prompt)
        # Stay where the earlier answer was made as long as the prompt does.
        window, prompt = one.earlier.window, one.prompt
        stays = prompt.box is None or window.holds(prompt.box).all()
        if prompt.points is not None:
            stays = stays and window.holds(prompt.points[prompt.point_labels == 1]).all()
        return window if stays else self.windows.first(prompt, bounds(one.earlier))

    def _in_window(
        self,
        window: Window,
        asked: list[Asked],
        options: Options,
        report: Callable[[str], None],
    ) -> Iterator[tuple[int, WindowPrediction, Window | None]]:
        """Ask in one window; give the place of each prompt, its answer, and where to ask next."""
        embedding, is_blank = self._embedding(window, report)
        if is_blank and (not self.windows.is_small or embedding.contrast_limits is None):
            _warn(
                "The image is empty around the prompt: all values are the same. The mask will mean "
                "little."
            )
        step = step_of(window)
        prompts = [moved(one, window, step) for one in asked]
        report("predict")
        for place, local in self.predictor.iter_predict(embedding, prompts, **options):
            one, answer = asked[place], placed(local, window, step)
            following = None
            if not (self.windows.is_small or is_blank) and local.mask.any():
                reaches_edge = self.windows.reaches_edge(window, local.mask)
                if one.found is not None:  # from closer up: the model may have seen too little
                    answer = one.found if reaches_edge else answer
                elif reaches_edge and one.may_grow:
                    following = self._larger(window)
                else:
                    following = self._fitting(one, answer)
            yield place, answer, following

    def _larger(self, window: Window) -> Window | None:
        larger = self.windows.larger(window)
        if larger is not None and self._pixels_to_read(larger) > _MOST_READ_PX:
            _warn(
                "The object goes on past the window, and the image has no level coarse enough to "
                "see more of it at once. Add a pyramid to the image."
            )
            return None
        return larger

    def _fitting(self, one: Asked, answer: WindowPrediction) -> Window | None:
        fitting = self.windows.fitting(answer.window, one.prompt, bounds(answer))
        if fitting == answer.window:
            return None
        if fitting.scale <= answer.window.scale:
            one.found = answer
        elif not one.may_grow or self._pixels_to_read(fitting) > _WORTH_READING_PX:
            return None
        return fitting

    def _finished(
        self,
        prompt: Prompt,
        answer: WindowPrediction,
        options: Options,
        report: Callable[[str], None],
    ) -> WindowPrediction:
        """Draw the border of a large object anew, and remember the answer's logits."""
        if answer.window.scale > WHOLE_UP_TO and not self.windows.is_small:
            answer = self._with_fine_border(prompt, answer, options, report)
        if not self.windows.is_small:
            for index, logits in enumerate(answer.low_res_logits):
                self._answers[digest(logits)] = candidate(answer, index)
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    def _with_fine_border(
        self,
        prompt: Prompt,
        answer: WindowPrediction,
        options: Options,
        report: Callable[[str], None],
    ) -> WindowPrediction:
        views = []
        single: Options = {**options, "multimask": False}
        for core, window in border_pieces(self.windows, answer, self.border_windows):
            embedding, is_blank = self._embedding(window, report)
            if is_blank:
                continue
            asked = question(answer, prompt, window)
            report("predict")
            ((_, local),) = self.predictor.iter_predict(embedding, [asked], **single)
            views.append((core, window, placed(local, window, step_of(window)).mask))
        return merged(answer, views)

    def _pixels_to_read(self, window: Window) -> float:
        factors = self.source.levels[self.source.level_for(max(window.scale, 1.0))].factors
        height, width = window.shape
        return height / factors[0] * width / factors[1]

    def _embedding(
        self, window: Window, report: Callable[[str], None]
    ) -> tuple[ImageEmbedding, bool]:
        """Look at a window, or find what was seen of these pixels; tell whether they are all one.

        The embedding takes prompts that were moved into the window.
        """
        rgb8 = self.picture(window)
        embedding = self.store.see(self.predictor, rgb8, looking=lambda: report("prepare"))
        step = step_of(window)
        height, width = (-(-length // step) for length in window.shape)
        embedding = replace(
            embedding, image_shape=(height, width), contrast_limits=self.source.contrast_limits
        )
        return embedding, bool((rgb8 == rgb8[0, 0]).all())


def _nothing(_: str) -> None:
    """Report to nobody."""


def _warn(message: str) -> None:
    note(message, stacklevel=4)
