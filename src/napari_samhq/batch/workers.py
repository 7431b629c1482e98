"""Workers that segment the tiles of a run: this thread, several threads, or a dask cluster.

All of them do the same tasks, in any order, and some of them twice; the result is the same.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from napari_samhq.core.util.lru import Lru
from napari_samhq.errors import Cancelled, MissingExtraError, SamHQError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_samhq.batch.plan import TileKey
    from napari_samhq.batch.site import Site, SiteAddress

__all__ = ["Cluster", "Done", "Failed", "Part", "Serial", "Threads", "Workers"]

_IN_FLIGHT = 3  # tasks per worker that are handed out at a time
_OPEN_RUNS = 2  # whose image and model a worker process keeps at most, should an end not reach it


@dataclass(frozen=True)
class Done:
    """A tile is done."""

    key: TileKey


@dataclass(frozen=True)
class Failed:
    """A tile could not be done."""

    key: TileKey
    error: Exception


@dataclass(frozen=True)
class Part:
    """The share of a tile that is done so far, 0 to 1."""

    key: TileKey
    share: float


class Workers(Protocol):
    """Does tiles of a run."""

    def segment(self, site: Site, keys: Iterable[TileKey]) -> Iterator[Done | Failed | Part]:
        """Do tiles, in any order, and tell of each; stop taking events to cancel."""
        ...


class Serial:
    """One tile after the other, in this thread."""

    def segment(self, site: Site, keys: Iterable[TileKey]) -> Iterator[Done | Failed | Part]:
        """Do tiles."""
        for key in keys:
            try:
                for asked in site.segment(key):
                    yield Part(key, asked.done / asked.total)
            except Cancelled:
                raise
            except Exception as error:  # noqa: BLE001 - told of, and raised when all are done
                yield Failed(key, error)
            else:
                yield Done(key)


class Threads:
    """Several tiles at a time, in threads that share one model.

    Parameters
    ----------
    count : int
        Number of threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def segment(self, site: Site, keys: Iterable[TileKey]) -> Iterator[Done | Failed | Part]:
        """Do tiles."""
        waiting = iter(keys)
        stopped = threading.Event()

        def work(key: TileKey) -> None:
            for _ in site.segment(key):
                if stopped.is_set():
                    raise Cancelled("Stopped.")

        with ThreadPoolExecutor(self.count, "napari-samhq-tile") as pool:
            running: dict[Future[None], TileKey] = {}
            try:
                while True:
                    for key in itertools.islice(waiting, 2 * self.count - len(running)):
                        running[pool.submit(work, key)] = key
                    if not running:
                        return
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        key, error = running.pop(future), future.exception()
                        if isinstance(error, Exception):
                            yield Failed(key, error)
                        elif error is not None:
                            raise error
                        else:
                            yield Done(key)
            finally:
                stopped.set()
                for future in running:
                    future.cancel()


class Cluster:
    """Workers of a dask.distributed scheduler.

    Each worker opens image and model once, and drops both when the run ends. A tile whose worker
    died is given to another one; how often is the scheduler's `allowed-failures`. Workers that
    offer the resource "GPU" are asked for one per tile.

    Parameters
    ----------
    scheduler : str
        Address, as ``tcp://host:8786``.
    address : SiteAddress
        What workers open.
    run_id : str
        Names the tasks.

    Raises
    ------
    MissingExtraError
        If dask.distributed is not installed.
    """

    def __init__(self, scheduler: str, address: SiteAddress, run_id: str) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "Work on a cluster needs dask.distributed. Install it with "
                "`pip install napari-samhq[distributed]`."
            ) from error
        self.scheduler, self.address, self.run_id = scheduler, address, run_id

    def segment(self, site: Site, keys: Iterable[TileKey]) -> Iterator[Done | Failed | Part]:
        """Do tiles."""
        import distributed

        waiting = iter(keys)
        with _connected(distributed.Client, self.scheduler) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            slots = sum(worker["nthreads"] for worker in workers) or 1
            options: dict[str, Any] = {"pure": False}
            if any("GPU" in worker.get("resources", {}) for worker in workers):
                options["resources"] = {"GPU": 1}

            def submit(key: TileKey) -> Any:
                name = f"tile-{self.run_id}-{key[0]}-{key[1]}"
                return client.submit(_segment_there, self.address, key, key=name, **options)

            names: dict[str, TileKey] = {}
            running: Any = distributed.as_completed(  # type: ignore[no-untyped-call]
                loop=client.loop
            )
            try:
                for key in itertools.islice(waiting, _IN_FLIGHT * slots):
                    future = submit(key)
                    names[future.key] = key
                    running.add(future)
                for future in running:
                    key = names.pop(future.key)
                    yield _outcome(key, future)
                    following = next(waiting, None)
                    if following is not None:
                        future = submit(following)
                        names[future.key] = following
                        running.add(future)
            finally:
                # A worker may serve for weeks; the model of a finished run is nothing to keep.
                client.run(_close_there, self.address.folder, on_error="ignore")


def _connected(client: Any, scheduler: str) -> Any:
    try:
        return client(scheduler, timeout=30, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise SamHQError(
            f"There is no dask scheduler at {scheduler}: {error}. Start one with `dask scheduler`, "
            "and workers with `dask worker`, or check the address."
        ) from error


def _outcome(key: TileKey, future: Any) -> Done | Failed:
    if future.cancelled():
        return Failed(key, SamHQError("The scheduler was lost, or gave the task up."))
    error = future.exception()
    if error is not None:  # the worker died too often, or something nobody foresaw
        return Failed(key, error)
    told = future.result()
    return Done(key) if told is None else Failed(key, told)


_there: Lru[Site] = Lru(_OPEN_RUNS)  # sites of this worker process, by the folder of the run
_opening = threading.Lock()


def _segment_there(address: SiteAddress, key: TileKey) -> Exception | None:
    """Do one tile in a worker process; what it could not do comes back as a value."""
    try:
        with _opening:
            found = _there.get(address.folder)
            if found is None or found.plan.to_json() != address.plan:
                found = _there.put(address.folder, address.open())
        for _ in found.segment(key):
            pass
    except SamHQError as error:
        return error
    return None


def _close_there(folder: str) -> None:
    """Drop the site of a run, with its model, in a worker process."""
    with _opening:
        _there.pop(folder)
