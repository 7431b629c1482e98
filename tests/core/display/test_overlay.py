"""Overlays change only what lies on objects; tables say what is in the labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.core.display.overlay import PALETTE, objects_table, overlay
from napari_samhq.errors import ImageError


@pytest.fixture
def labels() -> np.ndarray:
    """Return a chessboard of touching squares, ids with gaps, and an empty border."""
    labels = np.zeros((36, 36), dtype=np.int32)
    for index in range(9):
        row, col = divmod(index, 3)
        labels[3 + 10 * row : 13 + 10 * row, 3 + 10 * col : 13 + 10 * col] = 7 * index + 2
    return labels


def test_the_background_stays_as_it_was(labels: np.ndarray) -> None:
    image = np.random.default_rng(0).integers(0, 256, (36, 36, 3), dtype=np.uint8)
    before = image.copy()
    drawn = overlay(image, labels)
    np.testing.assert_array_equal(drawn[labels == 0], image[labels == 0])
    np.testing.assert_array_equal(image, before)
    assert drawn.dtype == np.uint8


def test_every_object_has_one_color_and_its_neighbours_have_others(labels: np.ndarray) -> None:
    drawn = overlay(np.zeros((36, 36, 3), np.uint8), labels, opacity=1)
    colors = {i: {tuple(c) for c in drawn[labels == i].tolist()} for i in np.unique(labels) if i}
    assert all(len(found) == 1 for found in colors.values())
    flat = {i: next(iter(found)) for i, found in colors.items()}
    assert set(flat.values()) <= {tuple(c) for c in PALETTE.tolist()}
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        for i, j in set(zip(a[a != b].tolist(), b[a != b].tolist(), strict=True)):
            assert 0 in (i, j) or flat[i] != flat[j]


def test_contours_stay_visible_without_a_fill(labels: np.ndarray) -> None:
    drawn = overlay(np.zeros((36, 36, 3), np.uint8), labels, opacity=0)
    assert drawn[3, 3].any()
    assert not drawn[8, 8].any()


@pytest.mark.parametrize("fill", [0, 1], ids=["empty", "all-one-object"])
def test_images_without_neighbours_are_drawn(fill: int) -> None:
    drawn = overlay(np.full((4, 5, 3), 9, np.uint8), np.full((4, 5), fill))
    assert (drawn == 9).all() == (fill == 0)


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), int), "4 x 4 pixels.*4 x 5"),
        (np.zeros((4, 4, 3)), np.zeros((4, 4), int), "8-bit colour.*float64"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), int), r"\(4, 4\)"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), "2-D array of integers"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    image: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        overlay(image, labels)


def test_the_table_measures_each_object(labels: np.ndarray) -> None:
    table = objects_table(labels.astype(np.uint16), {2: 0.5}, pixel_size=(0.5, 2), unit="nm")
    assert table["label"].tolist() == [7 * i + 2 for i in range(9)]
    assert (table["area_px"] == 100).all()
    assert (table["area_nm2"] == 100).all()
    assert table["score"].notna().tolist() == [True] + [False] * 8
    second = table.iloc[1]
    assert [second.row, second.col] == [7.5, 17.5]
    assert [second.min_row, second.min_col, second.max_row, second.max_col] == [3, 13, 12, 22]


def test_an_empty_image_gives_an_empty_table_with_all_columns() -> None:
    table = objects_table(np.zeros((5, 5), int), {})
    assert len(table) == 0
    assert {"label", "score", "area_px", "row", "max_col"} <= set(table.columns)
