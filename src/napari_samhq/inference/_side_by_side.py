"""Parallel work on a processor, in threads with cores of their own.

The steps of a mask decoder are short. If all cores share each of them, they wait for the slowest
after every step, and all of them for one that a window or another program needs as well.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from threadpoolctl import ThreadpoolController

__all__ = ["side_by_side"]

_MOST_AT_ONCE = 8  # more would take memory, and no less time: the cache is shared

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Do the same with all items, some of them at a time.

    Parameters
    ----------
    work : callable
        Called with one item, in another thread; torch has a share of this thread's cores there, at
        least one. Shares do not depend on the number of items, so that results do not either.
    items : iterable
        Taken only a few ahead of what is yielded.

    Yields
    ------
    result
        In the order of the items. Who stops taking them waits for those that are being made.

    Examples
    --------
    >>> list(side_by_side(abs, [-2, 1, -3]))
    [2, 1, 3]
    """
    cores = torch.get_num_threads()
    if cores == 1:
        yield from map(work, items)
        return
    at_once = min(cores, _MOST_AT_ONCE)
    with ThreadPoolExecutor(
        at_once, "napari-samhq-prompt", _take_share, (_openmp(), cores // at_once)
    ) as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) > at_once:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def _take_share(openmp: ThreadpoolController, cores: int) -> None:
    """Let torch use so many cores in this thread; others keep theirs."""
    torch.get_num_threads()  # sets this thread up, which would undo a limit that came before
    openmp.limit(limits=cores)


@lru_cache(maxsize=1)
def _openmp() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")
