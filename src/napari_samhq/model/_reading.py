"""Reading weights files without running code.

A ``.safetensors`` file holds numbers only. A ``.pth`` file is a pickle, which can hold a program;
it is read with ``weights_only=True`` and nothing else, by a torch that has no known way around
that. What a file holds is decided by its first bytes, never by its name, so a web page saved as
``model.pth`` is called a web page.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import CheckpointError, FileError

if TYPE_CHECKING:
    import os

__all__ = ["read_tensors", "some_names"]

#: The first torch whose restricted unpickler has no known memory corruption (CVE-2026-24747).
OLDEST_SAFE_TORCH = (2, 10)
#: Keys under which training scripts wrap the tensors of a checkpoint.
_WRAPPERS = ("model", "state_dict")
#: Everything ``torch.save`` puts into its archive, apart from the numbers themselves.
_ARCHIVE_ENTRIES = frozenset(
    {
        "data.pkl",
        "byteorder",
        "version",
        ".format_version",
        ".storage_alignment",
        ".data/serialization_id",
    }
)
#: How the two forms of ``torch.save`` begin: an archive, and before torch 1.6 a pickled number.
_MAGIC = {"zip": b"PK\x03\x04", "legacy": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."}
_SHOWN = 3


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read every tensor of a weights file, without running any code that the file may hold.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a ``.pth`` file written by ``torch.save``. Tensors wrapped in
        a dictionary under ``"model"`` or ``"state_dict"``, and names that all begin with
        ``module.`` (as left by data-parallel training), are unwrapped.

    Returns
    -------
    dict of str to Tensor
        On the CPU, in the data types of the file.

    Raises
    ------
    FileError
        There is no readable file at ``path``.
    CheckpointError
        The file is damaged, is not a weights file, or holds anything but tensors.

    Examples
    --------
    >>> import tempfile, torch
    >>> from napari_samhq.model.serialization import write_tensors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "model.safetensors"
    ...     write_tensors(file, {"bias": torch.ones(2)})
    ...     read_tensors(file)
    {'bias': tensor([1., 1.])}
    """
    path = Path(path)
    kind = _kind_of_file(path)
    tensors = _read_safetensors(path) if kind == "safetensors" else _read_pickle(path, kind)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; weights of a SAM-HQ model were needed.")
    return tensors


def some_names(names: Iterable[str]) -> str:
    """List the first names and count the rest, for a message."""
    names = list(names)
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _kind_of_file(path: Path) -> str:
    """Tell from its first bytes what a file is: ``safetensors``, ``zip`` or ``legacy``."""
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise FileError(
            f"Could not read the weights file {path}: {error.strerror or error}."
        ) from error
    again = "Fetch the file again, or choose another one."
    if not head:
        raise CheckpointError(f"{path} is empty; a weights file was needed. {again}")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise CheckpointError(
            f"{path} is a web page, not a weights file (a download page was saved?). {again}"
        )
    if text.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not the weights themselves. "
            "Run `git lfs pull` in its repository."
        )
    # A safetensors file is the length of its header in eight bytes, then the header, which is JSON.
    if head[8:9] == b"{" and not head.startswith(b"PK"):
        return "safetensors"
    kind = next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)
    if kind is not None:
        if path.suffix.lower() == ".safetensors":
            # Who gave it that name wants it to pass for a file that cannot hold code.
            raise CheckpointError(
                f"{path} is named like a safetensors file but is a pickle, which can hold code; it "
                f"was not read. {again} If you trust it, rename it to .pth."
            )
        return kind
    raise CheckpointError(
        f"{path} is neither a safetensors file nor a checkpoint of PyTorch "
        f"(it begins with {head[:8]!r}). {again}"
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is a damaged safetensors file: {error}. "
            "It may be cut short; fetch or copy it again."
        ) from error


def _read_pickle(path: Path, kind: str) -> dict[str, Tensor]:
    """Read a file of ``torch.save`` with the unpickler that builds tensors and containers only."""
    _check_torch()
    if kind == "zip":
        _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors ({_first_line(error)}). It was refused, because a "
            "pickle can run code. Ask its author for a .safetensors file; if it is yours, save the "
            "tensors alone, torch.save(model.state_dict(), ...), and `napari-samhq convert` those."
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"{path} is a damaged checkpoint of PyTorch ({_first_line(error)}). "
            "It may be cut short; fetch or copy it again."
        ) from error
    return _plain_tensors(content, path)


def _check_torch() -> None:
    """Refuse to unpickle with a torch whose restricted unpickler can be broken out of."""
    parts = torch.__version__.split("+")[0].split(".")
    if (int(parts[0]), int(parts[1])) < OLDEST_SAFE_TORCH:
        raise CheckpointError(
            f"This is torch {torch.__version__}; .pth files are read with torch "
            f"{OLDEST_SAFE_TORCH[0]}.{OLDEST_SAFE_TORCH[1]} or newer, because a crafted file can "
            "take over older ones (CVE-2026-24747). Run `pip install -U torch`, or use a "
            ".safetensors file."
        )


def _check_archive(path: Path) -> None:
    """Accept an archive only if it holds what ``torch.save`` writes and nothing else."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path} is a damaged checkpoint of PyTorch ({error}). "
            "It may be cut short; fetch or copy it again."
        ) from error
    names = [entry.filename for entry in entries]
    roots = {name.split("/", 1)[0] for name in names}
    inner = [name.split("/", 1)[-1] for name in names]
    extra = [n for n, i in zip(names, inner, strict=True) if not _belongs(i)]
    if len(roots) != 1 or "data.pkl" not in inner or extra or len(set(names)) != len(names):
        shown = some_names(extra or names)
        raise CheckpointError(
            f"{path} is an archive, but not of weights: it holds {shown}. "
            "Choose a .safetensors file, or a .pth file of torch.save(model.state_dict(), ...)."
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path} is a compressed archive, which torch.save never writes. "
            "Choose a .safetensors file, or save the weights again with torch.save."
        )


def _belongs(name: str) -> bool:
    return name in _ARCHIVE_ENTRIES or (name.startswith("data/") and name[5:].isdigit())


def _plain_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """Unwrap the dictionary of tensors that a checkpoint holds and refuse anything else in it."""
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}; a dictionary of tensors by name was needed."
        )
    other = [str(name) for name, value in content.items() if not _is_plain_tensor(name, value)]
    if other:
        raise CheckpointError(
            f"{path} holds other things than plain tensors ({some_names(other)}); a dictionary of "
            "tensors by name was needed. Save it again with torch.save(model.state_dict(), ...)."
        )
    prefix = "module." if content and all(name.startswith("module.") for name in content) else ""
    return {name.removeprefix(prefix): value.detach() for name, value in content.items()}


def _is_plain_tensor(name: Any, value: Any) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_complex()
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
