"""Tracks as tables and as XML: CSV of napari's Tracks layers, and files that TrackMate opens."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained, replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["read_lineage", "read_tracks_csv", "write_trackmate", "write_tracks_csv"]

_AXES = ("t", "z", "y", "x")
_GRAPH = "# graph: "


def write_tracks_csv(
    path: str | Path,
    data: NDArray[Any],
    graph: Mapping[int, Sequence[int]] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the tracks of a Tracks layer.

    Parameters
    ----------
    path : str or Path
        ``.csv``: ID, T, (Z,) Y, X, and a first line with the graph, as JSON behind a ``#``.
    data : array of shape (n, 4) or (n, 5)
        Track, frame, and centre in pixels.
    graph : mapping of int to sequence of int, optional
        The parents of tracks.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If it cannot be written.
    """
    import pandas as pd

    data = np.asarray(data, dtype=np.float64)
    columns = ["ID", "T", *(["Z"] if data.shape[1] == 5 else []), "Y", "X"]
    table = pd.DataFrame(data, columns=columns).astype({"ID": "int64", "T": "int64"})
    told = {str(track): [int(one) for one in parents] for track, parents in (graph or {}).items()}
    with replacing(path, overwrite=overwrite) as temporary:
        text = table.to_csv(index=False, lineterminator="\n")
        temporary.write_text(f"{_GRAPH}{json.dumps(told)}\n{text}", encoding="utf-8")
    return Path(path)


def read_tracks_csv(path: str | Path) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
    """Read the tracks of a Tracks layer.

    Parameters
    ----------
    path : str or Path
        As :func:`write_tracks_csv` writes it. Without the line of the graph there is none. Columns
        may be named in small letters, and the first one track or track_id.

    Returns
    -------
    data : ndarray of shape (n, 4) or (n, 5)
        Track, frame, and centre in pixels.
    graph : dict of int to list of int
        The parents of tracks.

    Raises
    ------
    FileError
        If it is no such table.
    """
    import pandas as pd

    path = Path(path)
    with explained("read", path, "Choose another file."):
        first = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    graph: dict[int, list[int]] = {}
    try:
        if first.startswith(_GRAPH):
            told = json.loads(first[len(_GRAPH) :])
            graph = {int(track): [int(one) for one in ones] for track, ones in told.items()}
        table = pd.read_csv(path, comment="#")
    except (ValueError, AttributeError, TypeError) as error:
        raise FileError(f"{path} is no table of tracks: {error}.") from error
    known = {str(name).strip().lower(): name for name in table.columns}
    track = next((known[name] for name in ("id", "track", "track_id") if name in known), None)
    axes = [known[axis] for axis in _AXES if axis in known]
    if track is None or not {"t", "y", "x"} <= known.keys():
        raise FileError(
            f"{path} has the columns {', '.join(map(str, table.columns))}; tracks have ID, T, Y "
            "and X, and Z in volumes."
        )
    data = table[[track, *axes]].to_numpy(dtype=np.float64)
    if not np.isfinite(data).all():
        raise FileError(f"{path} has empty cells among its tracks. Fill them, or delete the lines.")
    return data[np.lexsort((data[:, 1], data[:, 0]))], graph


def read_lineage(path: str | Path) -> pd.DataFrame:
    """Read a table of tracks: track, start, end, parent.

    Parameters
    ----------
    path : str or Path
        CSV; other columns are left out.

    Returns
    -------
    DataFrame

    Raises
    ------
    FileError
        If a column is missing, or holds other things than whole numbers.
    """
    import pandas as pd

    path, columns = Path(path), ["track", "start", "end", "parent"]
    with explained("read", path, "Choose another file."):
        try:
            return pd.read_csv(path)[columns].astype("int64")
        except (ValueError, KeyError) as error:
            raise FileError(
                f"{path} is no lineage: {error}. It has the columns {', '.join(columns)}, of whole "
                "numbers."
            ) from error


def write_trackmate(
    path: str | Path,
    data: NDArray[Any],
    graph: Mapping[int, Sequence[int]] | None = None,
    *,
    pixel_size: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Write spots and edges as TrackMate's XML.

    Parameters
    ----------
    path : str or Path
        ``.xml``.
    data, graph
        As :func:`write_tracks_csv` takes them.
    pixel_size : float, optional
        Side of a pixel, in um; positions are written in um.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If it cannot be written.
    """
    from xml.etree import ElementTree

    data = np.asarray(data, dtype=np.float64)
    root = ElementTree.Element("TrackMate", version="7.11.1")
    units = {"spatialunits": "um", "timeunits": "frame"}
    model = ElementTree.SubElement(root, "Model", units)
    _declare_features(model)
    spots = ElementTree.SubElement(model, "AllSpots", nspots=str(len(data)))
    for frame in np.unique(data[:, 1]).astype(int).tolist():
        group = ElementTree.SubElement(spots, "SpotsInFrame", frame=str(frame))
        for number in np.flatnonzero(data[:, 1] == frame).tolist():
            *_, y, x = data[number] * pixel_size
            z = data[number, 2] * pixel_size if data.shape[1] == 5 else 0.0
            values = {"POSITION_X": x, "POSITION_Y": y, "POSITION_Z": z, "POSITION_T": frame}
            told = {name: f"{value:.6g}" for name, value in values.items()}
            about = {"ID": str(number), "name": f"ID{number}", "FRAME": str(frame)}
            more = {"QUALITY": "1.0", "RADIUS": "1.0", "VISIBILITY": "1"}
            ElementTree.SubElement(group, "Spot", {**about, **told, **more})
    _write_edges(model, data, graph or {})
    ElementTree.indent(root)
    with replacing(path, overwrite=overwrite) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="UTF-8", xml_declaration=True)
    return Path(path)


def _declare_features(model: Any) -> None:
    """List the features that spots and edges have, which TrackMate wants to know first."""
    from xml.etree import ElementTree

    declared = ElementTree.SubElement(model, "FeatureDeclarations")
    spots = ElementTree.SubElement(declared, "SpotFeatures")
    features = [(f"POSITION_{axis}", axis, "POSITION", "false") for axis in "XYZ"]
    features += [("POSITION_T", "T", "TIME", "false"), ("FRAME", "Frame", "NONE", "true")]
    features += [("QUALITY", "Quality", "QUALITY", "false"), ("RADIUS", "R", "LENGTH", "false")]
    features += [("VISIBILITY", "Visibility", "NONE", "true")]
    for name, short, dimension, is_whole in features:
        about = {"feature": name, "name": short, "shortname": short, "dimension": dimension}
        ElementTree.SubElement(spots, "Feature", about | {"isint": is_whole})
    edges = ElementTree.SubElement(declared, "EdgeFeatures")
    for name in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID"):
        about = {"feature": name, "name": name, "shortname": name, "dimension": "NONE"}
        ElementTree.SubElement(edges, "Feature", about | {"isint": "true"})
    ElementTree.SubElement(declared, "TrackFeatures")


def _write_edges(model: Any, data: NDArray[Any], graph: Mapping[int, Sequence[int]]) -> None:
    """Write one track for all that is connected by divisions: TrackMate's tracks branch."""
    from xml.etree import ElementTree

    order = np.lexsort((data[:, 1], data[:, 0]))
    spots: dict[int, list[int]] = {}
    for number in order.tolist():
        spots.setdefault(int(data[number, 0]), []).append(number)
    family: dict[int, int] = {}

    def first(track: int) -> int:
        while graph.get(track):
            track = int(graph[track][0])
        return track

    tracks = ElementTree.SubElement(model, "AllTracks")
    elements: dict[int, Any] = {}
    for track, numbers in spots.items():
        founder = first(track)
        if founder not in elements:
            family[founder] = len(family)
            about = {"name": f"Track_{family[founder]}", "TRACK_ID": str(family[founder])}
            elements[founder] = ElementTree.SubElement(tracks, "Track", about)
        pairs = list(pairwise(numbers))
        pairs += [(spots[int(one)][-1], numbers[0]) for one in graph.get(track, [])]
        for source, target in pairs:
            edge = {"SPOT_SOURCE_ID": str(source), "SPOT_TARGET_ID": str(target)}
            ElementTree.SubElement(elements[founder], "Edge", edge)
    kept = ElementTree.SubElement(model, "FilteredTracks")
    for founder, element in elements.items():
        if len(element):
            ElementTree.SubElement(kept, "TrackID", TRACK_ID=str(family[founder]))
        else:  # a spot by itself is no track there
            tracks.remove(element)
