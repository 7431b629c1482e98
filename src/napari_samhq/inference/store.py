"""Store of embeddings, in memory and on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.core.util.notes import collected_notes, note
from napari_samhq.errors import FileError
from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.source import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_samhq.inference.prediction import SupportsPrediction

__all__ = ["EmbeddingStore", "embedding_key"]

_SCHEMA = 1  # part of every key: entries of other versions of this format are never looked at
_SUFFIX = ".safetensors"
_PARTIAL = ".partial"
_STALE_S = 600.0  # no entry takes so long to write: its writer is gone
_AFTER_EVICTION = 0.9  # of the limit, so that not every new entry has to make room


def embedding_key(predictor: SupportsPrediction, rgb8: NDArray[np.uint8]) -> str:
    """Name what a model sees in a picture.

    Parameters
    ----------
    predictor : SupportsPrediction
        Its weights, precision and input size are part of the name.
    rgb8 : ndarray of shape (h, w, 3), uint8
        The picture as it is given to the model. Its values follow from the image's content, the
        level, the window and the intensity mapping, so that all of these are part of the name too,
        and equal pictures (empty background) share an entry.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    model = (_SCHEMA, predictor.fingerprint, predictor.precision, predictor.input_size)
    return hashlib.blake2b(f"{model} {digest(rgb8)}".encode(), digest_size=32).hexdigest()


class EmbeddingStore:
    """Remembers embeddings by key; the ones not used for longest go first.

    Parameters
    ----------
    folder : str or Path, optional
        Where to keep them on disk too, in float16. It is made if it does not exist; several
        processes may share it. Without it nothing is written.
    memory_bytes : int, optional
        What the embeddings in memory may take.
    disk_bytes : int, optional
        What the folder may take; without limit when left out.

    Raises
    ------
    FileError
        If the folder cannot be made.

    Notes
    -----
    An entry is one safetensors file, written beside its place and then renamed, so that a reader
    finds all of it or nothing, whatever happens to the writer. A checksum covers its values and
    sizes; a damaged entry is removed with a warning, and made anew by whoever needs it. Files are
    read as a whole, so that an entry can be evicted while another process reads it.

    With a folder, what :meth:`put` returns is rounded to float16 as the entry on disk is: answers
    do not depend on whether an embedding was made a moment ago or last week.

    Examples
    --------
    >>> store = EmbeddingStore(memory_bytes=2**28)
    >>> store.get("no such key") is None
    True
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        memory_bytes: int = 2**29,
        disk_bytes: int | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.memory_bytes, self.disk_bytes = memory_bytes, disk_bytes
        self._seen: OrderedDict[str, ImageEmbedding] = OrderedDict()
        self._lock = threading.Lock()
        self._disk_used = 0
        if self.folder is not None:
            _make(self.folder)
            self._sweep(_STALE_S)
            self._disk_used = sum(size for _, size, _ in self._entries())

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry, in memory or on disk, without checking it."""
        with self._lock:
            return key in self._seen or (self.folder is not None and self._path(key).exists())

    @property
    def nbytes(self) -> int:
        """What the embeddings in memory take."""
        with self._lock:
            return sum(embedding.nbytes for embedding in self._seen.values())

    def get(self, key: str, device: Any = "cpu") -> ImageEmbedding | None:
        """Find an embedding.

        Parameters
        ----------
        key : str
            As :func:`embedding_key` gives it.
        device : torch.device or str, optional
            Where to put what comes from disk.

        Returns
        -------
        ImageEmbedding or None
            In float32; None where there is none, or a damaged one.

        Warns
        -----
        SamHQWarning
            If an entry was damaged. It is gone then.
        """
        with self._lock:
            if key in self._seen:
                self._seen.move_to_end(key)
                return self._seen[key]
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(f"Cannot read {path}: {error.strerror}. It is made anew.")
            return None
        try:
            embedding = _unpacked(content, device)
        except _DamagedError as error:
            _warn(f"The entry {path} is damaged ({error}). It was removed and is made anew.")
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # a folder that may only be read keeps its old times
            os.utime(path)
        self._remember(key, embedding)
        return embedding

    def put(self, key: str, embedding: ImageEmbedding) -> ImageEmbedding:
        """Keep an embedding.

        Parameters
        ----------
        key : str
            As :func:`embedding_key` gives it.
        embedding : ImageEmbedding
            To be kept.

        Returns
        -------
        ImageEmbedding
            The one to use from now on: with a folder, rounded to float16.

        Raises
        ------
        FileError
            If it cannot be written; the message tells how much space it needs. It is in memory
            then.
        """
        if self.folder is None or not _fits_half(embedding):
            self._remember(key, embedding)
            return embedding
        rounded = replace(
            embedding,
            image_embedding=embedding.image_embedding.half().float().contiguous(),
            hq_features=embedding.hq_features.half().float().contiguous(),
        )
        self._remember(key, rounded)
        if not self._path(key).exists():
            self._write(self._path(key), _packed(rounded))
        return rounded

    def see(
        self,
        predictor: SupportsPrediction,
        rgb8: NDArray[np.uint8],
        *,
        looking: Callable[[], None] | None = None,
    ) -> ImageEmbedding:
        """Find what a model sees in a picture, or let it look now, and keep that.

        Parameters
        ----------
        predictor : SupportsPrediction
            The model.
        rgb8 : ndarray of shape (h, w, 3), uint8
            The picture as it is given to the model.
        looking : callable, optional
            Called before the model looks; may raise to stop.

        Returns
        -------
        ImageEmbedding
            On the predictor's device.

        Raises
        ------
        OutOfMemoryError
            As the predictor does.

        Warns
        -----
        SamHQWarning
            If an entry was damaged, or the new one cannot be written.
        """
        key = embedding_key(predictor, rgb8)
        embedding = self.get(key, getattr(predictor, "device", "cpu"))
        if embedding is not None:
            return embedding
        if looking is not None:
            looking()
        with collected_notes():  # they were told when the mapping of the image was measured
            embedding = predictor.embed(rgb8)
        try:
            return self.put(key, embedding)
        except FileError as error:
            _warn(f"{error} Until then, what the model saw is kept in memory only.")
            return self.get(key) or embedding

    def _remember(self, key: str, embedding: ImageEmbedding) -> None:
        with self._lock:
            self._seen[key] = embedding
            self._seen.move_to_end(key)
            used = sum(one.nbytes for one in self._seen.values())
            while len(self._seen) > 1 and used > self.memory_bytes:
                used -= self._seen.popitem(last=False)[1].nbytes

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _write(self, path: Path, content: bytes) -> None:
        if self.disk_bytes is not None and len(content) > self.disk_bytes:
            return
        _make(path.parent)
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}{_PARTIAL}")
        try:
            # Not flushed to the disk itself: after a power cut the checksum tells what is missing.
            with temporary.open("xb") as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError as error:
            if path.exists():  # on Windows, when another process wrote the same and reads it now
                return
            reason = (error.strerror or str(error)).rstrip(".")
            raise FileError(
                f"Cannot write {path}: {reason}. {len(content)} bytes are needed. Free some space, "
                "or choose another folder for embeddings."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        with self._lock:
            self._disk_used += len(content)
            is_over = self.disk_bytes is not None and self._disk_used > self.disk_bytes
        if is_over:
            self._evict(keep=path)

    def _evict(self, keep: Path) -> None:
        """Remove the entries on disk that were not used for longest."""
        assert self.disk_bytes is not None
        entries = sorted(self._entries())  # counted anew: other processes write and evict too
        used = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if used <= _AFTER_EVICTION * self.disk_bytes:
                break
            if path == keep:
                continue
            with contextlib.suppress(PermissionError):  # on Windows, while it is read
                path.unlink(missing_ok=True)
                used -= size
        with self._lock:
            self._disk_used = used

    def _entries(self) -> list[tuple[float, int, Path]]:
        """List when each entry was used last, its bytes, and its path."""
        assert self.folder is not None
        entries = []
        for path in self.folder.glob(f"??/*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # evicted meanwhile by another process
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        return entries

    def _sweep(self, older_than_s: float) -> None:
        """Remove what writers left behind that were killed."""
        assert self.folder is not None
        for path in self.folder.glob(f"??/.*{_PARTIAL}"):
            with contextlib.suppress(OSError):  # gone meanwhile, or in a folder only to be read
                if time.time() - path.stat().st_mtime >= older_than_s:
                    path.unlink()


class _DamagedError(Exception):
    """An entry is not what was written."""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Cannot make the folder {folder} for embeddings: {error.strerror}. Choose another one."
        ) from error


def _fits_half(embedding: ImageEmbedding) -> bool:
    """Whether float16 holds all values; some weights give larger ones than it knows."""
    largest = 65504.0
    return all(
        float(tensor.abs().max()) <= largest
        for tensor in (embedding.image_embedding, embedding.hq_features)
    )


def _packed(embedding: ImageEmbedding) -> bytes:
    from safetensors.torch import save

    tensors = {
        "image_embedding": embedding.image_embedding.half().cpu().contiguous(),
        "hq_features": embedding.hq_features.half().cpu().contiguous(),
    }
    facts = {
        "image_shape": embedding.image_shape,
        "input_shape": embedding.input_shape,
        "input_size": embedding.input_size,
        "model_fingerprint": embedding.model_fingerprint,
        "contrast_limits": embedding.contrast_limits,
    }
    words = json.dumps(facts)
    metadata = {"facts": words, "checksum": _checksum(words, tensors)}
    return save(tensors, metadata)


def _unpacked(content: bytes, device: Any) -> ImageEmbedding:
    import safetensors
    from safetensors.torch import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header["__metadata__"]
        words = metadata["facts"]
        if metadata["checksum"] != _checksum(words, tensors):
            raise _DamagedError("its checksum is another one")
        facts = json.loads(words)
        limits = facts["contrast_limits"]
        return ImageEmbedding(
            image_embedding=tensors["image_embedding"].to(device).float(),
            hq_features=tensors["hq_features"].to(device).float(),
            image_shape=tuple(facts["image_shape"]),
            input_shape=tuple(facts["input_shape"]),
            input_size=facts["input_size"],
            model_fingerprint=facts["model_fingerprint"],
            contrast_limits=None if limits is None else tuple(limits),
        )
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _DamagedError(str(error)) from error


def _checksum(words: str, tensors: dict[str, Tensor]) -> str:
    """Hash names, types, shapes and values, and so all of the header that counts."""
    hasher = hashlib.blake2b(words.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {digest(tensor.numpy())}".encode())
    return hasher.hexdigest()


def _warn(message: str) -> None:
    note(message, stacklevel=3)
