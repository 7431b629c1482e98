"""Plates and series of OME-Zarr for tests, written as the specifications say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

SHAPE = (40, 60)


def pixels(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 4000, shape, dtype=np.uint16)


def write_plate(path, version="0.4", wells=("A/1", "B/03"), fields=("0", "1")):
    """Write a plate as the specification says, each image of its own grey."""
    form = 2 if version == "0.4" else 3

    def about(group, key, value):
        if form == 2:
            group.attrs[key] = value
        else:
            group.attrs["ome"] = {"version": "0.5", key: value}

    root = zarr.open_group(path, mode="w", zarr_format=form)
    about(root, "plate", {"wells": [{"path": one} for one in wells]})
    number = 0
    for well in wells:
        group = root.require_group(well)
        about(group, "well", {"images": [{"path": one} for one in fields]})
        for field in fields:
            number += 1
            image = group.require_group(field)
            axes = [{"name": name} for name in "cyx"]
            multiscale = {"axes": axes, "datasets": [{"path": "0"}]}
            about(image, "multiscales", [multiscale])
            image.create_array("0", data=pixels(number, (2, *SHAPE)))
    return path


def write_series(path, count=2):
    """Write what bioformats2raw makes of a file of several series."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for number in range(count):
        image = root.require_group(str(number))
        axes = [{"name": name} for name in "tczyx"]
        image.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
        image.create_array("0", data=pixels(number, (1, 1, 1, *SHAPE)))
    ome = root.require_group("OME")
    ome.attrs["series"] = [str(number) for number in range(count)]
    (Path(path) / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    return path
