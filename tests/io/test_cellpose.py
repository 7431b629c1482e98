"""Cellpose's files: their labels come out, and nothing else in them does anything."""

from __future__ import annotations

import contextlib
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.errors import FileError
from napari_samhq.io.cellpose import read_cellpose
from napari_samhq.io.labels import plane_of_labels, read_labels
from napari_samhq.io.layer_data import read_layer_data
from napari_samhq.io.prompt_files import read_prompts


def some_masks(dtype=np.uint16):
    masks = np.zeros((40, 50), dtype)
    masks[3:12, 4:20], masks[20:30, 10:14] = 1, 7
    return masks


def content(masks):
    """What `cellpose.io.masks_flows_to_seg` saves."""
    return {
        "outlines": masks,
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(int(masks.max()), bool),
        "filename": "a.tif",
        "flows": [np.zeros((2, 40, 50), np.float32), [np.ones(3)], []],
        "diameter": np.nan,
        "est_diam": np.float64(17.5),
        "colors": np.zeros((7, 3), np.uint8),
        "names": np.array(["a", "bc"]),
    }


def saved(path, value, protocol=3):
    array = np.empty((), dtype=object)
    array[()] = value
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(array, file, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", "u1"])
def test_FM_94_labels_come_out_of_any_pickle(protocol, dtype, tmp_path):
    masks = some_masks(dtype)
    for one in (masks, np.asfortranarray(masks), np.stack([masks, masks])):
        path = saved(tmp_path / "a_seg.npy", content(one), protocol)
        np.testing.assert_array_equal(read_cellpose(path), one)


def test_FM_94_it_is_read_wherever_labels_are(tmp_path):
    masks = some_masks()
    path = tmp_path / "a_seg.npy"
    np.save(path, content(masks), allow_pickle=True)
    np.testing.assert_array_equal(plane_of_labels(path), masks)
    np.testing.assert_array_equal(read_labels(path).labels, masks)
    np.testing.assert_array_equal(read_layer_data(path)[0][0], masks)
    prompts = read_prompts(path, shape=masks.shape)
    assert list(prompts) == [1, 7]
    np.testing.assert_array_equal(prompts[7].mask.within(masks.shape), masks == 7)
    np.save(path, content(np.stack([masks * 0, masks])), allow_pickle=True)
    np.testing.assert_array_equal(plane_of_labels(path, [1]), masks)


class Evil:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, "touch {}"),
        Evil(eval, "open('{}', 'w')"),
        Evil(getattr, "x", "upper"),
        Evil(np.load, "{}"),
        Evil(np.dtype, "O"),
    ],
    ids=["FM-94 system", "FM-94 eval", "FM-94 getattr", "FM-94 numpy.load", "FM-94 objects"],
)
def test_nothing_is_run(evil, tmp_path):
    mark = tmp_path / "mark"
    evil.arguments = tuple(
        one.format(mark) if isinstance(one, str) else one for one in evil.arguments
    )
    path = saved(tmp_path / "a_seg.npy", {"masks": some_masks(), "more": [evil]})
    if evil.call is np.dtype:  # a type alone does nothing
        read_cellpose(path)
    else:
        with pytest.raises(FileError, match="could run code"):
            read_cellpose(path)
    assert not mark.exists()


def test_FM_94_what_has_no_labels_is_refused(tmp_path):
    path = tmp_path / "a_seg.npy"
    for wrong in ({"masks": None}, {"masks": np.zeros((3, 3))}, {}, [1, 2], {"masks": [[1]]}):
        with pytest.raises(FileError, match="no labels of Cellpose"):
            read_cellpose(saved(path, wrong))
    np.save(path, np.zeros((3, 3), int))
    with pytest.raises(FileError, match="no file of Cellpose"):
        read_cellpose(path)
    with pytest.raises(FileError, match="There is no file"):
        read_cellpose(tmp_path / "b_seg.npy")


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_FM_94_damaged_files_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cellpose") / "a_seg.npy"
    whole = bytearray(saved(path, content(some_masks()), 4).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole)))])
    with contextlib.suppress(FileError):
        assert read_cellpose(path).dtype.kind in "iu"
