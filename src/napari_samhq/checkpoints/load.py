"""Loading a model by name or from a path."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.util.progress import reporting
from ..errors import CheckpointError, ModelError
from . import cache
from .devices import choose_device, choose_precision, move
from .download import Progress, fetch_checked
from .heads import SUFFIX, apply_head, find_base, head_info, heads_folder, is_head, read_head
from .infer import describe, infer_config
from .keys import is_original, to_model
from .registry import ModelInfo, list_models, model_info

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from ..model import SamHQConfig, SamHQModel

__all__ = ["LoadedModel", "build", "load_model", "locate"]

_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_KINDS = {"sam_hq_tiny_vit": "tiny_vit", "sam_hq_conv": "conv"}


@dataclass(frozen=True)
class LoadedModel:
    """A network, ready to predict, and what is known about it.

    Attributes
    ----------
    network : SamHQModel
        On `device`, in evaluation mode, without gradients. Its prompt encoder and mask decoder
        are float32, its image encoder is `encoder_dtype`.
    info : ModelInfo
        Name, title, licence and so on.
    device : torch.device
        Where the network is.
    encoder_dtype : torch.dtype
        Number format of the image encoder.
    fingerprint : str
        SHA-256 of the weights file, which identifies the weights.
    """

    network: SamHQModel
    info: ModelInfo
    device: torch.device
    encoder_dtype: torch.dtype
    fingerprint: str

    def __repr__(self) -> str:
        """Tell the model instead of printing a network."""
        number = str(self.encoder_dtype).removeprefix("torch.")
        return f"LoadedModel({self.info.name!r}, on {self.device}, encoder in {number})"

    def _repr_html_(self) -> str:
        """Show the model in notebooks."""
        from napari_samhq.core.display.html import card

        count = sum(weight.numel() for weight in self.network.parameters())
        facts = self.info.facts() | {
            "device": f"{self.device}, encoder in {str(self.encoder_dtype).removeprefix('torch.')}",
            "parameters": f"{count / 1e6:.1f} million",
            "fingerprint": self.fingerprint[:12],
        }
        return card(f"Model {self.info.name}, loaded", facts)


def load_model(
    name_or_path: str | os.PathLike[str],
    device: str | torch.device = "auto",
    precision: str = "auto",
    *,
    progress: Progress | bool | None = None,
) -> LoadedModel:
    """Load a model by name or from a path.

    Parameters
    ----------
    name_or_path
        A name from `napari_samhq.list_models` (a name wins over a file of the same name; write
        ``./micro`` for the file), or a path: a ``.safetensors`` file or a ``.pth`` file of the
        original repository, in either layout of names and in float32, float16 or bfloat16; or a
        folder with ``model.safetensors`` and, where the tensors do not tell it, ``config.json``.
        Or a head, what `napari_samhq.finetune` wrote: its path, or its name if it is in the
        folder for them.
    device
        ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    precision
        Of the image encoder: ``"float32"``, ``"bfloat16"``, ``"float16"`` (not on the CPU), or
        ``"auto"``: bfloat16 on CUDA devices that compute in it, float32 elsewhere. Prompt encoder
        and mask decoder are always float32.
    progress
        True for a bar while weights are fetched; or a function that is called with the bytes that
        are here and the bytes in all.

    Returns
    -------
    LoadedModel

    Raises
    ------
    ModelError
        There is no such model, device or precision.
    CheckpointError
        The weights are damaged, incomplete, not finite, or for another architecture.
    DownloadError
        Weights of a named model are not on this machine and could not be fetched.
    FileError
        A file cannot be read.
    OutOfMemoryError
        The device has too little memory.

    Examples
    --------
    >>> import napari_samhq as samhq
    >>> model = samhq.load_model("micro")  # doctest: +SKIP
    >>> model.info.input_size  # doctest: +SKIP
    512
    """
    # Both are checked before gigabytes are fetched or read.
    place = choose_device(device)
    dtype = choose_precision(precision, place)
    with reporting(progress, lambda done, total: ("fetch", done, total), unit="B") as report:
        weights, info, fingerprint = locate(os.fspath(name_or_path), report)
        network = build(weights, info, report)
    info = _with_config(info, network.config)
    move(network, place, dtype, info)
    return LoadedModel(network, info, place, dtype, fingerprint)


def build(weights: Path, info: ModelInfo, progress: Progress | None = None) -> SamHQModel:
    """Build the network that a weights file holds, in float32 on the CPU, in evaluation mode.

    A head is put onto its base, which is fetched where it must be.
    """
    import torch

    from ..model import SamHQModel
    from ..model.serialization import load_strict, read_tensors, without_random_weights

    if is_head(weights):
        head = read_head(weights)
        base_weights, base_info, found = locate(find_base(head, weights), progress)
        network = build(base_weights, base_info, progress)
        apply_head(network, head, found, f"{weights}")
        return network.eval().requires_grad_(False)
    source = f"{weights}" if info.path else f"{weights} ({info.name})"
    entries = read_tensors(weights)
    tensors = to_model(entries)
    config = _config(weights, tensors, source, original=is_original(entries))
    # Without memory at first: the weights come from the file, and random ones would cost seconds.
    with torch.device("meta"), without_random_weights():
        network = SamHQModel(config)
    try:
        load_strict(network, tensors, source)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (The file holds {describe(tensors)}.)") from error
    return network.eval().requires_grad_(False)


def locate(name_or_path: str, progress: Progress | None = None) -> tuple[Path, ModelInfo, str]:
    """Find the weights file of a model, verify its checksum, and say what is known about it."""
    if name_or_path in {model.name for model in list_models()}:
        weights, fingerprint = fetch_checked(name_or_path, progress=progress)
        return weights, model_info(name_or_path), fingerprint
    path = Path(name_or_path).expanduser()
    of_ours = heads_folder() / f"{name_or_path}{SUFFIX}"
    if not path.exists() and len(path.parts) == 1 and of_ours.is_file():
        path = of_ours
    weights = _weights_in(path) if path.is_dir() else path
    if not weights.exists():
        if path.suffix or len(path.parts) > 1:
            raise ModelError(
                f"There is no file {path}. Check the spelling and the working directory "
                f"({Path.cwd()}), or give a name: "
                f"{', '.join(model.name for model in list_models())}."
            )
        return weights, model_info(name_or_path), ""  # raises: neither a name nor a path
    fingerprint = cache.verified_checksum(weights)
    if is_head(weights):
        return weights, head_info(weights), fingerprint
    info = ModelInfo(
        name=path.name if path.is_dir() else path.stem,
        title=f"Weights from {path}",
        encoder="",
        input_size=0,
        megabytes=round(weights.stat().st_size / 1e6, 1),
        license="",
        cached=True,
        path=path,
    )
    return weights, info, fingerprint


def _weights_in(folder: Path) -> Path:
    weights = folder / _WEIGHTS
    if not weights.is_file():
        found = sorted(entry.name for entry in folder.iterdir())
        shown = ", ".join(found[:5]) or "nothing"
        raise CheckpointError(
            f"{folder} holds no {_WEIGHTS} (it holds {shown}). Give a folder with {_CONFIG} and "
            f"{_WEIGHTS}, or the path of the weights file itself."
        )
    return weights


def _config(
    weights: Path, tensors: Mapping[str, torch.Tensor], source: str, *, original: bool
) -> SamHQConfig:
    """Read the configuration beside a ``model.safetensors``, or infer it from the tensors."""
    from ..model import SamHQConfig

    if weights.name == _WEIGHTS and (weights.parent / _CONFIG).is_file():
        return SamHQConfig.from_pretrained(weights.parent)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return infer_config(shapes, source, original=original)


def _with_config(info: ModelInfo, config: SamHQConfig) -> ModelInfo:
    """Complete what is known about a model from a path by what its configuration says."""
    if info.encoder:
        return info
    vision = config.vision_config
    kind = _KINDS.get(vision.model_type) or _WIDTHS.get(getattr(vision, "hidden_size", 0), "vit")
    return replace(info, encoder=kind, input_size=vision.image_size)
