"""Names of images without their extension: dots within a name are part of it."""

from __future__ import annotations

import re

__all__ = ["file_name", "image_stem"]

# Extensions that images go by, whoever reads them; others, as in "plate1.A01", belong to the name.
_PLAIN = "tif tiff btf tf8 png jpg jpeg jpe jp2 j2k jxl webp bmp gif pgm ppm npy npz zarr"
_VENDORS = (
    "n5 h5 hdf5 ims czi nd2 lif lsm oib oif vsi svs ndpi scn mrxs qptiff dcm mrc nrrd nii stk flex"
)
_KNOWN = f"{_PLAIN} {_VENDORS} dv dm3 dm4 raw avi mp4 zip gz".replace(" ", "|")
_EXTENSION = re.compile(rf"(\.(ome|labels))?\.({_KNOWN})$", re.IGNORECASE)


def file_name(name: str) -> str:
    r"""Give the last part of a path, of whichever system it comes from.

    Examples
    --------
    >>> file_name(r"C:\data\a.tif"), file_name("data/a.tif")
    ('a.tif', 'a.tif')
    """
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def image_stem(name: str) -> str:
    """Take the folders and the extension off the name of an image, and nothing else.

    Examples
    --------
    >>> image_stem("a/plate1.A01.tif"), image_stem("plate1.A01"), image_stem("cells.ome.tif")
    ('plate1.A01', 'plate1.A01', 'cells')
    >>> image_stem(".tif")
    '.tif'
    """
    last = file_name(name)
    return _EXTENSION.sub("", last) or last
