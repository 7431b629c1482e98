import numpy as np
import pytest

from napari_samhq.training.micro.composites import composite
from napari_samhq.training.micro.synthetic import synthetic_image


@pytest.fixture(scope="module")
def pictures():
    return [synthetic_image(seed, size=160) for seed in range(6)]


def made(pictures, seed):
    rng = np.random.default_rng(seed)
    outlines = np.ascontiguousarray(pictures[seed % len(pictures)].labels[:128, :128])
    return outlines, composite(rng, lambda r: pictures[int(r.integers(len(pictures)))], outlines)


@pytest.mark.parametrize("seed", range(8))
def test_composites_are_pictures_with_numbered_objects(pictures, seed):
    _, (image, labels) = made(pictures, seed)
    assert image.shape[:2] == labels.shape == (128, 128)
    assert image.shape[2] in (1, 3)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1
    area = np.bincount(labels.ravel())[1:]
    assert (area >= 14).all()  # each number up to the largest is an object


@pytest.mark.parametrize("seed", range(8))
def test_objects_keep_the_outlines_of_real_ones(pictures, seed):
    """What stays is a whole outline, except where another one was laid over it."""
    outlines, (_, labels) = made(pictures, seed)
    turned = [np.rot90(outlines, k) for k in range(4)]
    turned += [one[:, ::-1] for one in turned]
    for label in range(1, labels.max() + 1):
        mask = labels == label
        inside = [one[mask] for one in turned]
        assert any(len(np.unique(values)) == 1 and values[0] > 0 for values in inside)


def test_the_same_seed_makes_the_same_picture(pictures):
    (_, one), (_, two), (_, other) = made(pictures, 3), made(pictures, 3), made(pictures, 4)
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.image, other.image)


def test_no_outlines_make_a_background(pictures):
    rng = np.random.default_rng(0)
    image, labels = composite(rng, lambda _: pictures[0], np.zeros((64, 64), np.int32))
    assert not labels.any()
    assert np.isfinite(image).all()
