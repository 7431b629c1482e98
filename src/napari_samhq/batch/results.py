"""Results of tiles, kept in memory or in a folder until they are merged."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.tiles.stitching import Candidate, TileAnswer
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_samhq.batch.plan import TileKey

__all__ = [
    "FolderResults",
    "MemoryResults",
    "Results",
    "answer_from_bytes",
    "answer_to_bytes",
    "write_whole",
]

_REMEMBERED_TILES = 64  # about what three rows of tiles in a large image need


class Results(Protocol):
    """The answers of tiles, by tile."""

    def put(self, key: TileKey, answer: TileAnswer) -> None:
        """Keep an answer. Doing it twice makes no difference."""
        ...

    def get(self, key: TileKey) -> TileAnswer:
        """Look up an answer that is there."""
        ...

    def __contains__(self, key: TileKey) -> bool: ...

    def done(self) -> dict[TileKey, int]:
        """Tell which answers are there, and how many points each left unfinished."""
        ...


class MemoryResults:
    """Answers kept in memory."""

    def __init__(self) -> None:
        self._answers: dict[TileKey, TileAnswer] = {}

    def put(self, key: TileKey, answer: TileAnswer) -> None:
        """Keep an answer."""
        self._answers[key] = answer

    def get(self, key: TileKey) -> TileAnswer:
        """Look up an answer."""
        return self._answers[key]

    def __contains__(self, key: TileKey) -> bool:
        return key in self._answers

    def done(self) -> dict[TileKey, int]:
        """Tell which answers are there, and how many points each left unfinished."""
        return {key: len(answer.unfinished) for key, answer in self._answers.items()}


class FolderResults:
    """Answers kept in files, each with a note of its checksum that is written after it.

    An answer counts from the moment the note is there. Writers may be killed at any time, and may
    do the same work twice.

    Parameters
    ----------
    folder : str or Path
        Made when the first answer comes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._read = lru_cache(_REMEMBERED_TILES)(self._read_file)

    def put(self, key: TileKey, answer: TileAnswer) -> None:
        """Write an answer.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        data = answer_to_bytes(answer)
        note = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "candidates": len(answer.candidates),
            "unfinished": len(answer.unfinished),
        }
        write_whole(self._path(key, ".npz"), data)
        write_whole(self._path(key, ".done.json"), json.dumps(note, sort_keys=True).encode())

    def get(self, key: TileKey) -> TileAnswer:
        """Read an answer.

        Raises
        ------
        FileError
            If it is not there, or damaged.
        """
        return self._read(key)

    def __contains__(self, key: TileKey) -> bool:
        return self._path(key, ".done.json").exists()

    def done(self) -> dict[TileKey, int]:
        """Look at all answers; those that are damaged or were not finished do not count.

        Returns
        -------
        dict of TileKey to int
            How many points each left unfinished.
        """
        found = {}
        for path in sorted(self.folder.glob("*/*/*.done.json")):
            key = (int(path.parts[-3]), int(path.name.split(".")[0]))
            unfinished = self._checked(key, path)
            if unfinished is not None:
                found[key] = unfinished
        return found

    def _checked(self, key: TileKey, note_path: Path) -> int | None:
        try:
            note = json.loads(note_path.read_bytes())
            is_whole = _sha256(self._path(key, ".npz")) == note["sha256"]
            return int(note["unfinished"]) if is_whole else None
        except (OSError, ValueError, KeyError, TypeError):  # damaged: the tile is done again
            return None

    def _path(self, key: TileKey, suffix: str) -> Path:
        level, index = key
        return self.folder / str(level) / str(index // 1000) / f"{index}{suffix}"

    def _read_file(self, key: TileKey) -> TileAnswer:
        path = self._path(key, ".npz")
        with explained("read", path, "Start the run again: it does lost parts anew."):
            return answer_from_bytes(path.read_bytes(), path)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    FileError
        If it cannot be written; nothing is left behind then.
    """
    doing = f"write ({len(data)} bytes)"
    with explained(doing, path, "Free some space, and start the run again: it goes on from here."):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def answer_to_bytes(answer: TileAnswer) -> bytes:
    """Write down an answer; equal answers give equal bytes."""
    found = answer.candidates
    masks = [candidate.mask for candidate in found]
    boxes = [(m.top, m.left, m.height, m.width, c.step) for m, c in zip(masks, found, strict=True)]
    values = [(c.score, c.stability, *c.point_rc) for c in found]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        boxes=np.array(boxes, dtype=np.int64).reshape(-1, 5),
        values=np.array(values, dtype=np.float64).reshape(-1, 4),
        bits=np.frombuffer(b"".join(mask.bits for mask in masks), dtype=np.uint8),
        unfinished=np.array(answer.unfinished, dtype=np.float64).reshape(-1, 2),
    )
    return buffer.getvalue()


def answer_from_bytes(data: bytes, path: Path) -> TileAnswer:
    """Read what :func:`answer_to_bytes` wrote; the path is for the message.

    Raises
    ------
    FileError
        If it is something else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            boxes, values = arrays["boxes"].tolist(), arrays["values"].tolist()
            bits, unfinished = arrays["bits"].tobytes(), arrays["unfinished"].tolist()
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"{path} is damaged: {error}. Start the run again.") from error
    return TileAnswer(
        tuple(_candidates(boxes, values, bits)), tuple((row, col) for row, col in unfinished)
    )


def _candidates(boxes: list[Any], values: list[Any], bits: bytes) -> Iterator[Candidate]:
    start = 0
    for (top, left, height, width, step), (score, stability, row, col) in zip(
        boxes, values, strict=True
    ):
        stop = start + -(-height * width // 8)
        mask = CroppedMask.of_bits((top, left), (height, width), bits[start:stop])
        yield Candidate.of(mask, score, stability, (row, col), step)
        start = stop


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
