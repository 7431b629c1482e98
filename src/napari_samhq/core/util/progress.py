"""Progress bars for notebooks and terminals; off unless asked for."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["reporting"]


@contextmanager
def reporting(
    progress: Callable[..., Any] | bool | None,
    of: Callable[..., tuple[str, float, float]],
    unit: str = "",
) -> Iterator[Callable[..., Any] | None]:
    """Turn what a caller gave as `progress` into a function that is told each step of the work.

    Parameters
    ----------
    progress : callable, bool or None
        A function is taken as it is. True: a bar that is a widget in notebooks which can show one,
        and text on stderr elsewhere; it is closed with the context. False or None: nothing.
    of : callable
        Takes what `progress` takes, and tells what is being done, how much of it is done, and of
        how much in all; 0 where nobody knows.
    unit : str, optional
        Of these amounts. ``"B"`` is scaled to kB, MB and so on.

    Yields
    ------
    callable or None
        None where nothing is to be told.

    Examples
    --------
    >>> with reporting(False, str) as report:
    ...     report is None
    True
    """
    if progress is None or progress is False:
        yield None
    elif progress is True:
        bar = _Bar(of, unit)
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield progress


class _Bar:
    """One tqdm bar, which begins anew for each stage; there is none before the first step."""

    def __init__(self, of: Callable[..., tuple[str, float, float]], unit: str) -> None:
        self._of, self._unit = of, unit
        self._bar: Any = None
        self._stage: tuple[str, float] | None = None

    def __call__(self, *step: Any, **named: Any) -> None:
        stage, done, total = self._of(*step, **named)
        if self._bar is None:
            self._bar = self._new()
        if (stage, total) != self._stage:
            self._bar.reset(total or None)
            self._bar.total = total or None  # reset keeps it where it is not known
            self._bar.set_description(stage)
            self._stage = stage, total
        if done > self._bar.n:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _new(self) -> Any:
        with warnings.catch_warnings():
            # Without ipywidgets tqdm warns, and shows text; the text will do.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

            return tqdm(unit=self._unit, unit_scale=self._unit == "B")
