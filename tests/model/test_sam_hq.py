"""The classes with the published signatures, and the invariants of the network."""

from __future__ import annotations

import pytest
import torch

from napari_samhq.errors import CheckpointError, PromptError
from napari_samhq.model import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQModel,
    SamHQVisionConfig,
    SamHQVisionModel,
    TinyVitConfig,
)
from napari_samhq.model import attention as attention_module
from napari_samhq.model.attention import ViTAttention, join_windows, split_windows

VIT = SamHQVisionConfig(
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=64,
    output_channels=32,
    global_attn_indexes=[1],
    num_pos_feats=16,
    window_size=3,
)
TINY = TinyVitConfig(
    image_size=64,
    output_channels=32,
    embed_dims=[8, 16, 16, 32],
    depths=[1, 1, 1, 1],
    num_heads=[1, 2, 2, 4],
    window_sizes=[7, 7, 3, 7],
    num_pos_feats=16,
)
CONV = ConvEncoderConfig(
    image_size=64,
    output_channels=32,
    widths=[8, 8, 16, 32],
    depths=[1, 1, 1],
    attention_depth=1,
    attention_heads=2,
    num_pos_feats=16,
)


def build(vision: SamHQVisionConfig | TinyVitConfig | ConvEncoderConfig) -> SamHQModel:
    torch.manual_seed(0)
    config = SamHQConfig(
        vision,
        {"hidden_size": 32, "image_size": 64, "patch_size": vision.patch_size},
        {
            "hidden_size": 32,
            "mlp_dim": 16,
            "vit_dim": vision.early_channels,
            "iou_head_hidden_dim": 16,
        },
    )
    return SamHQModel(config).eval()


@pytest.fixture(params=[VIT, TINY, CONV], ids=["vit", "tiny_vit", "conv"])
def model(request: pytest.FixtureRequest) -> SamHQModel:
    return build(request.param)


PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
POINTS = torch.tensor([[[[10.0, 20.0]]], [[[40.0, 50.0]]]])


def test_shapes_of_every_encoder(model):
    with torch.inference_mode():
        features = model.encode_image(PIXELS)
        output = model(PIXELS, input_points=POINTS)
    side = 64 // model.config.vision_config.patch_size
    assert features.image_embedding.shape == (2, 32, side, side)
    assert features.hq_features.shape == (2, 4, 4 * side, 4 * side)
    assert output.pred_masks.shape == (2, 1, 3, 4 * side, 4 * side)
    assert output.iou_scores.shape == (2, 1, 3)
    assert (output.iou_scores.diff(dim=-1) <= 0).all()


def test_saved_and_loaded_models_agree(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = SamHQModel.from_pretrained(tmp_path)
    assert again.config == model.config
    assert not again.training
    with torch.inference_mode():
        assert torch.equal(
            again(PIXELS, input_points=POINTS).pred_masks,
            model(PIXELS, input_points=POINTS).pred_masks,
        )
        encoder = SamHQVisionModel.from_pretrained(tmp_path)
        state = encoder(PIXELS).last_hidden_state
        assert torch.equal(state, model.get_image_embeddings(PIXELS)[0])


def test_embeddings_computed_before_give_the_same_masks(model):
    with torch.inference_mode():
        embedding, intermediate = model.get_image_embeddings(PIXELS)
        later = model(
            image_embeddings=embedding, intermediate_embeddings=intermediate, input_points=POINTS
        )
        assert torch.equal(later.pred_masks, model(PIXELS, input_points=POINTS).pred_masks)


def test_output_by_name_key_and_place(model):
    with torch.inference_mode():
        output = model(PIXELS, input_points=POINTS)
        pair = model(PIXELS, input_points=POINTS, return_dict=False)
    assert output["pred_masks"] is output.pred_masks
    assert output[1] is output.pred_masks
    assert torch.equal(pair[0], output.iou_scores)


def test_a_mask_of_its_own_for_each_object(model):
    side = 4 * 64 // model.config.vision_config.patch_size
    masks = torch.randn(2, 2, side, side)
    points = torch.cat([POINTS, POINTS + 5], dim=1)
    with torch.inference_mode():
        both = model(PIXELS, input_points=points, input_masks=masks)
        for i in range(2):
            one = model(PIXELS, input_points=points[:, i : i + 1], input_masks=masks[:, i : i + 1])
            assert torch.allclose(both.pred_masks[:, i], one.pred_masks[:, 0], atol=1e-4)


def test_a_crop_is_prompted_where_it_lies_in_the_frame():
    """Shifting crop origin and prompts together changes nothing but the positional codes."""
    model = build(CONV)
    with torch.inference_mode():
        features = model.encode_image(PIXELS[:1, :, :32, :32])
        whole = model.decode(features, points_xy=POINTS[:1, 0])
        at_origin = model.decode(features, points_xy=POINTS[:1, 0], origin_xy=torch.zeros(1, 2))
        elsewhere = model.decode(
            features, points_xy=POINTS[:1, 0] + 16, origin_xy=torch.full((1, 2), 16.0)
        )
    assert torch.equal(whole.sam_logits, at_origin.sam_logits)
    assert elsewhere.sam_logits.shape == whole.sam_logits.shape
    assert not torch.equal(elsewhere.sam_logits, whole.sam_logits)


@pytest.mark.parametrize("first", [True, False])
def test_attention_in_steps_equals_attention_at_once(first, monkeypatch):
    torch.manual_seed(0)
    attention = ViTAttention(24, 3, (10, 7), sum_positions_first=first)
    for table in (attention.rel_pos_h, attention.rel_pos_w):
        torch.nn.init.normal_(table)
    x = torch.randn(2, 10, 7, 24)
    with torch.inference_mode():
        at_once = attention(x)
        for most in (1, 2 * 7 * 70, 2 * 70 * 70):  # a row, two rows, two heads at a time
            monkeypatch.setitem(attention_module._SCORES_PER_STEP, "cpu", most)
            assert torch.allclose(attention(x), at_once, atol=1e-6)


def test_attention_is_what_the_formula_says():
    torch.manual_seed(0)
    attention = ViTAttention(8, 2, (3, 4)).double()
    for table in (attention.rel_pos_h, attention.rel_pos_w):
        torch.nn.init.normal_(table)
    x = torch.randn(1, 3, 4, 8, dtype=torch.double)
    q, k, v = attention.qkv(x.view(12, 8)).view(12, 3, 2, 4).permute(1, 2, 0, 3)
    expected = torch.zeros(12, 2, 4, dtype=torch.double)
    for head in range(2):
        for i in range(12):
            scores = torch.stack(
                [
                    q[head, i] @ k[head, j] / 2
                    + q[head, i] @ attention.rel_pos_h[i // 4 - j // 4 + 2]
                    + q[head, i] @ attention.rel_pos_w[i % 4 - j % 4 + 3]
                    for j in range(12)
                ]
            )
            expected[i, head] = scores.softmax(0) @ v[head]
    out = attention.proj(expected.view(12, 8)).view(1, 3, 4, 8)
    with torch.inference_mode():
        assert torch.allclose(attention(x), out)


@pytest.mark.parametrize("shape", [(1, 7, 7), (2, 8, 13), (1, 3, 20)])
def test_windows_come_back_together(shape):
    x = torch.rand(*shape, 5)
    windows = split_windows(x, 7)
    assert windows.shape[1:3] == (7, 7)
    assert torch.equal(join_windows(windows, *shape[1:]), x)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one"),
        ({"pixel_values": PIXELS, "image_embeddings": PIXELS}, "exactly one"),
        ({"image_embeddings": torch.zeros(1, 32, 4, 4)}, "intermediate_embeddings"),
        ({"pixel_values": PIXELS, "input_points": POINTS[0]}, r"\(images, objects, points, 2\)"),
        ({"pixel_values": PIXELS, "input_boxes": POINTS}, r"\(images, objects, 4\)"),
        ({"pixel_values": PIXELS[:1], "input_points": POINTS}, "for 2 images, but 1"),
        (
            {"pixel_values": PIXELS, "input_points": POINTS, "input_boxes": torch.zeros(2, 3, 4)},
            "1 objects have points but 3",
        ),
    ],
)
def test_prompts_that_do_not_fit_together(arguments, words):
    with pytest.raises(PromptError, match=words):
        build(VIT)(**arguments)


def test_no_folder_no_hub_id():
    with pytest.raises(CheckpointError, match="no folder 'nowhere'"):
        SamHQModel.from_pretrained("nowhere")


def test_folder_without_configuration(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        SamHQModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "as JSON"), ('{"model_type": "bert"}', "'bert'"), ("[]", "not a SAM-HQ")],
)
def test_other_configurations_are_refused(tmp_path, text, words):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        SamHQConfig.from_pretrained(tmp_path)


def test_unknown_encoder():
    with pytest.raises(CheckpointError, match="'swin'"):
        SamHQConfig(vision_config={"model_type": "swin"})


def test_several_masks_alone_on_one_image():
    model = build(CONV)
    masks = torch.randn(3, 1, 32, 32)
    with torch.inference_mode():
        features = model.encode_image(PIXELS[:1])
        together = model.decode(features, mask_logits=masks)
        for i in range(3):
            alone = model.decode(features, mask_logits=masks[i : i + 1])
            assert torch.allclose(together.sam_logits[i], alone.sam_logits[0], atol=1e-4)


def test_a_half_precision_encoder_feeds_a_full_precision_decoder():
    model = build(VIT)
    with torch.inference_mode():
        whole = model.encode_image(PIXELS)
        model.vision_encoder.to(torch.bfloat16)
        half = model.encode_image(PIXELS.to(torch.bfloat16))
    assert half.image_embedding.dtype == half.hq_features.dtype == torch.float32
    assert (half.image_embedding - whole.image_embedding).abs().max() < 0.2
