"""Prompts drawn into the picture: at their places, unfelt until trained, alone or in a batch."""

from __future__ import annotations

import pytest
import torch

from napari_samhq.model import ConvEncoderConfig, SamHQConfig, SamHQModel
from napari_samhq.model.prompt_maps import BOX_SCALES_PX, MAP_COUNT, POINT_SCALES_PX, prompt_maps
from napari_samhq.training.rounds import Objects, encode_prompts

PIXELS = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
POINTS = torch.tensor([[[10.0, 20.0], [40.0, 50.0]], [[33.0, 8.0], [1.0, 60.0]]])
LABELS = torch.tensor([[1, 0], [1, 1]])
BOXES = torch.tensor([[4.0, 6.0, 30.0, 40.0], [20.0, 2.0, 60.0, 33.0]])
CENTRES = torch.arange(64)[None] + 0.5
BUMPS = len(POINT_SCALES_PX)


def build(*, maps: bool = True, trained: bool = True) -> SamHQModel:
    vision = ConvEncoderConfig(
        image_size=64, output_channels=32, widths=[8, 8, 16, 32], depths=[1, 1, 1],
        attention_depth=1, attention_heads=2, num_pos_feats=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = SamHQModel(
        SamHQConfig(
            vision,
            {"hidden_size": 32, "image_size": 64, "patch_size": 8, "prompt_maps": maps},
            {
                "hidden_size": 32,
                "mlp_dim": 16,
                "vit_dim": vision.early_channels,
                "iou_head_hidden_dim": 16,
                "join_hq": maps,
            },
        )
    ).eval()
    if maps and trained:
        torch.manual_seed(1)
        for name, weight in model.named_parameters():
            if "prompt_maps" in name or "join_hq" in name:
                torch.nn.init.normal_(weight, std=0.3)
    return model


def test_points_are_bumps_at_their_places():
    maps = prompt_maps(POINTS, LABELS, None, CENTRES, CENTRES)
    assert maps.shape == (2, MAP_COUNT, 64, 64)
    assert maps[0, 0].argmax() == 20 * 64 + 10
    assert maps[0, BUMPS].argmax() == 50 * 64 + 40
    assert float(maps[0, 0, 20, 16]) == pytest.approx(0.6065, abs=1e-3)  # one scale away
    assert maps[1, 0, 8, 33] == maps[1, 0, 60, 1] == 1
    assert not maps[1, BUMPS : 2 * BUMPS].any()
    assert not maps[:, 2 * BUMPS : -1].any()
    assert (maps[:, -1] == 1).all()


def test_padding_and_filler_are_not_drawn():
    labels = torch.tensor([[1, -1], [-10, -1]])
    maps = prompt_maps(POINTS, labels, None, CENTRES, CENTRES)
    one = prompt_maps(POINTS[:1, :1], labels[:1, :1], None, CENTRES, CENTRES)
    assert torch.equal(maps[:1], one)
    assert not maps[1].any()


def test_a_box_is_positive_inside_only():
    maps = prompt_maps(None, None, BOXES[:, None], CENTRES, CENTRES)
    nearest = maps[0, 2 * BUMPS + 4]
    assert float(nearest[20, 5]) == pytest.approx(torch.tanh(torch.tensor(1 / BOX_SCALES_PX[0])))
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[7:40, 5:30] = True  # the corners' own pixels are on the line
    assert torch.equal(nearest > 0, inside)
    ellipse = maps[0, -3]
    assert ellipse[23, 17] > 0.7
    assert ellipse[7, 5] < 0
    assert (maps[0, -2] == 1).all()
    assert not maps[0, -1].any()


def test_of_several_boxes_the_nearest_is_drawn():
    both = prompt_maps(None, None, BOXES[None], CENTRES, CENTRES)
    each = prompt_maps(None, None, BOXES[:, None], CENTRES, CENTRES)
    assert torch.equal(both[0], each.amax(0))


def test_untrained_maps_change_nothing():
    without, fresh = build(maps=False), build(trained=False)
    missing = fresh.load_state_dict(without.state_dict(), strict=False)
    assert not missing.unexpected_keys
    with torch.inference_mode():
        features = without.encode_image(PIXELS)
        for prompts in (
            {"points_xy": POINTS, "point_labels": LABELS},
            {"boxes_xy": BOXES},
            {"points_xy": POINTS, "boxes_xy": BOXES, "mask_logits": torch.randn(2, 1, 32, 32)},
        ):
            one, two = (model.decode(features, **prompts) for model in (without, fresh))
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_trained_maps_change_answers_and_batches_do_not():
    model = build()
    with torch.inference_mode():
        features = model.encode_image(PIXELS)
        both = model.decode(features, points_xy=POINTS, point_labels=LABELS, boxes_xy=BOXES)
        for k in range(2):
            one = model.decode(
                features,
                points_xy=POINTS[k : k + 1],
                point_labels=LABELS[k : k + 1],
                boxes_xy=BOXES[k : k + 1],
            )
            assert torch.allclose(both.hq_logits[k], one.hq_logits[0], atol=1e-5)
        plain = build(maps=False)
        plain.load_state_dict({name: model.state_dict()[name] for name in plain.state_dict()})
        without = plain.decode(features, points_xy=POINTS, point_labels=LABELS, boxes_xy=BOXES)
    assert not torch.allclose(both.hq_logits, without.hq_logits, atol=1e-2)


def test_a_filler_point_changes_no_map():
    """The published signature fills lists of points to one length."""
    model = build()
    filled = torch.cat([POINTS[:, :1], torch.full((2, 1, 2), -10.0)], dim=1)[None]
    labels = torch.tensor([[[1, -10], [1, -10]]])
    encoder = model.prompt_encoder
    with torch.inference_mode():
        long = encoder.pictures(filled[0], labels[0], None, (8, 8))
        short = encoder.pictures(POINTS[:, :1], LABELS[:, :1], None, (8, 8))
        assert model(PIXELS, input_points=filled, input_labels=labels).pred_masks.isfinite().all()
    assert torch.equal(long.coarse, short.coarse)
    assert torch.equal(long.fine(slice(None)), short.fine(slice(None)))
    second = long.fine(torch.tensor([False, True]))
    assert torch.allclose(second, long.fine(slice(None))[1:], atol=1e-6)


def test_training_draws_what_inference_draws():
    """Crops of the frame with an origin, boxed and clicked objects side by side."""
    model = build()
    origin = torch.tensor([[16.0, 24.0], [8.0, 0.0]])
    boxes, points = BOXES[:1] - origin[:1].repeat(1, 2), (POINTS - origin[:, None])[:, :2]
    with torch.inference_mode():
        features = model.encode_image(PIXELS[..., :32, :32])
        features = type(features)(*(f.expand(2, -1, -1, -1) for f in features))
        objects = Objects(features, torch.zeros(2, 1, 16, 16), boxes, origin, boxed=1)
        tokens, pictures = encode_prompts(model, objects, boxes, points, LABELS)
        places = model.prompt_encoder.image_positions((4, 4), origin)
        dense = model.prompt_encoder.dense(None, (4, 4))
        trained = model.mask_decoder(*features, places, tokens, dense, pictures)
        one = type(features)(*(f[:1] for f in features))
        boxed = model.decode(
            one,
            points_xy=POINTS[:1, 1:],
            point_labels=LABELS[:1, 1:],
            boxes_xy=BOXES[:1],
            origin_xy=origin[:1],
        )
        clicked = model.decode(
            one, points_xy=POINTS[1:], point_labels=LABELS[1:], origin_xy=origin[1:]
        )
    assert torch.allclose(trained.hq_logits[0], boxed.hq_logits[0], atol=1e-5)
    assert torch.allclose(trained.sam_logits[1], clicked.sam_logits[0], atol=1e-5)


def test_saved_and_loaded_with_its_maps(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    again = SamHQModel.from_pretrained(tmp_path)
    assert again.config == model.config
    assert again.config.prompt_encoder_config.prompt_maps
    with torch.inference_mode():
        features = model.encode_image(PIXELS)
        one, two = (m.decode(features, boxes_xy=BOXES).hq_logits for m in (model, again))
    assert torch.equal(one, two)
