from __future__ import annotations

import pytest
import torch

from napari_samhq.checkpoints.infer import describe, infer_config
from napari_samhq.checkpoints.keys import DROPPED, to_model, to_original
from napari_samhq.errors import CheckpointError
from napari_samhq.model import SamHQConfig, SamHQModel, SamHQVisionConfig
from napari_samhq.model.serialization import without_random_weights

from .models import published_tables, small_config, small_tensors

PUBLISHED = [
    (layout, name) for layout, models in published_tables().items() for name in sorted(models)
]


@pytest.mark.parametrize(("layout", "name"), PUBLISHED)
def test_every_published_file_fits_a_model_whose_configuration_is_inferred(layout, name):
    table = published_tables()[layout][name]
    shapes = to_model(table)
    config = infer_config(shapes, name, original=layout == "original")
    with torch.device("meta"), without_random_weights():
        model = SamHQModel(config)
    assert {key: list(tensor.shape) for key, tensor in model.state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("name", "other"), [("vit_b", "base"), ("vit_l", "large"), ("vit_h", "huge")]
)
def test_the_two_published_layouts_are_each_others_image(name, other):
    original = published_tables()["original"][name]
    huggingface = published_tables()["huggingface"][other]
    assert to_model(original) == huggingface
    assert to_original(huggingface) == original
    assert to_model(huggingface) == huggingface


def test_only_the_classifier_of_the_tiny_model_is_dropped():
    table = published_tables()["original"]["vit_tiny"]
    assert set(table) - set(to_original(to_model(table))) == DROPPED
    assert set(table) >= DROPPED


@pytest.mark.parametrize("encoder", ["vit", "tiny_vit"])
def test_renaming_forth_and_back_returns_every_tensor(encoder):
    original = small_tensors(encoder, original=True)
    again = to_original(to_model(original))
    assert again.keys() == original.keys()
    assert all(again[name] is original[name] for name in original)


def test_a_name_without_a_rule_stays_so_that_strict_loading_can_name_it():
    assert to_model({"image_encoder.x": 1, "my_head.weight": 2})["my_head.weight"] == 2


def test_the_published_base_model_is_the_default_configuration():
    shapes = published_tables()["huggingface"]["base"]
    assert infer_config(shapes, "base") == SamHQConfig()


@pytest.mark.parametrize("encoder", ["vit", "tiny_vit"])
@pytest.mark.parametrize("original", [True, False])
def test_any_size_is_inferred_from_either_layout(encoder, original):
    tensors = to_model(small_tensors(encoder, original=original))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    inferred = infer_config(shapes, "small", original=original)
    expected = small_config(encoder)
    if encoder == "vit" and not original:
        expected.vision_config.sum_positions_first = True
        expected.mask_decoder_config.layer_norm_eps = 1e-6
    assert inferred == expected


def test_a_vit_with_global_attention_only_is_inferred():
    config = small_config("vit")
    config.vision_config = SamHQVisionConfig.from_dict(
        config.vision_config.to_dict() | {"global_attn_indexes": [0, 1, 2]}
    )
    with torch.device("meta"), without_random_weights():
        model = SamHQModel(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert infer_config(shapes, "all global").vision_config.global_attn_indexes == [0, 1, 2]


def without(tensors, part):
    return {name: tensor for name, tensor in tensors.items() if part not in name}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(
            without(small_tensors("vit"), "hq_token"),
            "SAM without its HQ part",
            id="FM-35-sam",
        ),
        pytest.param(
            without(small_tensors("tiny_vit", original=True), "hf_token"),
            "MobileSAM without its HQ part",
            id="FM-35-mobile-sam",
        ),
        pytest.param(
            without(small_tensors("vit"), "vision_encoder"),
            "without its image encoder",
            id="FM-35-decoder-only",
        ),
        pytest.param({"image_encoder.trunk.pos_embed": 0}, "SAM 2", id="FM-35-sam2"),
        pytest.param({"conv1.weight": 0}, "another network (conv1.weight", id="FM-35-other"),
    ],
)
def test_other_architectures_are_called_by_their_name(names, words):
    assert words in describe(names)
    shapes = {name: getattr(tensor, "shape", (1,)) for name, tensor in to_model(names).items()}
    with pytest.raises(CheckpointError, match="Choose sam_hq_vit_b"):
        infer_config(shapes, "file")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        pytest.param("vision_encoder.layers.1.", "layers.1", id="FM-35-missing-block"),
        pytest.param("pos_embed", "config.json", id="FM-35-missing-positions"),
        pytest.param("no_mask_embed", "no_mask_embed", id="FM-35-missing-prompt-part"),
        pytest.param("positional_embedding", "positional table", id="FM-35-missing-table"),
    ],
)
def test_what_is_missing_for_the_configuration_is_named(part, words):
    tensors = without(small_tensors("vit"), part)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    with pytest.raises(CheckpointError, match=words):
        infer_config(shapes, "file")


@pytest.mark.parametrize("number", [pytest.param(10**12, id="FM-35-absurd-block-number")])
def test_an_absurd_block_number_costs_nothing(number):
    shapes = {name: tuple(tensor.shape) for name, tensor in small_tensors("vit").items()}
    shapes[f"vision_encoder.layers.{number}.attn.rel_pos_h"] = (9, 16)
    with pytest.raises(CheckpointError, match="missing"):
        infer_config(shapes, "file")


def test_a_convolutional_encoder_asks_for_its_configuration():
    shapes = {name: tuple(tensor.shape) for name, tensor in small_tensors("conv").items()}
    with pytest.raises(CheckpointError, match=r"config\.json"):
        infer_config(shapes, "file")
