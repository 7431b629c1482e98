import numpy as np
import pytest
import torch

import napari_samhq as samhq
from napari_samhq.training.finetune.dense_views import dense_places, see_densely
from napari_samhq.training.finetune.examples import checked_examples
from napari_samhq.training.finetune.views import places_of, see
from support.small_tuning import discs, write_small_model


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m") / "small"
    return samhq.load_model(write_small_model(folder, dense=True)).network


def looked(network, examples, wanted, places, **options):
    options = {"as_pixels": False, "seen": {}} | options
    return list(see_densely(network, examples, places, wanted, **options))


def test_what_is_left_empty_is_known_where_all_is_marked_only(network):
    (image,), (labels,) = discs(1)
    mask = np.zeros(labels.shape, bool)
    mask[:30] = True
    examples, items = checked_examples(image, labels, 4, complete=mask)
    (view,) = looked(network, examples, items, dense_places(examples, [0], 64, 1, 0))
    assert (view.known == (mask | (labels > 0))).all()
    assert ((view.labels > 0) == (labels > 0)).all()
    assert view.inside.all()


def test_of_objects_that_are_kept_for_measuring_nothing_is_known(network):
    (image,), (labels,) = discs(1)
    examples, items = checked_examples(image, labels, 4, complete=True)
    (view,) = looked(network, examples, items[:2], dense_places(examples, [0], 64, 1, 0))
    hidden = labels == items[2].label
    assert not view.known[hidden].any()
    assert not view.labels[hidden].any()
    assert view.labels.max() == 2
    assert view.known[labels == 0].mean() > 0.8


def test_large_images_are_looked_at_in_the_tiles_in_which_something_is_known():
    labels = np.zeros((300, 400), np.int32)
    labels[20:40, 30:50] = 1
    labels[250:270, 350:370] = 2
    image = np.random.default_rng(0).integers(0, 90, labels.shape).astype(np.uint8)
    examples, _ = checked_examples(image, labels, 4)
    places = dense_places(examples, [0], 64, 1, 0)
    assert len(places) == 3  # one object lies in two tiles
    for place in places:
        assert place.window.shape == (80, 80)
        assert labels[place.window.region].any()
    examples, _ = checked_examples(image, labels, 4, complete=True)
    assert len(dense_places(examples, [0], 64, 2, 0)) > len(places)


def test_what_was_seen_before_is_not_looked_at_again(network):
    images, labels = discs(2)
    examples, items = checked_examples(images, labels, 4)
    asked = places_of(examples, items, network.config, turns=3, seed=5)
    views = list(see(network, examples, asked))
    places = dense_places(examples, [0, 1], 64, 3, 0, asked)
    assert set(places) == set(asked)
    seen = {view.place: view.kept for view in views}
    for place, view in zip(
        places, looked(network, examples, items, places, seen=seen), strict=True
    ):
        assert view.kept is seen[place]


def test_an_encoder_that_learns_gets_pixels(network):
    images, labels = discs(1)
    examples, items = checked_examples(images, labels, 4)
    places = dense_places(examples, [0], 64, 1, 0)
    (view,) = looked(network, examples, items, places, as_pixels=True)
    (pixels,) = view.kept
    assert pixels.shape == torch.Size((3, 64, 64))
