"""The models that can be loaded by name. Importing this loads neither torch nor the hub library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ModelError
from .cache import find_weights

__all__ = ["ModelInfo", "list_models", "model_info"]

_HERE = Path(__file__).parent / "weights"
_MAIN_REVISION = "67ab82412bc794d5ce2e9799b8b6a3c0a8cfe1d2"
_TINY_REVISION = "a3a77cd0a2e5e50eaa76faccf61b964732d9b35f"


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a model before it is loaded.

    Attributes
    ----------
    name : str
        The name for `napari_samhq.load_model`; the path of models loaded from a path.
    title : str
        One line for people who choose a model.
    encoder : str
        ``"conv"``, ``"tiny_vit"`` or ``"vit"``, with ``_b``, ``_l`` or ``_h`` for SAM's sizes.
    input_size : int
        Side of the square that images are scaled to, in pixels.
    megabytes : float
        Size of the weights file, in units of 10^6 bytes; 0 while it is not there.
    license : str
        SPDX identifier of the weights' licence; empty when unknown.
    bundled : bool
        The weights are part of this package.
    cached : bool
        The weights are on this machine, so that loading needs no network.
    trained_on : str
        What kind of images the weights have seen.
    repository, filename, revision : str or None
        Where the weights are published on the Hugging Face hub, and the pinned commit.
    sha256, md5 : str or None
        Checksums of the file, where they are known independently of the hub.
    path : Path or None
        The weights file or folder on this machine, of bundled models and models from a path.
    """

    name: str
    title: str
    encoder: str
    input_size: int
    megabytes: float
    license: str
    bundled: bool = False
    cached: bool = False
    trained_on: str = ""
    repository: str | None = None
    filename: str | None = None
    revision: str | None = None
    sha256: str | None = None
    md5: str | None = None
    path: Path | None = None

    def _repr_html_(self) -> str:
        """Show what is known about the model in notebooks."""
        from napari_samhq.core.display.html import card

        return card(f"Model {self.name}", self.facts())

    def facts(self) -> dict[str, str]:
        """Tell what people want to know before they use the model, by name.

        Examples
        --------
        >>> model_info("vit_b").facts()["license"]
        'Apache-2.0'
        """
        where = "in the package" if self.bundled else "on this machine"
        size = f"{self.megabytes:,.0f} MB, " if self.megabytes else ""
        facts = {
            "what": self.title,
            "trained on": self.trained_on or "not known",
            "license": self.license or "not known",
            "encoder": f"{self.encoder}, input {self.input_size} px",
            "weights": size + (where if self.cached else "to be fetched"),
        }
        return {name: value for name, value in facts.items() if value}


def list_models() -> list[ModelInfo]:
    """Return all models that have a name, the bundled one first, then by size.

    Nothing is fetched: `ModelInfo.cached` says what the cache folder holds now.

    Returns
    -------
    list of ModelInfo

    Examples
    --------
    >>> [model.name for model in list_models()]
    ['micro', 'vit_tiny', 'vit_b', 'vit_l', 'vit_h']
    """
    return [_with_state(model) for model in _MODELS]


def model_info(name: str) -> ModelInfo:
    """Return what is known about a named model.

    Parameters
    ----------
    name
        One of the names in `list_models`.

    Returns
    -------
    ModelInfo

    Raises
    ------
    ModelError
        There is no model of that name.

    Examples
    --------
    >>> model_info("vit_tiny").megabytes
    42.5
    """
    for model in _MODELS:
        if model.name == name:
            return _with_state(model)
    known = ", ".join(model.name for model in _MODELS)
    raise ModelError(
        f"There is no model {name!r}. Named models: {known}. Or give the path of a .safetensors "
        "or .pth file, or of a folder with config.json and model.safetensors."
    )


def _with_state(model: ModelInfo) -> ModelInfo:
    if model.path is not None:
        weights = model.path / "model.safetensors"
        there = weights.is_file()
        size = round(weights.stat().st_size / 1e6, 1) if there else 0.0
        return replace(model, cached=there, megabytes=size)
    return replace(model, cached=find_weights(model) is not None)


def _published(
    name: str, title: str, encoder: str, megabytes: float, revision: str, md5: str | None
) -> ModelInfo:
    return ModelInfo(
        name=name,
        title=title,
        encoder=encoder,
        input_size=1024,
        megabytes=megabytes,
        license="Apache-2.0",
        trained_on="natural photographs (SA-1B and HQSeg-44K)",
        repository="lkeab/hq-sam",
        filename=f"sam_hq_{name}.pth",
        revision=revision,
        md5=md5,
    )


_MODELS = (
    ModelInfo(
        name="micro",
        title="Micro: trained on microscopy, small and quick on any computer, always here",
        encoder="conv",
        input_size=512,
        megabytes=0.0,
        license="BSD-3-Clause",
        bundled=True,
        trained_on="microscopy images with a licence that allows it, and synthetic shapes",
        path=_HERE / "micro",
    ),
    _published(
        "vit_tiny",
        "Light HQ-SAM: natural-image weights, the quickest of the published models",
        "tiny_vit",
        42.5,
        _TINY_REVISION,
        None,
    ),
    _published(
        "vit_b",
        "HQ-SAM ViT-B: natural-image weights, slower and more exact",
        "vit_b",
        379.0,
        _MAIN_REVISION,
        "c6b8953247bcfdc8bb8ef91e36a6cacc",
    ),
    _published(
        "vit_l",
        "HQ-SAM ViT-L: natural-image weights, large; made for a GPU",
        "vit_l",
        1250.0,
        _MAIN_REVISION,
        "08947267966e4264fb39523eccc33f86",
    ),
    _published(
        "vit_h",
        "HQ-SAM ViT-H: natural-image weights, the largest; made for a GPU with much memory",
        "vit_h",
        2570.0,
        _MAIN_REVISION,
        "3560f6b6a5a6edacd814a1325c39640a",
    ),
)
