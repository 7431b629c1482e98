"""Names of the axes of opened images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["axes_of"]


def axes_of(array: Any, path: Path) -> tuple[str, ...]:
    """Give the names of all axes of an opened image in small letters; none if it has none."""
    return _zarr_axes(path) if path.is_dir() else getattr(array, "axes", ())


def _zarr_axes(path: Path) -> tuple[str, ...]:
    import zarr

    try:
        node = zarr.open(path, mode="r")
        attributes: Any = dict(node.attrs)
        if isinstance(node, zarr.Array):  # zarr 3 names dimensions; before, xarray did
            names = getattr(node.metadata, "dimension_names", None)
            return tuple(map(_named_axis, names or attributes["_ARRAY_DIMENSIONS"]))
        axes = attributes.get("ome", attributes)["multiscales"][0]["axes"]
        return tuple(map(_named_axis, axes))
    except (KeyError, IndexError, TypeError, ValueError, OSError, AttributeError):
        return ()


def _named_axis(axis: Any) -> str:
    name = axis["name"] if isinstance(axis, dict) else axis
    return "" if name is None else str(name).lower()
