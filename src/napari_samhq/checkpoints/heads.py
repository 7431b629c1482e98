"""Heads: small files that hold what fine-tuning changed in a model, and which model that was.

A head is a ``.safetensors`` file with some of a model's tensors, under the model's own names, or
with low-rank additions to them, and with three entries in its metadata: the name or path of its
base model, the SHA-256 of that model's weights file, and a record of the training in JSON. It is of
use with exactly these weights.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, SamHQError
from .registry import ModelInfo, list_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ..model import SamHQModel

__all__ = [
    "Head",
    "apply_head",
    "head_info",
    "heads_folder",
    "is_head",
    "list_heads",
    "read_head",
    "with_additions",
    "write_head",
]

VARIABLE = "NAPARI_SAMHQ_MODELS"
SUFFIX = ".safetensors"
DOWN, UP = ".lora_down", ".lora_up"
"""How the names of two tensors end, (rank, in) and (out, rank), that are added to a weight."""

_KIND = "napari-samhq-head-1"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Head:
    """What fine-tuning changed in a model.

    Attributes
    ----------
    base : str
        Name or path of the model that was fine-tuned.
    base_sha256 : str
        Which weights it had.
    record : dict
        How the head was made: plain values, as JSON knows them.
    tensors : dict of str to Tensor
        New values, by the names of the model, and pairs of tensors whose product is added to a
        weight, see :func:`with_additions`. Empty where only the rest was asked for.
    """

    base: str
    base_sha256: str
    record: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def heads_folder() -> Path:
    """Return the folder in which models of one's own are found by name; it need not exist yet.

    ``$NAPARI_SAMHQ_MODELS`` where it is set, else a folder of the user's own data.
    """
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-samhq", appauthor=False)) / "models"


def write_head(path: str | os.PathLike[str], head: Head) -> None:
    """Write a head: the whole file or, on failure, nothing.

    Raises
    ------
    FileError
        The file cannot be written; one that was there before is unchanged.
    """
    from ..model.serialization import write_tensors

    metadata = {
        "kind": _KIND,
        "base": head.base,
        "base_sha256": head.base_sha256,
        "record": json.dumps(head.record, sort_keys=True),
    }
    write_tensors(path, head.tensors, metadata=metadata)


def is_head(path: Path) -> bool:
    """Tell whether a file is a head; damaged files and other kinds of files are none."""
    return _metadata(path).get("kind", "").startswith("napari-samhq-head")


def read_head(path: str | os.PathLike[str], *, with_tensors: bool = True) -> Head:
    """Read a head.

    Parameters
    ----------
    path
        The file.
    with_tensors
        Whether the numbers are wanted too, and not only what is known of them.

    Raises
    ------
    FileError
        The file cannot be read.
    CheckpointError
        It is damaged, or is no head that this version knows.
    """
    path = Path(path)
    metadata = _metadata(path)
    if metadata.get("kind") != _KIND:
        from ..model.serialization import read_tensors

        tensors = read_tensors(path)  # says what is wrong with a damaged file
        kind = metadata.get("kind")
        raise CheckpointError(
            f"{path} holds {len(tensors)} tensors"
            + (f" of the kind {kind!r}" if kind else "")
            + f", but no fine-tuned head of the kind {_KIND!r}. Choose a file that `napari-samhq "
            "train` wrote, or update napari-samhq if it is newer."
        )
    try:
        record = json.loads(metadata["record"])
        base, base_sha256 = metadata["base"], metadata["base_sha256"]
    except (KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is a head whose metadata are damaged ({error}). Train it again."
        ) from error
    if not with_tensors:  # torch takes seconds to import
        return Head(base, base_sha256, record, {})
    from ..model.serialization import check_finite, read_tensors

    tensors = read_tensors(path)
    check_finite(tensors, f"{path}")
    return Head(base, base_sha256, record, tensors)


def apply_head(network: SamHQModel, head: Head, found_sha256: str, source: str) -> None:
    """Put a head onto the model that it was made for.

    Parameters
    ----------
    network
        The model with the weights of the base, on the CPU, in float32. Unchanged on errors.
    head
        With tensors.
    found_sha256
        Which weights the network has.
    source
        Where the head is from, for the message.

    Raises
    ------
    CheckpointError
        The head was made for other weights.
    """
    from ..model.serialization import load_strict

    if found_sha256 != head.base_sha256:
        raise CheckpointError(
            f"{source} was fine-tuned from {head.base!r} with the SHA-256 {head.base_sha256[:12]}… "
            f"but {head.base!r} has {found_sha256[:12]}… here. A head fits one file of weights "
            "only: get that one back, or train again from this one."
        )
    own = network.state_dict()
    weights = {name.removesuffix(DOWN).removesuffix(UP) for name in head.tensors}
    strange = sorted(weights - own.keys())
    if strange:
        raise CheckpointError(
            f"{source} holds {strange[0]}, which the model {head.base!r} does not have. The file "
            "was changed after training; train it again."
        )
    try:
        changed = with_additions(head.tensors, own)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{source} holds low-rank additions that do not fit {head.base!r} ({error}). The file "
            "was changed after training; train it again."
        ) from error
    load_strict(network, {**own, **changed}, source)


def with_additions(
    tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Resolve low-rank additions: to weight ``W`` the product ``W.lora_up @ W.lora_down``.

    Parameters
    ----------
    tensors
        New values and pairs of additions, as a head has them.
    weights
        Of the base, by name.

    Returns
    -------
    dict of str to Tensor
        New values by the names of the model.

    Raises
    ------
    KeyError
        One of a pair is missing.
    RuntimeError
        Shapes do not fit.
    """
    changed = {name: value for name, value in tensors.items() if not name.endswith((DOWN, UP))}
    for name in sorted({n.removesuffix(DOWN).removesuffix(UP) for n in tensors} - changed.keys()):
        changed[name] = weights[name] + tensors[name + UP] @ tensors[name + DOWN]
    return changed


def list_heads(folder: Path | None = None) -> list[ModelInfo]:
    """List the heads in a folder, by name: they can be loaded like the models that have a name.

    Parameters
    ----------
    folder
        The one of :func:`heads_folder` when left out.

    Returns
    -------
    list of ModelInfo
        Files that cannot be read are left out, with a line in the log.
    """
    folder = folder or heads_folder()
    found = []
    taken = {model.name for model in list_models()}
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []:
        try:
            if path.stem not in taken and is_head(path):
                found.append(head_info(path))
        except SamHQError as error:
            _log.warning("Left out of the list of models: %s", error)
    return found


def head_info(path: Path) -> ModelInfo:
    """Say what is known about a head before it is loaded.

    Raises
    ------
    FileError, CheckpointError
        As :func:`read_head`.
    """
    head = read_head(path, with_tensors=False)
    base = next((model for model in list_models() if model.name == head.base), None)
    record = head.record
    count = record.get("objects_learned_from", "some")
    title = f"{path.stem}: {head.base} that learned from {count} objects of yours"
    return ModelInfo(
        name=path.stem,
        title=title,
        encoder=base.encoder if base else "",
        input_size=base.input_size if base else 0,
        megabytes=round(path.stat().st_size / 1e6, 1),
        license=base.license if base else "",
        # What has to be fetched, if anything, is the base.
        cached=base.bundled or base.cached if base else True,
        trained_on=f"as {head.base}, and {count} objects of your images",
        path=path,
    )


def find_base(head: Head, path: Path) -> str:
    """Find the base of a head: a name, or a path there or beside the head."""
    if head.base in {model.name for model in list_models()}:
        return head.base
    beside = path.parent / Path(head.base).name
    for place in (Path(head.base), beside):
        if place.exists():
            return os.fspath(place)
    raise CheckpointError(
        f"{path} was fine-tuned from {head.base} (SHA-256 {head.base_sha256[:12]}…), which is "
        f"neither there nor beside it. Put that file to {beside}."
    )


def _metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file; of any other file there are none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}
