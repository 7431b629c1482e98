"""The reference numbers, and models with the stand-in weights that they were computed with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_samhq.checkpoints.infer import infer_config
from napari_samhq.checkpoints.keys import to_model
from napari_samhq.model import DecodedMasks, ImageFeatures, SamHQConfig, SamHQModel
from napari_samhq.model.image_processor import resized_shape
from napari_samhq.model.serialization import load_strict, without_random_weights
from support.stand_in import stand_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "data" / "parity"
THREADS = 2
"""Threads that the reference ran with.

The stand-in weights make some attention so sharp that rounding grows ten thousandfold on its way
to the logits, and the order of sums depends on the number of threads: with one thread, even the
reference misses its own numbers by more than the tolerance.
"""


def stand_in_model(table: dict[str, list[int]], *, original: bool) -> SamHQModel:
    """Build the model that a table of names and shapes describes, with stand-in weights."""
    tensors = {name: torch.from_numpy(stand_in(name, shape)) for name, shape in table.items()}
    if original:
        tensors = to_model(tensors)
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        config = infer_config(shapes, "the table", original=True)
    else:
        config = SamHQConfig.from_pretrained(FOLDER / "transformers_small")
    with torch.device("meta"), without_random_weights():
        model = SamHQModel(config)
    load_strict(model, tensors, "the table")
    return model.eval()


def table(name: str) -> dict[str, list[int]]:
    """Names and shapes of the original layout: "vit_small", "vit_b" or "vit_tiny"."""
    entries: dict[str, list[int]] = json.loads((FOLDER / f"{name}.keys.json").read_text())
    return entries


@dataclass(frozen=True)
class Reference:
    """One file of reference numbers."""

    values: dict[str, NDArray[Any]]
    size: int

    @classmethod
    def read(cls, name: str, size: int) -> Reference:
        with np.load(FOLDER / f"{name}.npz") as file:
            return cls({key: file[key] for key in file.files}, size)

    def images(self) -> list[str]:
        return sorted({key.split("/")[0] for key in self.values})

    def prompts(self, image: str) -> list[str]:
        found = {key.split("/")[1] for key in self.values if key.startswith(f"{image}/")}
        return sorted(found - {"image", "image_embedding", "early_features"})

    def outputs(self, image: str, prompt: str) -> list[tuple[bool, bool]]:
        return [
            (multimask, hq_only)
            for multimask in (False, True)
            for hq_only in (False, True)
            if f"{self.key(image, prompt, multimask, hq_only)}/low_res_logits" in self.values
        ]

    @staticmethod
    def key(image: str, prompt: str, multimask: bool, hq_only: bool) -> str:
        return f"{image}/{prompt}/multi{int(multimask)}.hq{int(hq_only)}"

    def shapes(self, image: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shape of the image, and of the resized image."""
        height, width = self.values[f"{image}/image"].shape[:2]
        return (height, width), resized_shape(height, width, self.size)

    def prompt(self, image: str, prompt: str) -> dict[str, torch.Tensor]:
        """Arguments of `SamHQModel.decode`: image pixels become model pixels."""
        (height, width), (new_height, new_width) = self.shapes(image)
        scale = np.array([new_width / width, new_height / height])
        given = {}
        for name, argument in (("point_coords", "points_xy"), ("box", "boxes_xy")):
            if (values := self.values.get(f"{image}/{prompt}/{name}")) is not None:
                pairs = values.reshape(-1, 2).astype(float) * scale
                given[argument] = torch.from_numpy(pairs.reshape(values.shape)).float()[None]
        for name, argument in (("point_labels", "point_labels"), ("mask_input", "mask_logits")):
            if (values := self.values.get(f"{image}/{prompt}/{name}")) is not None:
                given[argument] = torch.from_numpy(values)[None]
        return given

    def features(self, model: SamHQModel, image: str) -> ImageFeatures:
        """Features made from the embedding and early features that the reference computed."""
        embedding = torch.from_numpy(self.values[f"{image}/image_embedding"])[None]
        early = torch.from_numpy(self.values[f"{image}/early_features"])[None]
        return ImageFeatures(embedding, model.mask_decoder.hq_features(embedding, early))


def chosen(
    decoded: DecodedMasks, *, multimask: bool, hq_only: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Low-res logits (h, w) and score of the one mask that the original repository returns."""
    index = 1 + int(decoded.scores[0, 1:].argmax()) if multimask else 0
    sam, hq = decoded.sam_logits[0, index], decoded.hq_logits[0, 0]
    return (hq if hq_only else sam + hq), decoded.scores[0, index]
