"""Labels layers of any size: the objects lie in a store in blocks, the screen shows a pyramid.

napari edits labels of one resolution only, and shows all of their plane at once. The layer here
edits the full resolution, and shows whichever level fits the screen.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.layers._multiscale_data import MultiScaleData

from napari_samhq.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_samhq.io.label_store import LabelStore

__all__ = ["LabelLevels", "LargeLabels", "is_large"]

_LARGE_PLANE_PX = 2**26  # some 8,000 x 8,000: napari takes long to show more of it at once
_LARGE_PX = 2**30
_MOST_FILLED_PX = 4096  # side of the largest window that the fill bucket looks at
_FIRST_FILLED_PX = 512


def is_large(shape: tuple[int, ...]) -> bool:
    """Tell whether labels of a shape are better kept in blocks than in an array.

    Examples
    --------
    >>> is_large((8192, 8192)), is_large((30_000, 30_000)), is_large((300, 2048, 2048))
    (False, True, True)
    """
    return shape[-2] * shape[-1] > _LARGE_PLANE_PX or int(np.prod(shape)) > _LARGE_PX


class _Level:
    """A level of a store as napari wants it; indexing alone reads nothing yet."""

    def __init__(self, store: LabelStore, number: int, region: tuple[slice, ...] = ()) -> None:
        self._store, self._number = store, number
        full = store.level_shapes[number]
        self._region = region or tuple(slice(0, length) for length in full)
        self._dropped: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        sides = [part.stop - part.start for part in self._region]
        return tuple(side for axis, side in enumerate(sides) if axis not in self._dropped)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._store.dtype
        return dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        return self._store.chunks

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        left = [axis for axis in range(len(self._region)) if axis not in self._dropped]
        if len(parts) > len(left) or not all(_is_plain(part) for part in parts):
            return np.asarray(self)[key]
        region, dropped = list(self._region), list(self._dropped)
        for axis, part in zip(left, parts, strict=False):
            own = region[axis]
            length = own.stop - own.start
            if isinstance(part, slice):
                start, stop, _ = part.indices(length)
                region[axis] = slice(own.start + start, own.start + max(start, stop))
            else:
                place = range(length)[part]
                region[axis] = slice(own.start + place, own.start + place + 1)
                dropped.append(axis)
        level = _Level(self._store, self._number, tuple(region))
        level._dropped = tuple(dropped)
        return level

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self._store.read_level(self._number, self._region)
        values = values.reshape(self.shape)
        return values if dtype is None else values.astype(dtype, copy=False)


class LabelLevels(MultiScaleData):  # type: ignore[misc]  # napari has no types
    """A store as the data of a labels layer: levels by number, pixels by any other index.

    Parameters
    ----------
    store : LabelStore
        Where the labels are.
    """

    def __init__(self, store: LabelStore) -> None:
        self.store = store
        super().__init__([_Level(store, number) for number in range(len(store.level_shapes))])

    @property
    def chunks(self) -> tuple[int, ...]:
        """Sides of the blocks."""
        return self.store.chunks

    @property
    def filled_px(self) -> int:
        """Pixels in blocks that have objects."""
        return self.store.filled_px

    def is_empty(self, region: tuple[slice, ...]) -> bool:
        """Tell whether a region has no object for sure."""
        return self.store.is_empty(region)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int | np.integer):
            return super().__getitem__(int(key))
        return self.store[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.store[key] = value

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole: NDArray[Any] = self.store[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)


class LargeLabels(Labels):  # type: ignore[misc]  # napari has no types
    """A labels layer of any size that can be edited.

    All of napari's tools work on the full resolution, whatever level is shown. The fill bucket
    fills objects of up to some 4,000 pixels.

    Parameters
    ----------
    store : LabelStore
        Where the labels are.
    **options
        As for :class:`napari.layers.Labels`.

    Examples
    --------
    >>> from napari_samhq.io.label_store import LabelStore
    >>> layer = LargeLabels(LabelStore((30_000, 30_000)), name="cells")
    >>> layer.paint((29_000, 17), 3)
    >>> int(layer.data[29_000, 17]), layer.editable
    (3, True)
    """

    def __init__(self, store: LabelStore, **options: Any) -> None:
        super().__init__(LabelLevels(store), multiscale=True, **options)

    @property
    def store(self) -> LabelStore:
        """Where the labels are."""
        store: LabelStore = self.data.store
        return store

    @property
    def data(self) -> Any:
        """The labels: indexed like an array, or by a number to get a level."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        if data is not self._data:
            raise LayerError(
                f"The labels {self.name!r} lie in a store, which nothing can replace. Add another "
                "layer for other labels, and choose it as the one that objects go into."
            )
        self.refresh()
        self.events.data(value=data)

    @property
    def _type_string(self) -> str:
        return "labels"  # for napari's icons, writers and copies

    @classmethod
    def _basename(cls) -> str:
        return "Labels"

    # What follows replaces the parts of napari's layer which assume that the screen shows all of a
    # plane at full resolution.

    def _ensure_int_labels(self, data: Any) -> Any:
        return data

    def _reset_editable(self) -> None:
        self.editable = True

    def _reset_thumbnail_level_data(self) -> None:
        super()._reset_thumbnail_level_data()
        self._level_materializer = None  # it would go on showing the first thumbnail

    @contextmanager
    def block_history(self) -> Iterator[None]:
        """Group edits as one step, and write each block once for all of them."""
        with self.store.together(), super().block_history():
            yield

    def data_setitem(self, indices: Any, value: Any, refresh: bool = True) -> None:
        """Set pixels, see :meth:`napari.layers.Labels.data_setitem`."""
        values = np.asarray(value, dtype=self.dtype)
        indices = tuple(np.asarray(axis).reshape(-1) for axis in indices)
        before = self.data[indices]
        changed = before != values
        if not changed.any():
            return
        indices = tuple(axis[changed] for axis in indices)
        after: Any = values[changed] if values.ndim else self.dtype.type(values)
        self._save_history((indices, before[changed], after))
        self.data[indices] = after
        self._updated_slice: Any = tuple(slice(int(a.min()), int(a.max()) + 1) for a in indices)
        if refresh:
            self._partial_labels_refresh()

    def _partial_labels_refresh(self) -> None:
        if self._updated_slice is not None:
            self._updated_slice = None
            self.refresh(extent=False)

    def _refresh_caches_from_region(self, *_: Any) -> None:
        """Leave what is shown to the refresh."""

    def _get_value(self, position: Any) -> Any:
        """Look up the full resolution, whatever is shown; a number, as of one resolution."""
        place = np.round(position).astype(int)
        if len(place) != self.ndim or not all(
            0 <= one < length for one, length in zip(place, self.data.shape, strict=True)
        ):
            return None
        return int(self.data[tuple(place)])

    def _get_properties(self, position: Any, **options: Any) -> list[str]:
        if not len(self._label_index) or not self.features.shape[1]:
            return []
        value = self.get_value(position, **options)
        if value is None:
            return []
        if value not in self._label_index:
            return ["[No Properties]"]
        row = self.features.iloc[self._label_index[value]]
        return [f"{name}: {row[name]}" for name in self.features if name != "index"]

    def _get_flood_mask_and_bbox(self, coord: Any, new_label: int, dims_to_paint: list[int]) -> Any:
        """Look at a window around the place, larger ones as long as the object goes on beyond."""
        from skimage.segmentation import flood

        place = tuple(int(one) for one in np.round(coord))
        shape = self.data.shape
        if not all(0 <= one < length for one, length in zip(place, shape, strict=True)):
            return None
        old = int(self.data[place])
        if old == new_label or (
            self.preserve_labels and old != self._get_preserve_labels_source_label(new_label)
        ):
            return None
        side = _FIRST_FILLED_PX
        while True:
            window: list[Any] = list(place)
            for axis in dims_to_paint:
                start = max(0, place[axis] - side // 2)
                window[axis] = slice(start, min(start + side, shape[axis]))
            labels = self.data[tuple(window)]
            starts = np.array([window[axis].start for axis in dims_to_paint])
            stops = [window[axis].stop for axis in dims_to_paint]
            seed = tuple(np.array([place[axis] for axis in dims_to_paint]) - starts)
            mask = flood(labels, seed, connectivity=1) if self.contiguous else labels == old
            low, high = self._compute_mask_bbox(mask)
            inside = all(
                (low[n] > 0 or starts[n] == 0)
                and (high[n] < mask.shape[n] or stops[n] == shape[axis])
                for n, axis in enumerate(dims_to_paint)
            )
            if inside and self.contiguous:
                part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                return mask[part], low + starts, high + starts, labels[part]
            side *= 2
            if side > _MOST_FILLED_PX or not self.contiguous:
                raise LayerError(
                    f"What is to be filled goes on past {_MOST_FILLED_PX} pixels, or may be "
                    "anywhere in these labels. Outline it with the polygon tool."
                )


def _is_plain(part: Any) -> bool:
    """Whether a part of an index is a number or a slice of steps of 1."""
    if isinstance(part, slice):
        return part.step in (None, 1)
    return isinstance(part, int | np.integer)
