import numpy as np
import pytest
import torch

import napari_samhq as samhq
from napari_samhq.training.finetune.examples import checked_examples, data_hash, split
from napari_samhq.training.finetune.views import frame_labels, places_of, see
from support.small_tuning import discs, write_small_model


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return samhq.load_model(write_small_model(tmp_path_factory.mktemp("m") / "small")).network


def test_what_is_kept_is_what_inference_sees(network):
    images, labels = discs(1)
    examples, items = checked_examples(images, labels, 4)
    (view,) = see(network, examples, places_of(examples, items, network.config, turns=1, seed=0))
    embedding = samhq.Predictor(network).embed(images[0])
    image_embedding, early = (tensor.float() for tensor in view.kept)
    assert torch.allclose(image_embedding, embedding.image_embedding, atol=2e-2)
    fused = network.mask_decoder.hq_features(image_embedding[None], early[None])
    assert torch.allclose(fused[0], embedding.hq_features, atol=2e-2)
    assert view.objects.keys() == {1, 2, 3}


def test_turned_views_show_the_same_objects_elsewhere(network):
    images, labels = discs(1)
    examples, items = checked_examples(images, labels, 4)
    views = list(
        see(network, examples, places_of(examples, items, network.config, turns=8, seed=0))
    )
    assert len(views) == 8
    pictures = {view.labels.tobytes() for view in views}
    assert len(pictures) == 8
    areas = [np.bincount(view.labels.ravel()).tolist() for view in views]
    assert all(area == areas[0] for area in areas)
    for view in views:
        for label, (x0, y0, x1, y1) in view.objects.items():
            rows, cols = np.nonzero(view.labels == label)
            assert (rows.min(), rows.max(), cols.min(), cols.max()) == (y0, y1, x0, x1)


def test_large_images_are_seen_through_the_windows_of_inference(network):
    labels = np.zeros((600, 500), np.int32)
    labels[20:40, 30:50] = 1
    labels[400:420, 300:320] = 2
    rng = np.random.default_rng(0)
    image = rng.integers(0, 90, labels.shape).astype(np.uint8)
    examples, items = checked_examples(image, labels, 4)
    places = places_of(examples, items, network.config, turns=1, seed=0)
    assert len(places) == 2
    for place, ids in places.items():
        assert place.window.shape == (64, 64)
        for label in ids:
            assert (labels[place.window.region] == label).sum() == 400
    assert [list(view.objects) for view in see(network, examples, places)] == [[1], [2]]


def test_weights_tell_how_much_of_a_window_an_object_may_fill(network, monkeypatch):
    labels = np.zeros((600, 500), np.int32)
    labels[20:40, 30:50] = 1  # 20 of 64 pixels are less than 3/8, and more than 3/16
    labels[22:42, 60:80] = 2
    examples, items = checked_examples(np.arange(300_000).reshape(600, 500), labels, 1)
    config = network.config
    near = places_of(examples, items, config, turns=1, seed=0)
    monkeypatch.setattr(config, "largest_share", 3 / 16)
    far = places_of(examples, items, config, turns=1, seed=0)
    assert [{place.window.scale for place in places} for places in (near, far)] == [{1}, {2}]


def test_the_frame_is_padded_and_keeps_shares():
    labels = np.zeros((30, 60), np.int32)
    labels[:, 30:] = 5
    frame = frame_labels(labels, 64)
    assert frame.shape == (64, 64)
    assert (frame[:32, 32:] == 5).all()
    assert not frame[32:].any()


def test_splits_keep_images_whole_and_repeat():
    images, labels = discs(6)
    _, items = checked_examples(images, labels, 4)
    learned, held_out = split(items, 0.34, seed=3)
    assert not {i.example for i in learned} & {i.example for i in held_out}
    assert len(held_out) == 6
    assert split(items, 0.34, seed=3) == (learned, held_out)
    assert any(split(items, 0.34, seed=s)[1] != held_out for s in range(4, 8))


def test_the_hash_changes_with_a_pixel():
    images, labels = discs(1)
    first = data_hash(checked_examples(images, labels, 4)[0])
    images[0] = images[0].copy()
    images[0][0, 0] ^= 1
    assert data_hash(checked_examples(images, labels, 4)[0]) != first


def test_label_ids_may_be_large_and_have_gaps():
    labels = np.zeros((40, 40), np.uint32)
    labels[2:10, 2:10], labels[20:30, 20:30] = 7, 2_000_000_000
    _, items = checked_examples((labels > 0) * 90.0, labels, 4)
    assert [item.label for item in items] == [7, 2_000_000_000]
