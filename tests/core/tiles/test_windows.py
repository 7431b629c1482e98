"""Every prompt finds a window that holds it, and neighbours find the same one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.tiles.windows import (
    CLOSEST_SCALE,
    LARGEST_SHARE,
    SMALLEST_SHARE,
    Window,
    Windows,
)

sizes = st.sampled_from([64, 512, 1024])
lengths = st.integers(1, 200_000)


@st.composite
def images(draw) -> Windows:
    share = draw(st.sampled_from([LARGEST_SHARE, 3 / 16]))
    return Windows((draw(lengths), draw(lengths)), draw(sizes), share)


@st.composite
def boxes(draw, windows: Windows) -> np.ndarray:
    height, width = windows.image_shape
    top = draw(st.floats(-0.5, height - 1))
    left = draw(st.floats(-0.5, width - 1))
    bottom = draw(st.floats(top + 0.25, height - 0.5))
    right = draw(st.floats(left + 0.25, width - 0.5))
    return np.array([top, left, bottom, right])


def inside(window: Window, windows: Windows) -> bool:
    height, width = windows.image_shape
    return 0 <= window.top < window.bottom <= height and 0 <= window.left < window.right <= width


@given(images(), st.data())
def test_the_window_of_a_box_holds_it_with_room_around(windows, data) -> None:
    box = data.draw(boxes(windows))
    window = windows.first(Prompt(box=box))
    assert window == windows.first(Prompt(box=box))
    assert inside(window, windows)
    if window == windows.whole:
        return
    side = windows.input_size * window.scale
    room = side * (1 - windows.largest_share) / 2 - side / 4 - window.scale
    bounds = (window.top, window.left, window.bottom, window.right)
    for axis in (0, 1):
        for end, sign in ((axis, 1), (axis + 2, -1)):
            at_rim = bounds[end] in (0, windows.image_shape[axis])
            assert at_rim or sign * (box[end] - bounds[end]) >= room - 1


@given(images(), st.data())
def test_the_window_of_points_holds_them(windows, data) -> None:
    height, width = windows.image_shape
    place = st.tuples(
        st.floats(-0.5, height - 0.5, exclude_max=True),
        st.floats(-0.5, width - 0.5, exclude_max=True),
    )
    points = np.array(data.draw(st.lists(place, min_size=1, max_size=4)))
    window = windows.first(Prompt(points))
    assert inside(window, windows)
    assert window.holds(points).all()
    assert window.scale >= 1 or window == windows.whole


@given(images(), st.data())
def test_a_mask_like_a_box_finds_the_same_window(windows, data) -> None:
    height, width = windows.image_shape
    assume(height * width < 2**20)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top, height - 1)), data.draw(st.integers(left, width - 1))
    mask = CroppedMask.of(np.ones((bottom + 1 - top, right + 1 - left), bool), (top, left))
    assert windows.first(Prompt(mask=mask)) == windows.first(
        Prompt(box=[top, left, max(bottom, top + 1e-9), max(right, left + 1e-9)])
    )


@given(images(), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.25, 0.5, 1, 2, 8, 64]))
def test_windows_are_as_large_as_their_scale_says(windows, down, across, scale) -> None:
    height, width = windows.image_shape
    window = windows.around((down * (height - 1), across * (width - 1)), scale)
    assert inside(window, windows)
    assert window.holds([[down * (height - 1), across * (width - 1)]]).all()
    if window == windows.whole:
        return
    side = windows.input_size * scale
    for length, start, n in zip(
        window.shape, (window.top, window.left), windows.image_shape, strict=True
    ):
        # At the far end the image may end within the last pixel of this scale.
        assert length == n or side - scale < length <= side
        assert start % max(1, scale) == 0


@given(sizes, st.sampled_from([0.25, 1, 4]), st.integers(0, 2**32 - 1))
def test_there_are_few_windows_in_an_area(size, scale, seed) -> None:
    windows = Windows((100_000, 80_000), size)
    side = size * scale
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50_000, 2)
    places = corner + rng.uniform(0, 2 * side, (500, 2))
    found = {windows.around(tuple(place), scale) for place in places}
    assert len(found) <= (2 * 2 + 1) ** 2


@given(st.data())
def test_the_windows_over_a_region_are_those_that_prompts_in_it_get(data) -> None:
    windows = Windows((data.draw(st.integers(1, 5000)), data.draw(st.integers(1, 5000))), 64)
    scale = data.draw(st.sampled_from([0.5, 1, 4]))
    corners = [
        sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
        for n in windows.image_shape
    ]
    assume(all(stop > start for start, stop in corners))
    found = list(windows.over((slice(*corners[0]), slice(*corners[1])), scale))
    assert len(found) == len(set(found))
    for _ in range(20):
        place = tuple(data.draw(st.integers(start, stop - 1)) for start, stop in corners)
        assert windows.around(place, scale) in found


@given(images(), st.floats(0.1, 1e6))
def test_objects_take_a_fitting_share_of_their_window(windows, extent) -> None:
    scale = windows.scale_for(extent)
    share = extent / (windows.input_size * scale)
    assert share <= windows.largest_share
    assert share >= SMALLEST_SHARE or scale == CLOSEST_SCALE
    assert np.log2(scale) == int(np.log2(scale))
    if SMALLEST_SHARE <= extent / windows.input_size <= windows.largest_share:
        assert scale == 1


@given(images(), st.data())
def test_a_window_grows_around_itself_until_it_is_the_image(windows, data) -> None:
    window = windows.first(Prompt(box=data.draw(boxes(windows))))
    for _ in range(30):
        grown = windows.larger(window)
        if grown is None:
            break
        assert grown.top <= window.top < window.bottom <= grown.bottom
        assert grown.left <= window.left < window.right <= grown.right
        assert grown.scale > window.scale
        window = grown
    assert window == windows.whole


@pytest.mark.parametrize("shape", [(1, 1), (520, 696), (2048, 2048), (2, 2047)])
def test_small_images_are_seen_as_a_whole(shape) -> None:
    windows = Windows(shape, 1024)
    assert windows.is_small
    prompt = Prompt(box=[0, 0, 0.5, 0.5])
    window = windows.first(prompt)
    assert window.region == (slice(0, shape[0]), slice(0, shape[1]))
    assert windows.fitting(window, prompt, np.zeros(4)) == window
    assert windows.larger(window) is None


def test_what_is_tiny_is_looked_at_from_closer_up() -> None:
    windows = Windows((50_000, 50_000), 1024)
    prompt = Prompt([[20_000, 30_000]])
    window = windows.first(prompt)
    assert window.scale == 1
    assert windows.fitting(window, prompt, np.array([19_980, 29_960, 20_020, 30_040])) == window
    closer = windows.fitting(window, prompt, np.array([19_995, 29_996, 20_004, 30_010]))
    assert closer.scale == 0.25
    assert closer.holds([[19_995, 29_996], [20_004, 30_010]]).all()


def test_what_fills_its_window_is_looked_at_from_farther_away() -> None:
    prompt = Prompt([[20_000, 30_000]])
    found = np.array([19_900, 29_950, 20_100, 30_149])
    for share, scale in ((LARGEST_SHARE, 1), (3 / 16, 2)):
        windows = Windows((50_000, 50_000), 1024, share)
        window = windows.first(prompt)
        fitting = windows.fitting(window, prompt, found)
        assert fitting.scale == scale
        assert fitting.holds(found.reshape(2, 2)).all()
        assert windows.fitting(fitting, prompt, found) == fitting


def test_negative_points_do_not_widen_the_window() -> None:
    windows = Windows((50_000, 50_000), 1024)
    alone = windows.first(Prompt([[20_000, 30_000]]))
    beside = windows.first(Prompt([[20_000, 30_000], [100, 100]], [1, 0]))
    assert alone == beside
    assert beside.holds([[20_000, 30_000], [100, 100]]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("edge", "reaches"),
    [("inner", True), ("stray", False), ("outer", False), ("none", False)],
)
def test_a_mask_reaches_the_edge_where_the_image_goes_on(edge, reaches) -> None:
    windows = Windows((50_000, 50_000), 1024)
    window = windows.around((0, 20_000), 1)
    mask = np.zeros(window.shape, bool)
    mask[300:400, 300:400] = True
    if edge == "outer":
        mask[0, 300:400] = True  # the image ends here
    elif edge == "inner":
        mask[300:400, -1] = True
    elif edge == "stray":
        mask[300:303, -1] = True
    assert windows.reaches_edge(window, mask) is reaches
