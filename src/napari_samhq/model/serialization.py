"""Weights files: reading without running code, strict loading, atomic writing."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointError, FileError
from ._reading import read_tensors, some_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "check_finite",
    "load_strict",
    "read_tensors",
    "replacing",
    "without_random_weights",
    "write_tensors",
]


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that contain NaN or infinity.

    Parameters
    ----------
    tensors
        Tensors by name.
    source
        What the tensors were read from, for the message.

    Raises
    ------
    CheckpointError
        At least one value is not finite; the message names the first tensors.
    """
    bad = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if bad:
        raise CheckpointError(
            f"{source} holds NaN or infinite values in {some_names(bad)}; every prediction would "
            "be wrong. Training may have diverged, or the file is damaged: use an earlier "
            "checkpoint or fetch it again."
        )


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a module, all of them or none.

    Names and shapes must be exactly the module's. Where the module holds one tensor under two
    names, either name is enough; when both are given they must be equal. Values are converted to
    the module's data types (so float16 and bfloat16 files load into a float32 module). A module
    built on the ``meta`` device gets memory on the CPU, which spares its random initialisation.

    Parameters
    ----------
    module
        The module to fill. It is unchanged when an error is raised.
    tensors
        Tensors by the module's own names.
    source
        What the tensors were read from, for the message.

    Raises
    ------
    CheckpointError
        Names are missing or unexpected, shapes or kinds of number differ, or values are not finite.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> load_strict(layer, {"weight": torch.ones(1, 2)}, "half a layer")
    Traceback (most recent call last):
    ...
    napari_samhq.errors.CheckpointError: half a layer does not fit Linear: 1 missing (bias). ...
    """
    wanted: dict[str, Tensor] = module.state_dict(keep_vars=True)
    complete = dict(tensors)
    for names in _shared_names(wanted):
        _complete_shared(complete, names, source)
    _check_names_and_shapes(module, wanted, complete, source)
    check_finite(complete, source)
    if any(tensor.is_meta for tensor in wanted.values()):
        module.load_state_dict(_materialised(wanted, complete), strict=True, assign=True)
    else:
        module.load_state_dict(complete, strict=True)


class without_random_weights(TorchFunctionMode):  # a context, used like a function
    """While this lasts modules are made without random weights, for those that get others anyway.

    On the `meta` device torch would run its initialisation through its compiler, which exchanges
    Python's way to evaluate functions, for all threads: a window that is drawn meanwhile crashes.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Leave out what `torch.nn.init` would do."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a ``.safetensors`` file: the whole file or, on failure, nothing.

    The file is written beside its target under a temporary name and then renamed, so a reader
    sees the old file or the new one, and a full disk leaves the old one intact.

    Parameters
    ----------
    path
        The file to write; an existing one is replaced.
    tensors
        Tensors by name, on any device. One tensor under two names is stored twice.
    metadata
        Strings to store in the header; ``format`` is always ``"pt"``, which other readers ask for.

    Raises
    ------
    FileError
        The file could not be written.
    """
    path = Path(path)
    plain = _unshared(tensors)
    size = sum(tensor.numel() * tensor.element_size() for tensor in plain.values())
    try:
        with replacing(path) as temporary:
            save_file(plain, temporary, metadata={**(metadata or {}), "format": "pt"})
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"Could not write {path} ({size / 1e6:.1f} MB): {error}. Nothing was changed; "
            "check that the folder exists, is writable and has room."
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, which takes its place when the block ends well.

    Parameters
    ----------
    path
        The file to write or to replace.

    Yields
    ------
    Path
        Where to write. It is removed when the block raises, and ``path`` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    # The extremes are NaN as soon as one value is; unlike isfinite() they need no second copy.
    low, high = torch.aminmax(tensor.detach())
    return bool(torch.isfinite(low) & torch.isfinite(high))


def _materialised(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors into parameters of their own, one per tensor of the module, shared ones once."""
    made: dict[int, Tensor] = {}
    tensors: dict[str, Tensor] = {}
    for name, old in wanted.items():
        if id(old) not in made:
            # A copy: what was read may be a view of the file on disk, which can change.
            new = given[name].detach().to(device="cpu", dtype=old.dtype, copy=True)
            trainable = isinstance(old, nn.Parameter)
            made[id(old)] = nn.Parameter(new, old.requires_grad) if trainable else new
        tensors[name] = made[id(old)]
    return tensors


def _shared_names(wanted: Mapping[str, Tensor]) -> list[list[str]]:
    """Group the names under which a module holds one and the same tensor."""
    groups: dict[int, list[str]] = {}
    for name, tensor in wanted.items():
        groups.setdefault(id(tensor), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _complete_shared(tensors: dict[str, Tensor], names: list[str], source: str) -> None:
    given = [name for name in names if name in tensors]
    if not given:
        return
    first = tensors[given[0]]
    for name in given[1:]:
        if not torch.equal(first, tensors[name]):
            raise CheckpointError(
                f"{source}: {given[0]} and {name} are one tensor in the model, but differ in the "
                "file. The file mixes two models; use an unmodified checkpoint."
            )
    for name in names:
        tensors.setdefault(name, first)


def _check_names_and_shapes(
    module: nn.Module, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str
) -> None:
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    misshapen = [
        f"{name}: {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    misfits = [
        f"{name}: {given[name].dtype} instead of {tensor.dtype}"
        for name, tensor in wanted.items()
        if name in given and given[name].is_floating_point() != tensor.is_floating_point()
    ]
    found = [
        f"{len(names)} {word} ({some_names(names)})"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("misshapen", misshapen),
            ("of another kind of number", misfits),
        )
        if names
    ]
    if found:
        raise CheckpointError(
            f"{source} does not fit {type(module).__name__}: {'; '.join(found)}. "
            "The weights belong to another architecture or size; choose the model they are for."
        )


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous CPU tensors that share no memory, as the format asks for."""
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().to("cpu").contiguous()
        address = value.untyped_storage().data_ptr()
        if (
            address in seen
            or value.untyped_storage().nbytes() != value.numel() * value.element_size()
        ):
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        plain[name] = value
    return plain
