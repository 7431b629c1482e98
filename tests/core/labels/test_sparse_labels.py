"""The journal alone rebuilds the labels, pixel by pixel, and takes them back to the beginning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.identity import content_digest
from napari_samhq.core.journal.events import LabelsEdit
from napari_samhq.core.labels.sparse_labels import SparseLabels, base_of, edits_of, rebuild_labels
from support.journals import random_journal

SHAPES = [(40, 60), (300, 520), (3, 30, 40), (2, 3, 20, 30)]


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES))
@settings(max_examples=60, deadline=None)
def test_the_journal_leads_from_the_base_to_the_labels_and_back(seed, shape):
    journal, base, labels = random_journal(np.random.default_rng(seed), shape)
    sparse = SparseLabels.of(base)
    rebuilt = rebuild_labels(journal, sparse)
    np.testing.assert_array_equal(rebuilt.array(), labels)
    np.testing.assert_array_equal(sparse.array(), base)  # untouched
    assert base_of(journal, rebuilt) == sparse


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES))
@settings(max_examples=30, deadline=None)
def test_differences_lead_from_one_to_the_other(seed, shape):
    _, base, labels = random_journal(np.random.default_rng(seed), shape)
    one, other = SparseLabels.of(base), SparseLabels.of(labels)
    for edit in one.differences(other):
        one.apply(edit)
    np.testing.assert_array_equal(one.array(), labels)
    assert one == other


@pytest.mark.parametrize("dtype", [np.uint8, ">i4", np.int64])
def test_only_blocks_that_hold_something_take_memory(dtype):
    image = np.zeros((2, 1000, 700), dtype=dtype)
    image[1, 999, 699] = 3
    labels = SparseLabels.of(image)
    assert list(labels.blocks) == [(1, 3, 2)]
    assert labels.dtype.isnative
    np.testing.assert_array_equal(labels.array(), image)


def test_pixels_that_somebody_changed_since_stay_as_they_are():
    labels = SparseLabels.of(np.array([[0, 5], [7, 0]]))
    everything = np.ones((2, 2), dtype=bool)
    edit = LabelsEdit(
        Plane((0, 1)), (slice(0, 2), slice(0, 2)), everything, np.zeros(4, int), np.full(4, 9)
    )
    labels.apply(edit)
    assert labels.array().tolist() == [[9, 5], [7, 9]]
    labels.apply(edit, back=True)
    assert labels.array().tolist() == [[0, 5], [7, 0]]


def test_blocks_are_read_from_a_zarr_array_only_where_edits_lie(tmp_path):
    import zarr

    store = zarr.create_array(tmp_path / "a.zarr", shape=(600, 600), chunks=(256, 256), dtype="i4")
    store[0:10, 0:10] = 1
    store[300:310, 300:310] = 2
    region = (slice(300, 302), slice(300, 301))
    pixels = np.ones((2, 1), dtype=bool)
    edit = LabelsEdit(Plane((0, 1)), region, pixels, np.full(2, 2), np.zeros(2, int))
    touched = SparseLabels(store.shape, store.dtype).touched([edit])
    assert touched == {(1, 1)}
    assert list(SparseLabels.of(store, touched).blocks) == [(1, 1)]


def test_edits_are_told_in_their_order():
    journal, *_ = random_journal(np.random.default_rng(1), (40, 60))
    assert sum(len(edits_of(event)) for event in journal) > 3


def test_the_digest_of_a_large_image_is_the_same_from_numpy_and_zarr(tmp_path):
    import zarr

    image = np.random.default_rng(0).integers(0, 255, (3, 1200, 1300), dtype=np.uint16)
    store = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(1, 256, 256))
    assert content_digest(image) == content_digest(store)
    assert content_digest(image) != content_digest(image[::-1])
    assert content_digest(image) != content_digest(image.astype(np.int32))


def test_the_digest_of_a_small_image_sees_every_pixel():
    image = np.zeros((300, 400), np.uint8)
    other = image.copy()
    other[299, 1] = 1
    assert content_digest(image) != content_digest(other)
