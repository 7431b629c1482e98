"""ImageJ ROI files: one outline in a ``.roi``, many in a ``.zip``, as the ROI Manager saves them.

The format itself is left to the library roifile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.outlines import outline_of
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained, replacing
from napari_samhq.io.entries import Entries
from napari_samhq.io.imagej_areas import fill_roi
from napari_samhq.io.objects import FileObject, check_pixels
from napari_samhq.io.planes import Position

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "contents_of_rois",
    "parsed_roi",
    "position_of_roi",
    "read_imagej_rois",
    "write_imagej_rois",
]

_MOST_ROIS = 100_000
_LARGEST_BYTES = 2**28


def write_imagej_rois(
    path: str | Path, objects: Iterable[FileObject], *, overwrite: bool = False
) -> Path:
    """Write outlines for ImageJ's ROI Manager.

    Parameters
    ----------
    path : str or Path
        Ends in ``.zip``.
    objects : iterable of FileObject
        Their names, or "Object" and the label id, name the ROIs. Objects with holes or in several
        pieces become composite ROIs.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the name ends in something else, or the file cannot be written.
    """
    import zipfile
    from pathlib import Path

    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise FileError(f"{path} cannot hold several ROIs. Let the name end in .zip.")
    with (
        replacing(path, overwrite=overwrite) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for index, one in enumerate(objects, start=1):
            name = one.name or f"Object {one.label_id}"
            roi = _roi(one, name)
            for axis in ("t", "z", "c"):
                if (number := getattr(one.position, axis)) is not None:
                    setattr(roi, f"{axis}_position", number + 1)
            archive.writestr(f"{index:05d}-{_plain(name)}.roi", roi.tobytes())
    return path


def read_imagej_rois(
    path: str | Path, shape: tuple[int, int] | None = None, *, strict: bool = False
) -> list[FileObject]:
    """Read ROIs with an area from a ``.roi`` or ``.zip`` file.

    Parameters
    ----------
    path : str or Path
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is cut off.
    strict : bool, optional
        Refuse the file if a ROI cannot be used. Otherwise such ROIs are left out: damaged ones,
        those without an area or without a pixel in the image, and the notes that macOS adds.

    Returns
    -------
    list of FileObject
        Numbered from 1 in the order of the file. Ovals are filled as ellipses, as in ImageJ. Of a
        stack these are the objects of all planes, each with its position.

    Raises
    ------
    FileError
        If the file is damaged or too large, or none of its ROIs can be used.

    Warns
    -----
    SamHQWarning
        If ROIs were left out.
    """
    objects: list[FileObject] = []
    with Entries.of(path, "ROI", strict=strict) as entries:
        for name, content in contents_of_rois(path):
            with entries.each(name):
                roi = parsed_roi(content, name)
                where = f"{name} ({roi.name})" if roi.name else name
                mask = check_pixels(fill_roi(roi, shape, where), shape, where)
                number, position = len(objects) + 1, position_of_roi(roi)
                objects.append(FileObject(number, mask, name=roi.name, position=position))
    return objects


def contents_of_rois(path: str | Path) -> list[tuple[str, bytes]]:
    """Read the files of ROIs in an archive, or the one that `path` is, without parsing them."""
    import zipfile
    from pathlib import Path

    path = Path(path)
    if not path.is_file():
        raise FileError(f"There is no file {path}. Check the path.")
    with explained("read", path, "Check the permission to read it."):
        try:
            if path.suffix.lower() == ".zip":
                with zipfile.ZipFile(path) as archive:
                    entries = [e for e in archive.infolist() if e.filename.lower().endswith(".roi")]
                    total = sum(entry.file_size for entry in entries)
                    if len(entries) > _MOST_ROIS or total > _LARGEST_BYTES:
                        raise FileError(
                            f"{path} unpacks to {len(entries)} ROIs of {total} bytes; up to "
                            f"{_MOST_ROIS} ROIs and {_LARGEST_BYTES} bytes are read."
                        )
                    return [(e.filename, _unpacked(archive, e)) for e in entries]
            return [(path.name, path.read_bytes())]
        except (zipfile.BadZipFile, ValueError, IndexError, KeyError, EOFError) as error:
            raise FileError(f"{path} is no file of ImageJ ROIs: {error}.") from error


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read an entry; nothing where it is damaged, encrypted, or packed in a rare way."""
    import zipfile
    import zlib

    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError):
        return b""


def parsed_roi(content: bytes, name: str) -> Any:
    """Read a ROI.

    Raises
    ------
    FileError
        If it is none, or damaged.
    """
    import roifile

    if name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].startswith("._"):
        raise FileError(f"{name} is a note that macOS makes about a file, no ROI.")
    try:
        return roifile.ImagejRoi.frombytes(content)
    except Exception as error:
        # struct.error and others that the library lets through for damaged files.
        if isinstance(error, (OSError, MemoryError)):
            raise
        raise FileError(f"{name} is no ROI of ImageJ, or damaged: {error}.") from error


def _roi(one: FileObject, name: str) -> Any:
    import roifile

    outline: Any = outline_of(one.mask)
    if outline.geom_type == "Polygon" and not outline.interiors:
        corners = np.asarray(outline.exterior.coords)[:-1]
        roi = roifile.ImagejRoi.frompoints(corners, name=name)
        roi.roitype = roifile.ROI_TYPE.POLYGON
        return roi
    return _composite(outline, name)


def _composite(outline: Any, name: str) -> Any:
    """Several rings in one ROI: a path of moves, lines and ends, filled by the even-odd rule."""
    import roifile

    values: list[float] = []
    for part in getattr(outline, "geoms", [outline]):
        for ring in (part.exterior, *part.interiors):
            corners = np.asarray(ring.coords)[:-1].tolist()
            for index, (x, y) in enumerate(corners):
                values += [1.0 if index else 0.0, x, y]
            values.append(4.0)
    left, top, right, bottom = (int(value) for value in outline.bounds)
    roi = roifile.ImagejRoi()
    roi.name = name
    roi.roitype = roifile.ROI_TYPE.RECT
    roi.version = 228
    roi.left, roi.top, roi.right, roi.bottom = left, top, right, bottom
    roi.multi_coordinates = np.array(values, dtype=">f4")
    roi.shape_roi_size = len(values)
    return roi


def position_of_roi(roi: Any) -> Position:
    """Read in which plane of a stack a ROI lies; ImageJ counts from 1, and 0 is all of them."""
    found = {name: int(getattr(roi, f"{name}_position", 0) or 0) for name in ("t", "z", "c")}
    said = {name: number - 1 for name, number in found.items() if number > 0}
    if said:
        return Position(**said)
    number = int(getattr(roi, "position", 0) or 0)
    return Position(stack=number - 1) if number > 0 else Position()


def _plain(name: str) -> str:
    """Leave out what file names cannot have on one system or another."""
    return "".join(c if c.isalnum() or c in " -_." else "_" for c in name)[:80]
