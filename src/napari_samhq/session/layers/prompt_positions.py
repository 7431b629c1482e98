"""Positions in a layer of prompts, read as pixels of an image's planes, and written back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_samhq.session.layers.transforms import placement, to_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane

__all__ = ["Place", "Positions"]

#: A plane, and (row, column) in it: of a point alone, or of each vertex of a shape.
Place: TypeAlias = "tuple[Plane, tuple[tuple[float, float], ...]]"


class Positions:
    """Takes positions from a layer to an image and back; what nobody touched stays as it was.

    Coordinates are rounded on their way between layers, and napari keeps the vertices of shapes in
    single precision. So what is written would be read back as something else, if only in the last
    digits, and would pass for a change. Therefore what was read or written is remembered.

    Parameters
    ----------
    layer : napari layer
        Where prompts are drawn.
    image : napari.layers.Image
        The image that is prompted.
    """

    def __init__(self, layer: Layer, image: Image) -> None:
        self._layer, self._image = layer, image
        self._placements: list[dict[str, Any]] = []
        self._places: dict[bytes, Place] = {}
        self._rows: dict[Place, NDArray[np.float64]] = {}

    def read(self, rows: Sequence[NDArray[Any]], orientation: Plane) -> list[Place | None]:
        """Tell what is meant by coordinates as the layer holds them.

        Parameters
        ----------
        rows : sequence of arrays of shape (N, layer.ndim)
            A point is an array of one row.
        orientation : Plane
            Any plane along the axes that are displayed.

        Returns
        -------
        list of Place or None
            None where no vertex is finite; other vertices that are not finite are kept.

        Raises
        ------
        LayerError
            If the layer cannot be placed on the image.
        """
        places = [self._places.get(_key(row)) for row in rows]
        new = [
            index
            for index, place in enumerate(places)
            if place is None or place[0].axes != orientation.axes
        ]
        if not new:
            return places
        found = to_layer(np.concatenate([rows[i] for i in new]), self._layer, self._image)
        ends = np.cumsum([len(rows[i]) for i in new])[:-1]
        across = list(orientation.other_axes)
        for index, positions in zip(new, np.split(found, ends), strict=True):
            finite = np.isfinite(positions).all(axis=1)
            places[index] = None
            if finite.any():
                depths = positions[finite][:, across]
                plane = orientation.at(depths.mean(axis=0))
                place = (plane, _vertices(orientation.flatten(positions)))
                places[index] = place
                if finite.all() and np.allclose(depths, plane.position, rtol=0, atol=1e-6):
                    self._remember(place, rows[index])
        return places

    def write(self, places: Sequence[Place]) -> list[NDArray[np.float64]]:
        """Find coordinates in the layer: those that mean this there already, or new ones.

        Raises
        ------
        LayerError
            If the layer cannot be placed on the image.
        """
        placements = [placement(self._layer), placement(self._image)]
        if not _same(placements, self._placements):  # one of the layers was moved
            self._rows.clear()
            self._placements = placements
        new = [place for place in dict.fromkeys(places) if place not in self._rows]
        if new:
            lifted = [plane.lift(vertices) for plane, vertices in new]
            found = to_layer(np.concatenate(lifted), self._image, self._layer)
            ends = np.cumsum([len(vertices) for _, vertices in new])[:-1]
            for place, row in zip(new, np.split(found, ends), strict=True):
                self._rows[place] = row
        return [self._rows[place] for place in places]

    def written(self, places: Sequence[Place], rows: Sequence[NDArray[Any]]) -> None:
        """Remember, of all, only this: how the layer holds what was written."""
        self._places, self._rows = {}, {}
        for place, row in zip(places, rows, strict=True):
            self._remember(place, row)

    def _remember(self, place: Place, row: NDArray[Any]) -> None:
        self._places[_key(row)] = place
        self._rows[place] = np.array(row, dtype=np.float64)


def _key(row: NDArray[Any]) -> bytes:
    return np.asarray(row, dtype=np.float64).tobytes()


def _vertices(positions_rc: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((float(row), float(col)) for row, col in positions_rc)


def _same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a[field], b[field]) for a, b in zip(one, other, strict=True) for field in a
    )
