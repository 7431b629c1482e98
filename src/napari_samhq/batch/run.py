"""Run a plan: tiles, choice of objects, drawing, publication.

A run that writes to a file keeps what it has in a folder beside it, and goes on from there when it
is started again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from napari_samhq.batch import tasks
from napari_samhq.batch.plan import Plan, may_be_same
from napari_samhq.batch.publish import create_labels, finish_labels, run_of
from napari_samhq.batch.results import write_whole
from napari_samhq.batch.site import Site, blocks_of
from napari_samhq.batch.workers import Failed, Part
from napari_samhq.errors import FileError, TilesFailedError
from napari_samhq.io.atomic import check_target, explained

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from napari_samhq.batch.plan import TileKey
    from napari_samhq.batch.results import Results
    from napari_samhq.batch.workers import Workers
    from napari_samhq.io.calibration import Calibration

__all__ = ["RunFolder", "Step", "iter_publish", "iter_segment", "iter_to_file"]


@dataclass(frozen=True)
class Step:
    """How far a run is.

    Attributes
    ----------
    stage : {"segment", "choose", "draw", "link", "write"}
        What is being done. Tiles of coarser grids are segmented after those of finer ones.
    done, total : float
        Tiles, or blocks.
    """

    stage: str
    done: float
    total: float


class RunFolder:
    """What a run keeps beside its result until that is complete.

    Parameters
    ----------
    output : Path
        The result. The folder has its name with ``.run`` behind it.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".run")

    @property
    def tiles(self) -> Path:
        """Where the answers of tiles are."""
        return self.path / "tiles"

    @property
    def labels(self) -> Path:
        """Where the label image grows."""
        return self.path / "labels.zarr"

    @contextlib.contextmanager
    def opened(self, plan: Plan, *, resume: bool, overwrite: bool) -> Iterator[bool]:
        """Hold the folder for this process, made ready for a plan.

        Parameters
        ----------
        plan : Plan
        resume : bool
            Go on with what is there. Otherwise begin anew.
        overwrite : bool
            Whether a result of another run may be replaced.

        Yields
        ------
        bool
            Whether the result of this very plan is in place already.

        Raises
        ------
        FileError
            If another run holds the folder, if it holds parts of another plan, or if the result
            cannot be written there.
        """
        is_there = resume and run_of(self.output) == plan.run_id
        if not is_there:
            check_target(self.output, overwrite=overwrite)
        with explained("write", self.path, "Choose another place."):
            self.path.mkdir(exist_ok=True)
        with self.held():
            if not is_there:
                self._prepare(plan, resume=resume)
            yield is_there
        # The lock is inside, so it goes last. Nothing is left that a later run could use.
        shutil.rmtree(self.path, ignore_errors=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs away from the folder, which is there.

        Raises
        ------
        FileError
            If another run holds it.
        """
        lock, owner = FileLock(self.path / "lock"), self.path / "owner.txt"
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            told = f" ({owner.read_text(encoding='utf-8')})" if owner.exists() else ""
            raise FileError(
                f"Another run{told} is writing {self.output}. Wait for it to end, or choose "
                "another output."
            ) from error
        try:  # the system lets go of the lock when the process ends, however it ends
            write_whole(owner, f"process {os.getpid()} on {platform.node()}".encode())
            yield
        finally:
            lock.release()

    def _prepare(self, plan: Plan, *, resume: bool) -> None:
        note = self.path / "plan.json"
        if not resume:
            for part in (self.tiles, self.labels):
                shutil.rmtree(part, ignore_errors=True)
            note.unlink(missing_ok=True)
        if note.exists():
            with explained("read", note, "Delete the folder to begin anew."):
                begun = Plan.from_json(note.read_text(encoding="utf-8"))
            if may_be_same(begun.image, plan.image):  # parts were mended since, or broke
                begun = replace(begun, image=plan.image)
            if begun.run_id != plan.run_id:
                different = _differences(begun, plan)
                raise FileError(
                    f"{self.path} holds parts of a run with other {different}. Repeat the call as "
                    "it was to go on with it, or begin anew with --no-resume (in Python: "
                    "resume=False)."
                )
        for left in self.path.rglob(".*.partial"):  # of writers that were killed
            left.unlink(missing_ok=True)
        write_whole(note, plan.to_json().encode())


def iter_segment(
    site: Site, workers: Workers, *, keep_going: bool
) -> Generator[Step, None, list[TileKey]]:
    """Do all tiles of a plan that are not done, grid by grid.

    Parameters
    ----------
    site : Site
    workers : Workers
    keep_going : bool
        Do the other tiles when one fails, and raise then; for results that last.

    Yields
    ------
    Step

    Returns
    -------
    list of TileKey
        The tiles that were asked.

    Raises
    ------
    TilesFailedError
        If tiles failed.
    Exception
        What a tile raised, without `keep_going`.
    """
    keys: list[TileKey] = []
    done = site.results.done()
    for level in range(len(site.plan.grids)):
        wanted = tasks.tiles_above(site.plan, level, done)
        missing = [key for key in wanted if key not in done]
        finished = len(wanted) - len(missing)
        failed: list[Failed] = []
        if wanted:
            yield Step("segment", finished, len(wanted))
        for event in workers.segment(site, missing):
            if isinstance(event, Part):
                yield Step("segment", finished + event.share, len(wanted))
                continue
            if isinstance(event, Failed):
                if not keep_going:
                    raise event.error
                failed.append(event)
            finished += 1
            yield Step("segment", finished, len(wanted))
        if failed:
            raise _failure(site.plan, failed, len(wanted))
        keys += wanted
        if missing:
            done = site.results.done()
    return keys


def iter_publish(
    plan: Plan, results: Results, keys: list[TileKey], labels: Any, within: Any = None
) -> Generator[Step, None, tasks.Objects]:
    """Choose objects and draw them.

    Parameters
    ----------
    plan : Plan
    results : Results
        Of all tiles in `keys`.
    keys : list of TileKey
    labels : array of shape (h, w)
        Label image of the plan's region, in memory or in a store with chunks as large as a block.
    within : array of shape (H, W), optional
        Objects that have a pixel where it is 0 are left out.

    Yields
    ------
    Step

    Returns
    -------
    Objects
    """
    choosing = tasks.choose_objects(plan, results, keys, within)
    while True:
        try:
            done, total = next(choosing)
        except StopIteration as stop:
            objects: tasks.Objects = stop.value
            break
        yield Step("choose", done, total)
    blocks = blocks_of(plan)
    for index in range(len(blocks)):
        block = blocks[index].write
        rows, cols = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(block, plan.area, strict=True)
        )
        labels[rows, cols] = tasks.paint_block(plan, results, objects, block)
        yield Step("draw", index + 1, len(blocks))
    return objects


def iter_to_file(
    site: Site,
    workers: Workers,
    folder: RunFolder,
    *,
    overwrite: bool,
    calibration: Calibration | None = None,
) -> Generator[Step, None, tasks.Objects]:
    """Do a whole run that ends in a file; the folder is open already, and has the site's results.

    Yields
    ------
    Step

    Returns
    -------
    Objects
    """
    keys = yield from iter_segment(site, workers, keep_going=True)
    labels = create_labels(folder.labels, site.plan)
    objects = yield from iter_publish(site.plan, site.results, keys, labels, site.within)
    for done, total in finish_labels(
        folder.labels,
        site.plan,
        folder.output,
        len(objects),
        overwrite=overwrite,
        calibration=calibration,
    ):
        yield Step("write", done, total)
    return objects


def _failure(plan: Plan, failed: list[Failed], total: int) -> TilesFailedError:
    lines = []
    for one in failed[:5]:
        level, index = one.key
        rows, cols = plan.grids[level][index].write
        lines.append(
            f"rows {rows.start} to {rows.stop}, columns {cols.start} to {cols.stop}: {one.error}"
        )
    more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    return TilesFailedError(
        f"{len(failed)} of {total} tiles failed ({'; '.join(lines)}{more}). The others are kept; "
        "start the run again to do these alone.",
        [one.key for one in failed],
    )


def _differences(begun: Plan, plan: Plan) -> str:
    names = {
        "image_shape": "image",
        "image": "image",
        "area": "region",
        "model": "model",
        "finder": "model that finds the objects",
        "contrast_limits": "contrast limits",
        "foreground": "foreground mask",
        "within": "outline (within)",
        "settings": "settings",
        "origin_rc": "tiles",
    }
    found = {told for name, told in names.items() if getattr(begun, name) != getattr(plan, name)}
    return " and ".join(sorted(found)) or "contents"
