"""The processor: images and prompts in, tensors out, and masks back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from napari_samhq.errors import ImageError, PromptError
from napari_samhq.model import SamHQConfig, SamHQModel, SamHQProcessor, SamHQVisionConfig
from napari_samhq.model.image_processor import MASK_PROMPT_LOGIT, pixel_values, resized_shape


@pytest.fixture
def processor() -> SamHQProcessor:
    from napari_samhq.model import SamHQImageProcessor

    return SamHQProcessor(SamHQImageProcessor(size=64, mask_size=16))


@pytest.fixture(scope="module")
def model() -> SamHQModel:
    torch.manual_seed(0)
    vision = SamHQVisionConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        output_channels=32,
        global_attn_indexes=[1],
        num_pos_feats=16,
        window_size=3,
    )
    config = SamHQConfig(
        vision,
        {"hidden_size": 32, "image_size": 64},
        {"hidden_size": 32, "mlp_dim": 16, "vit_dim": 24, "iou_head_hidden_dim": 16},
    )
    return SamHQModel(config).eval()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((300, 400), (768, 1024)), ((1, 5000), (1, 1024)), ((1024, 1024), (1024, 1024))],
)
def test_longest_side_becomes_the_input_size(shape, expected):
    assert resized_shape(*shape, 1024) == expected


def test_both_ways_to_normalise_agree(processor):
    image = picture(40, 50)
    processed = processor(image).pixel_values[0]
    assert torch.allclose(processed, pixel_values(image, 64), atol=1e-5)
    assert (processed[:, 51:] == 0).all()  # padding at the bottom


def test_a_list_of_images_of_different_shapes(processor, model):
    images = [picture(40, 50), Image.fromarray(picture(64, 20, 1))]
    points = [[[10, 20]], [[5, 60]]]
    together = processor(images, input_points=points)
    assert together.original_sizes.tolist() == [[40, 50], [64, 20]]
    with torch.inference_mode():
        both = model(together.pixel_values, input_points=together.input_points)
        for i, image in enumerate(images):
            alone = processor(image, input_points=[points[i]])
            one = model(alone.pixel_values, input_points=alone.input_points)
            assert torch.allclose(both.pred_masks[i], one.pred_masks[0], atol=1e-4)
    masks = processor.post_process_masks(
        both.pred_masks, together.original_sizes, together.reshaped_input_sizes
    )
    assert [tuple(m.shape) for m in masks] == [(1, 3, 40, 50), (1, 3, 64, 20)]
    assert all(m.dtype == torch.bool for m in masks)


def test_several_objects_of_one_image_equal_one_after_the_other(processor, model):
    image = picture(40, 50)
    objects = [[[10.0, 20.0], [30.0, 5.0]], [[3.0, 4.0], [49.0, 39.0]]]
    labels = [[1, 0], [0, 1]]
    boxes = [[0, 0, 20, 30], [5, 5, 45, 35]]
    inputs = processor(image, input_points=[objects], input_labels=[labels], input_boxes=[boxes])
    assert inputs.input_points.shape == (1, 2, 2, 2)
    with torch.inference_mode():
        both = model(**_prompts(inputs))
        for i in range(2):
            one = processor(
                image,
                input_points=[[objects[i]]],
                input_labels=[[labels[i]]],
                input_boxes=[[boxes[i]]],
            )
            alone = model(**_prompts(one))
            assert torch.allclose(both.pred_masks[:, i], alone.pred_masks[:, 0], atol=1e-4)
            assert torch.allclose(both.iou_scores[:, i], alone.iou_scores[:, 0], atol=1e-4)


def test_ragged_points_are_filled_with_points_that_say_nothing(processor):
    image = picture(64, 64)
    inputs = processor([image, image], input_points=[[[1, 2], [3, 4]], [[5, 6]]])
    assert inputs.input_points.shape == (2, 1, 2, 2)
    assert inputs.input_labels.tolist() == [[[1, 1]], [[1, -10]]]


def test_segmentation_maps_reach_the_prompt_encoder(processor, model):
    image = picture(64, 48)
    mask = np.zeros((64, 48), bool)
    mask[20:40, 10:30] = True
    inputs = processor(image, segmentation_maps=mask, input_points=[[[20, 30]]])
    assert inputs.input_masks.shape == (1, 1, 16, 16)
    expected = np.where(mask[2::4, 2::4], MASK_PROMPT_LOGIT, -MASK_PROMPT_LOGIT)
    assert np.array_equal(inputs.input_masks[0, 0, :, :12], expected)
    assert (inputs.input_masks[0, 0, :, 12:] == -MASK_PROMPT_LOGIT).all()
    with torch.inference_mode():
        with_mask = model(**_prompts(inputs)).pred_masks
        del inputs["input_masks"]
        without = model(**_prompts(inputs)).pred_masks
    assert (with_mask - without).abs().max() > 1e-3


def test_logits_as_segmentation_map_stay_logits(processor):
    logits = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    small = processor(picture(64, 64), segmentation_maps=[logits]).input_masks[0, 0]
    assert np.array_equal(small, logits[2::4, 2::4])


def test_folder_round_trip(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    again = SamHQProcessor.from_pretrained(tmp_path)
    assert again.image_processor.to_dict() == processor.image_processor.to_dict()


def test_moving_changes_the_format_of_floating_point_tensors_only(processor):
    inputs = processor(picture(64, 64), input_points=[[[1, 2]]], input_labels=[[1]])
    moved = inputs.to("cpu", torch.float16)
    assert moved.pixel_values.dtype == torch.float16
    assert moved.input_labels.dtype == torch.int64
    assert inputs.pixel_values.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"images": np.zeros((9, 9, 3), np.float32)}, ImageError, "8-bit"),
        ({"images": np.zeros((9, 9, 7), np.uint8)}, ImageError, r"\(9, 9, 7\)"),
        ({"input_points": [[[1, 2]], [[3, 4]]]}, PromptError, "2 images came with 1"),
        ({"input_boxes": [[[1, 2, 3]]]}, PromptError, r"\(images, boxes, 4\)"),
        ({"segmentation_maps": [np.zeros((3, 9, 9))]}, PromptError, r"\(3, 9, 9\)"),
        ({"segmentation_maps": [np.zeros((9, 9))] * 2}, PromptError, "2 segmentation maps"),
        ({"return_tensors": "tf"}, PromptError, "only 'pt'"),
    ],
)
def test_bad_input(processor, arguments, error, words):
    with pytest.raises(error, match=words):
        processor(**{"images": picture(9, 9), **arguments})


def _prompts(inputs):
    return {name: value for name, value in inputs.items() if not name.endswith("_sizes")}
