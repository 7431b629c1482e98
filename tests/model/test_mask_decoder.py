"""What the decoder computes in an order of its own is what the published formulation computes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_samhq.model import SamHQMaskDecoderConfig, mask_decoder
from napari_samhq.model.mask_decoder import MaskDecoder


@pytest.fixture(params=[False, True], ids=["published", "joined"])
def decoder(request) -> MaskDecoder:
    torch.manual_seed(0)
    made = MaskDecoder(
        SamHQMaskDecoderConfig(
            hidden_size=64, mlp_dim=32, vit_dim=48, iou_head_hidden_dim=16, join_hq=request.param
        )
    ).eval()
    for parameter in made.parameters():  # no bias may be zero, or its place would not matter
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def published_hq_features(decoder, embedding, early):
    """Transposed convolutions on channels first (Ke et al., 2023)."""
    early = decoder.compress_vit_norm(decoder.compress_vit_conv1(early.permute(0, 3, 1, 2)))
    final = decoder.encoder_norm(decoder.encoder_conv1(embedding))
    return decoder.compress_vit_conv2(F.gelu(early)) + decoder.encoder_conv2(F.gelu(final))


def published_logits(decoder, tokens, image, hq_features):
    """Every feature as a picture, and masks as their products with tokens."""
    upscaled = F.gelu(decoder.upscale_layer_norm(decoder.upscale_conv1(image)))
    upscaled = F.gelu(decoder.upscale_conv2(upscaled))
    joint = upscaled if decoder.join_hq is None else upscaled + decoder.join_hq(hq_features)
    fine = decoder.mask_conv2(F.gelu(decoder.mask_norm(decoder.mask_conv1(joint)))) + hq_features
    heads = decoder.output_hypernetworks_mlps
    vectors = torch.stack([head(tokens[:, 1 + i]) for i, head in enumerate(heads)], dim=1)
    hq_vector = decoder.hq_mask_mlp(tokens[:, 1 + len(heads)])[:, None]
    return (
        torch.einsum("pmc,pchw->pmhw", vectors, upscaled),
        torch.einsum("pmc,pchw->pmhw", hq_vector, fine),
    )


@torch.no_grad()
def test_features_and_masks_are_those_of_the_published_order(decoder, monkeypatch):
    embedding, early = torch.randn(1, 64, 6, 9), torch.randn(1, 6, 9, 48)
    hq_features = decoder.hq_features(embedding, early)
    assert torch.allclose(
        hq_features, published_hq_features(decoder, embedding, early), atol=1e-4, rtol=1e-4
    )
    tokens, image = torch.randn(3, 8, 64), torch.randn(3, 64, 6, 9)
    expected = published_logits(decoder, tokens, image, hq_features)
    for step in (1, 1 << 30):  # some rows at a time, or all
        monkeypatch.setattr(mask_decoder, "_FEATURES_PER_STEP", step)
        found = decoder._logits(tokens, image, hq_features, None)
        for mine, theirs in zip(found, expected, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_one_image_for_many_prompts_is_as_many_images(decoder):
    embedding, places = torch.randn(1, 64, 6, 9), torch.randn(1, 64, 6, 9)
    hq_features, dense = torch.randn(1, 8, 24, 36), torch.randn(1, 64, 6, 9)
    sparse = torch.randn(3, 2, 64)
    together = decoder(embedding, hq_features, places, sparse, dense)
    alone = [decoder(embedding, hq_features, places, sparse[k : k + 1], dense) for k in range(3)]
    repeated = decoder(
        embedding.expand(3, -1, -1, -1), hq_features.expand(3, -1, -1, -1), places, sparse, dense
    )
    for one in (repeated, [torch.cat(parts) for parts in zip(*alone, strict=True)]):
        for mine, theirs in zip(together, one, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_weight(decoder):
    """Folded convolutions must train as the published ones do."""
    embedding, early = torch.randn(2, 64, 6, 9), torch.randn(2, 6, 9, 48)
    hq_features = decoder.hq_features(embedding, early)
    places, dense = torch.randn(1, 64, 6, 9), torch.randn(1, 64, 6, 9)
    decoded = decoder(embedding, hq_features, places, torch.randn(4, 2, 64), dense)
    sum(part.sum() for part in decoded).backward()
    without = [name for name, weight in decoder.named_parameters() if weight.grad is None]
    assert without == []
