"""Pixel sizes and units: what they are called in each format, and what a file says of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, SettingsError
from napari_samhq.io.atomic import explained
from napari_samhq.io.decoding import decoding

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Calibration", "read_calibration", "short_unit"]

#: Units of files: as napari and pint, OME-XML and OME-Zarr name them.
_UNITS = (
    ("fm", "fm", "femtometer"),
    ("pm", "pm", "picometer"),
    ("angstrom", "Å", "angstrom"),
    ("nm", "nm", "nanometer"),
    ("um", "µm", "micrometer"),
    ("mm", "mm", "millimeter"),
    ("cm", "cm", "centimeter"),
    ("dm", "dm", "decimeter"),
    ("m", "m", "meter"),
    ("km", "km", "kilometer"),
    ("inch", "in", "inch"),
    ("foot", "ft", "foot"),
    ("ns", "ns", "nanosecond"),
    ("us", "µs", "microsecond"),
    ("ms", "ms", "millisecond"),
    ("s", "s", "second"),
    ("min", "min", "minute"),
    ("h", "h", "hour"),
    ("day", "d", "day"),
)
_LENGTH = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(\D*?)\s*")
_OTHER_NAMES = {
    "micron": "um",
    "microns": "um",
    "μm": "um",  # with the Greek letter, which looks like the sign for micro
    "\\u00b5m": "um",  # ImageJ escapes what is not ASCII
    "μs": "us",
    "sec": "s",
    "px": "pixel",
    "pixels": "pixel",
    "reference frame": "pixel",
    "inches": "inch",
    "feet": "foot",
}
_SPELLINGS = {
    spelling: short
    for short, _, long in _UNITS
    for spelling in (f"{long}s", long.replace("meter", "metre"), long.replace("meter", "metres"))
}
_SHORT = {name: names[0] for names in _UNITS for name in names} | _SPELLINGS | _OTHER_NAMES
_CM_PER = {"fm": 1e-13, "pm": 1e-10, "angstrom": 1e-8, "nm": 1e-7, "um": 1e-4, "mm": 0.1} | {
    "cm": 1.0,
    "dm": 10.0,
    "m": 100.0,
    "km": 1e5,
    "inch": 2.54,
    "foot": 30.48,
}
_LARGE = frozenset({"Mm", "Pm", "Ms", "Ps"})
_PIXEL = "pixel"
_CENTIMETRE_TAG = 3


@dataclass(frozen=True)
class Calibration:
    """Size of a pixel along each axis of an array.

    Attributes
    ----------
    pixel_size : tuple of floats
        One for each axis, in its unit.
    units : tuple of str
        One for each axis, as napari names them: "um", "s", or "pixel" where there is none.
    axes : tuple of str
        Names of the axes, such as "z", "y", "x"; empty names where nobody said.
    """

    pixel_size: tuple[float, ...]
    units: tuple[str, ...]
    axes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        ndim: int,
        pixel_size: float | Sequence[float] | None = None,
        unit: str | Sequence[str] | None = None,
        axes: Sequence[str] | None = None,
    ) -> Calibration:
        """Complete what somebody said of an array's pixels.

        Parameters
        ----------
        ndim : int
            Axes of the array, rows and columns last.
        pixel_size : float or sequence of floats, optional
            For rows and columns, or for each of the axes. 1 where left out.
        unit : str or sequence of str, optional
            For rows and columns, or for each of the axes: "um", "nm", "s" ... A single length holds
            for slices ("z", or the only axis before the rows) too, if their size is given.
        axes : sequence of str, optional
            Names of all axes.

        Raises
        ------
        SettingsError
            If a size is not above 0, or there are too few or too many of anything.

        Examples
        --------
        >>> Calibration.of(3, 0.5, "micrometer").units
        ('pixel', 'um', 'um')
        """
        given = [1.0] if pixel_size is None else np.atleast_1d(pixel_size).astype(float).tolist()
        sizes = _for_axes(given, ndim, 1.0, "pixel sizes")
        if not all(math.isfinite(size) and size > 0 for size in sizes):
            raise SettingsError(f"Pixels of the size {given}; needed are numbers above 0.")
        names = ("",) * (ndim - 2) + ("y", "x") if axes is None else tuple(axes)
        if len(names) != ndim:
            raise SettingsError(f"{len(names)} names {names} for {ndim} axes. Name each once.")
        named = [_PIXEL] if unit is None else [unit] if isinstance(unit, str) else list(unit)
        units = _for_axes([short_unit(one) for one in named], ndim, _PIXEL, "units")
        if ndim > 2 and len(given) == ndim and len(named) == 1 and names[-3] in ("z", ""):
            units[-3] = units[-1]
        return cls(tuple(sizes), tuple(units), names)

    @property
    def known(self) -> bool:
        """Whether it says anything beyond that pixels are pixels."""
        return any(size != 1 for size in self.pixel_size) or any(
            unit != _PIXEL for unit in self.units
        )

    @property
    def named_axes(self) -> tuple[str, ...]:
        """Names of the axes; where nobody said, those that formats with fixed names would guess.

        Examples
        --------
        >>> Calibration.of(3).named_axes, Calibration.of(4).named_axes
        (('z', 'y', 'x'), ('t', 'z', 'y', 'x'))
        """
        missing = [name for name in ("z", "t", "c") if name not in self.axes]
        names = list(self.axes)
        for index in reversed(range(len(names))):
            if not names[index]:
                names[index] = missing.pop(0) if missing else f"axis-{index}"
        return tuple(names)

    @property
    def unit(self) -> str:
        """Unit of the columns, by which areas are measured too."""
        return self.units[-1]

    def in_plane(self) -> tuple[tuple[float, float], str] | None:
        """Give the size of pixels along rows and columns in one unit, that of the columns.

        None where the two cannot be compared: the size along one of them is not known.

        Examples
        --------
        >>> Calibration.of(2, (250, 0.25), ("nm", "um")).in_plane()
        ((0.25, 0.25), 'um')
        """
        height = self.along(-2, self.unit)
        return None if height is None else ((height, self.pixel_size[-1]), self.unit)

    def along(self, axis: int, unit: str) -> float | None:
        """Give the size along an axis in another unit; None where these are no two lengths."""
        size, own = self.pixel_size[axis], self.units[axis]
        if own == unit:
            return size
        if own not in _CM_PER or unit not in _CM_PER:
            return None
        return float(f"{size * _CM_PER[own] / _CM_PER[unit]:.12g}")

    def pixels(self, length: float | str) -> float:
        """Convert a length along the columns, given as a number of pixels or with a unit.

        Raises
        ------
        SettingsError
            If the text is no length, or the size of the pixels is not known.

        Examples
        --------
        >>> Calibration.of(2, 0.5, "um").pixels("12 um"), Calibration.of(2).pixels(30)
        (24.0, 30.0)
        """
        if not isinstance(length, str):
            return float(length)
        found = _LENGTH.fullmatch(length)
        if found is None:
            raise SettingsError(
                f"{length!r} is no length. Give a number of pixels, or one with a unit as '12 um'."
            )
        unit = short_unit(found[2])
        pixel = 1.0 if unit == _PIXEL else self.along(-1, unit)
        if pixel is None:
            raise SettingsError(
                f"{length!r} cannot be converted to pixels, whose size is {self.pixel_size[-1]:g} "
                f"{self.unit}. Say how large they are (pixel_size=0.65, unit='um'), or give the "
                "length in pixels."
            )
        return float(found[1]) / pixel


def short_unit(unit: Any) -> str:
    """Name a unit as napari does; names that are not known stay.

    Examples
    --------
    >>> short_unit("micrometer"), short_unit("µm"), short_unit("parsec"), short_unit("")
    ('um', 'um', 'parsec', 'pixel')
    """
    name = str(unit).strip()
    if name in _LARGE:  # a thousand million times what they are in small letters
        return name
    return _SHORT.get(name, _SHORT.get(name.lower(), name)) or _PIXEL


def ome_unit(unit: str) -> str:
    """Name a unit as OME-XML does; empty for pixels."""
    return next((ome for short, ome, _ in _UNITS if short == unit), "")


def long_unit(unit: str) -> str:
    """Name a unit as OME-Zarr does; empty for pixels."""
    return next((long for short, _, long in _UNITS if short == unit), "")


def centimetres(size: float, unit: str) -> float | None:
    """Convert a length to the only unit that the tags of TIFF know; None for no length."""
    factor = _CM_PER.get(unit)
    return None if factor is None else size * factor


def read_calibration(path: str | Path) -> Calibration | None:
    """Read the size of the pixels of an image or of labels.

    Parameters
    ----------
    path : str or Path
        A TIFF (OME, ImageJ, or with a resolution in centimetres; dots per inch mean paper and do
        not count) or an OME-Zarr.

    Returns
    -------
    Calibration or None
        One size for each axis of the array, colours left out; None where the file does not say, or
        is of another kind.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    path = Path(path)
    with explained("read", path, "Check the path and the permission to read it."):
        from napari_samhq.io.bioio_images import bioio_file, pixel_sizes

        if bioio_file(path) is not None:
            found = pixel_sizes(path)
            if found is None:
                return None
            axes, lengths, units = found
            return Calibration.of(len(axes), lengths, units, axes)
        if path.is_dir():
            return _of_zarr(path)
        if path.suffix.lower() in (".tif", ".tiff"):
            return _of_tiff(path)
    return None


def _for_axes(given: list[Any], ndim: int, fill: Any, what: str) -> list[Any]:
    """Stretch what was given for rows and columns, or for all axes, to all axes."""
    if len(given) == 1:
        given = given * 2
    if len(given) not in (2, ndim):
        raise SettingsError(f"{len(given)} {what} for {ndim} axes; needed are 1, 2 or {ndim}.")
    return [fill] * (ndim - len(given)) + given


def _of_tiff(path: Path) -> Calibration | None:
    import tifffile

    try:
        with decoding(path), tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            axes = tuple(axis.lower() for axis in series.axes if axis != "S")
            if tiff.ome_metadata is not None:
                found = _of_ome(tifffile.xml2dict(tiff.ome_metadata), axes)
            else:
                found = _of_tags(tiff, axes)
    except FileError:
        return None  # damaged, which whoever reads the pixels will tell
    return found


def _of_ome(content: dict[str, Any], axes: tuple[str, ...]) -> Calibration | None:
    image = content["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    keys = {"x": "PhysicalSizeX", "y": "PhysicalSizeY", "z": "PhysicalSizeZ", "t": "TimeIncrement"}
    sizes, units = [], []
    for axis in axes:
        key = keys.get(axis, "")
        size = float(pixels.get(key, 0.0) or 0.0)
        # The unit that the standard takes for granted is left out by many writers.
        usual = "s" if axis == "t" else "um"
        sizes.append(size if size > 0 else 1.0)
        units.append(short_unit(pixels.get(f"{key}Unit", usual)) if size > 0 else _PIXEL)
    return _if_known(sizes, units, axes)


def _of_tags(tiff: Any, axes: tuple[str, ...]) -> Calibration | None:
    tags = tiff.pages[0].tags
    imagej = tiff.imagej_metadata or {}
    per_unit = [_ratio(tags, name) for name in ("YResolution", "XResolution")]
    unit = short_unit(imagej.get("unit", ""))
    unit_of = {"y": short_unit(imagej.get("yunit", unit)), "z": imagej.get("zunit", unit)}
    if not imagej:
        unit_tag = tags.get("ResolutionUnit")
        if unit_tag is None or int(unit_tag.value) != _CENTIMETRE_TAG:
            return None
        unit = unit_of["y"] = "um"
        per_unit = [n / 1e4 for n in per_unit]
    if unit == _PIXEL or not all(n > 0 for n in per_unit):
        return None
    sizes, units = [1.0] * len(axes), [_PIXEL] * len(axes)
    sizes[-2:], units[-2:] = [_tidy(1 / n) for n in per_unit], [unit_of["y"], unit]
    for index, axis in enumerate(axes[:-2]):
        if axis == "z" and imagej.get("spacing"):
            sizes[index], units[index] = float(imagej["spacing"]), short_unit(unit_of["z"])
        elif axis == "t" and imagej.get("finterval"):
            sizes[index] = float(imagej["finterval"])
            units[index] = short_unit(imagej.get("tunit", "s"))
    return _if_known(sizes, units, axes)


def _ratio(tags: Any, name: str) -> float:
    tag = tags.get(name)
    if tag is None:
        return 0.0
    above, below = tag.value
    return float(above / below) if below else 0.0


def _tidy(size: float) -> float:
    """Undo the rounding of ratios of 32-bit numbers, which tags of TIFF are."""
    return float(f"{size:.9g}")


def _of_zarr(path: Path) -> Calibration | None:
    import zarr

    try:
        with decoding(path):
            attributes: Any = dict(zarr.open_group(path, mode="r").attrs)
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        named = [a if isinstance(a, dict) else {"name": a} for a in multiscale["axes"]]
        steps = [
            *multiscale["datasets"][0].get("coordinateTransformations", []),
            *multiscale.get("coordinateTransformations", []),
        ]
        scales = [step["scale"] for step in steps if step.get("type") == "scale"]
        sizes = np.prod(np.array(scales, dtype=float), axis=0).tolist() if scales else []
    except (FileError, KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    if len(sizes) != len(named):
        return None
    # Some programs name the axis and leave out its type.
    channel = [axis.get("type") == "channel" or axis.get("name") == "c" for axis in named]
    kept = [index for index, is_one in enumerate(channel) if not is_one]
    units = [short_unit(named[i].get("unit", "")) for i in kept]
    return _if_known([sizes[i] for i in kept], units, tuple(str(named[i]["name"]) for i in kept))


def _if_known(sizes: list[float], units: list[str], axes: tuple[str, ...]) -> Calibration | None:
    found = Calibration(tuple(sizes), tuple(units), axes)
    good = len(axes) >= 2 and all(math.isfinite(size) and size > 0 for size in sizes)
    return found if good and found.known else None
