"""Keep the areas of which the user says that all objects in them are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.session.everything import Everything
from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_samhq.core.tiles.grid import Region as Area
    from napari_samhq.session.everything import Region

__all__ = ["Finishing", "areas_from", "plain_areas"]


class Finishing(Part):
    """Keeps which areas are finished, for a model to learn what is background.

    Notes
    -----
    A session file keeps them. They are no steps of the journal: to take one back there is
    :meth:`unfinish`.
    """

    @property
    def finished(self) -> dict[Plane, tuple[Area, ...]]:
        """The finished areas of each plane, as rows and columns."""
        return {plane: tuple(areas) for plane, areas in self.controller.finished.items()}

    @property
    def finished_here(self) -> tuple[Area, ...]:
        """Those of the present plane."""
        plane = self._unfinished.plane()  # looking must not bring removed layers back
        return tuple(self.controller.finished.get(plane, ()))

    def finish(self, region: Region = None) -> None:
        """Say that all objects in an area of the present plane are marked.

        A model that learns from the session takes what has no label there for background, and all
        objects that lie in it for right, also those that *Everything* found.

        Parameters
        ----------
        region : pair of slices or "visible", optional
            Rows and columns, or what is on the screen; the whole plane when left out.

        Raises
        ------
        ImageError
            If the region has no pixel of the image, or is none.
        LayerError
            If no plane is shown.

        Examples
        --------
        >>> session.finish((slice(0, 512), slice(0, 512)))  # doctest: +SKIP
        """
        plane = self.controller.plane()
        view = self._masks.view(plane)
        part = Everything(self.controller).part(plane, view, region)
        areas = self.controller.finished.setdefault(plane, [])
        if part not in areas:
            areas.append(part)
        self.changed.emit()

    def unfinish(self) -> None:
        """Forget the finished areas of the present plane."""
        self.controller.finished.pop(self.controller.plane(), None)
        self.changed.emit()


def plain_areas(finished: dict[Plane, list[Area]]) -> list[list[list[int]]]:
    """List areas as plain numbers: axes, position, and first and last row and column."""
    return [
        [
            list(plane.axes),
            list(plane.position),
            [rows.start, cols.start, rows.stop - 1, cols.stop - 1],
        ]
        for plane, areas in finished.items()
        for rows, cols in areas
    ]


def areas_from(plain: Iterable[Iterable[Iterable[int]]]) -> dict[Plane, list[Area]]:
    """Read areas that :func:`plain_areas` listed.

    Raises
    ------
    TypeError, ValueError
        If they are none.

    Examples
    --------
    >>> areas = {Plane((1, 2), (4,)): [(slice(0, 10), slice(5, 20))]}
    >>> areas_from(plain_areas(areas)) == areas
    True
    """
    finished: dict[Plane, list[Area]] = {}
    for axes, position, bounds in plain:
        (first, second), (top, left, bottom, right) = axes, bounds
        plane = Plane((int(first), int(second)), tuple(int(value) for value in position))
        part = slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)
        finished.setdefault(plane, []).append(part)
    return finished
