"""On small images answers are the predictor's own; on large ones they are right and read little."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.errors import Cancelled, FileError, PromptError, SamHQWarning
from napari_samhq.inference.predictor import Predictor
from napari_samhq.inference.source import ImageSource
from napari_samhq.inference.store import EmbeddingStore
from napari_samhq.inference.windowed import WindowedPredictor
from support.fakes import FakePredictor
from support.large import Counting


def disc(radius: float) -> int:
    rows, cols = np.mgrid[-200:201, -200:201]
    return int((np.hypot(rows, cols) <= radius).sum())


@pytest.fixture
def counted() -> Counting:
    """A large image that counts the pixels that were read."""
    return Counting((40_000, 50_000))


def over(counted, predictor=None, **options) -> WindowedPredictor:
    source = ImageSource.of(counted, contrast_limits=(0, 255))
    return WindowedPredictor(predictor or FakePredictor(20, input_size=512), source, **options)


# --------------------------------------------------------------------------- small images: as ever


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt([[30, 40]]),
        Prompt([[30, 40], [60, 60]], [1, 0]),
        Prompt(box=[10, 20, 60, 90]),
        Prompt([[30, 40]], box=[10, 20, 60, 90]),
        Prompt(mask=np.pad(np.ones((20, 30), bool), ((30, 50), (40, 58)))),
    ],
    ids=["point", "points", "box", "both", "mask"],
)
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_on_a_small_image_answers_are_those_of_the_predictor(
    tiny_network, grey_image, prompt, multimask, dtype
) -> None:
    image = grey_image[:100, :128].astype(dtype)  # twice the input of this model
    predictor = Predictor(tiny_network)
    given = {"box": prompt.box, "mask": prompt.mask}
    expected = predictor.predict(
        predictor.embed(image), prompt.points, prompt.point_labels, **given, multimask=multimask
    )
    answer = WindowedPredictor(predictor, image).predict(prompt, multimask=multimask)
    np.testing.assert_array_equal(answer.masks, expected.masks)
    np.testing.assert_array_equal(answer.low_res_logits, expected.low_res_logits)
    np.testing.assert_array_equal(answer.scores, expected.scores)
    assert answer.region == expected.region


def test_on_a_small_image_logits_are_a_prompt_as_ever(tiny_network, grey_image) -> None:
    predictor, image = Predictor(tiny_network), grey_image[:100, :128]
    embedding, windowed = predictor.embed(image), WindowedPredictor(predictor, image)
    logits = predictor.predict(embedding, [[30, 40]]).low_res_logits
    expected = predictor.predict(embedding, [[30, 40]], mask=logits)
    answer = windowed.predict(Prompt([[30, 40]], mask=logits))
    np.testing.assert_array_equal(answer.low_res_logits, expected.low_res_logits)


def test_a_window_is_answered_like_an_image_of_its_own(tiny_network) -> None:
    noise = Counting((3000, 4000))
    windowed = over(noise, Predictor(tiny_network))
    answer = windowed.predict(Prompt(box=[1000, 2000, 1015, 2020]))
    window = answer.window
    assert window.shape == (64, 64)
    predictor = Predictor(tiny_network)
    corner = np.array([window.top, window.left] * 2)
    crop = predictor.embed(noise[window.region], contrast_limits=(0, 255))
    expected = predictor.predict(crop, box=np.array([1000, 2000, 1015, 2020]) - corner)
    np.testing.assert_array_equal(answer.masks, expected.masks)
    np.testing.assert_array_equal(answer.low_res_logits, expected.low_res_logits)


# ------------------------------------------------------------------------------------ large images


def whole(answer, shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[answer.region] = answer.mask
    return mask


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_disc_comes_out_whole_wherever_it_is(data) -> None:
    shape = (data.draw(st.integers(1, 1200)), data.draw(st.integers(1, 1200)))
    row, col = (data.draw(st.integers(0, n - 1)) for n in shape)
    radius = data.draw(st.sampled_from([1, 3, 20, 60]))
    predictor = FakePredictor(radius, input_size=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)
        windowed = WindowedPredictor(
            predictor, ImageSource.of(Counting(shape), contrast_limits=(0, 255)), border_windows=0
        )
        answer = windowed.predict(Prompt([[row, col]]))
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    expected = np.hypot(rows - row, cols - col) <= radius
    np.testing.assert_array_equal(whole(answer, shape), expected)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_box_comes_out_whole_wherever_it_is(data) -> None:
    shape = (1500, 1100)
    top, left = data.draw(st.integers(0, 1400)), data.draw(st.integers(0, 1000))
    bottom = data.draw(st.integers(top + 1, 1499))
    right = data.draw(st.integers(left + 1, 1099))
    windowed = over(Counting(shape), FakePredictor(input_size=64))
    answer = windowed.predict(Prompt(box=[top, left, bottom, right]))
    expected = np.zeros(shape, bool)
    expected[top : bottom + 1, left : right + 1] = True
    difference = whole(answer, shape) ^ expected
    assert difference.sum() <= 4 * (answer.window.scale > 2) * np.sqrt(expected.sum())


def test_an_object_ten_times_the_model_s_input_comes_out_whole() -> None:
    checks = Counting((40_000, 50_000), value=lambda rows, cols: (rows // 512 + cols // 512) % 2)
    # In a window of 8192 px masks have a pixel for 2 x 2 of the image, also this one's radius.
    windowed = over(checks, FakePredictor(radius=1280, input_size=512), border_windows=0)
    answer = windowed.predict(Prompt([[20_480, 20_480]]))
    rows, cols = np.ogrid[answer.region]
    expected = np.hypot(rows - 20_480, cols - 20_480) <= 2560
    assert np.count_nonzero(answer.mask ^ expected) <= 2 * 2 * np.pi * 2560
    assert answer.mask.sum() == pytest.approx(np.pi * 2560**2, rel=2e-3)


def test_only_pixels_around_the_prompt_are_read(counted) -> None:
    windowed = over(counted, FakePredictor(20, input_size=512))
    answer = windowed.predict(Prompt([[35_000, 41_000]]))
    assert counted.read == 512 * 512
    assert answer.masks.shape == (1, 512, 512)
    assert answer.window.holds([[35_000, 41_000]]).all()


def test_tiny_objects_are_looked_at_from_closer_up(counted) -> None:
    answer = over(counted, FakePredictor(2, input_size=512)).predict(Prompt([[35_000, 41_000]]))
    assert answer.window.scale == 0.25
    assert answer.mask.sum() == disc(2)


def test_a_box_is_asked_once_at_its_scale(counted) -> None:
    predictor = FakePredictor(input_size=512)
    windowed = over(counted, predictor)
    for extent, scale in ((4, 0.25), (20, 0.5), (100, 1), (180, 1), (300, 2)):
        predictor.calls.clear()
        answer = windowed.predict(Prompt(box=[9000, 9000, 9000 + extent, 9000 + extent]))
        assert answer.window.scale == scale
        assert [what for what, _ in predictor.calls] == ["embed", "predict"]


def test_neighbours_share_what_the_model_saw(counted) -> None:
    predictor = FakePredictor(15, input_size=512)
    windowed = over(counted, predictor)
    corners = 20_000 + np.random.default_rng(0).uniform(0, 1000, (40, 2))
    prompts = [Prompt(box=[*corner, *corner + 40]) for corner in corners]
    answers = windowed.predict_many(prompts)
    embedded = sum(what == "embed" for what, _ in predictor.calls)
    assert embedded <= 6 * 6
    for prompt, answer in zip(prompts, answers, strict=True):
        alone = windowed.predict(prompt)
        assert alone.region == answer.region
        np.testing.assert_array_equal(alone.masks, answer.masks)
    assert sum(what == "embed" for what, _ in predictor.calls) == embedded


def test_points_outside_of_the_window_are_left_out_of_it_only(counted) -> None:
    predictor = FakePredictor(20, input_size=512)
    windowed = over(counted, predictor)
    points = [[20_000, 20_000], [20_010, 20_000], [300, 300]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = windowed.predict(Prompt(points, [1, 0, 0]))
    _, asked = predictor.calls[-1]
    assert asked.point_labels.tolist() == [1, 0]
    assert 0 < answer.mask.sum() < disc(20)


@pytest.mark.parametrize(
    ("radius", "share", "scale"),
    [(60, None, 1), (60, 3 / 16, 2), (90, 3 / 16, 2), (110, None, 2), (110, 3 / 16, 4)],
)
def test_a_click_is_asked_from_as_far_as_the_weights_want_it(counted, radius, share, scale) -> None:
    predictor = FakePredictor(radius, input_size=512)
    if share is not None:
        predictor.largest_share = share
    windowed = over(counted, predictor, border_windows=0)
    answer = windowed.predict(Prompt([[20_000, 20_000]]))
    assert answer.window.scale == scale
    assert sum(what == "predict" for what, _ in predictor.calls) <= 1 + np.log2(scale)
    # What follows stays where that was found, and a box is asked there at once.
    again = windowed.predict(Prompt([[20_000, 20_000]], mask=answer.low_res_logits))
    assert again.window == answer.window
    low, high = 20_000 - radius, 20_000 + radius
    boxed = windowed.predict(Prompt(box=[low, low, high, high]))
    assert boxed.window.scale == scale


def test_from_farther_away_a_mask_may_be_tiny_and_stays_as_it_is(counted) -> None:
    """Going back and forth between two windows must end."""

    class Fickle(FakePredictor):
        largest_share = 3 / 16

        def iter_predict(self, embedding, prompts, **options):
            self.radius = 4.0 if self.radius > 4 else 60.0
            yield from super().iter_predict(embedding, prompts, **options)

    predictor = Fickle(4, input_size=512)
    answer = over(counted, predictor).predict(Prompt([[20_000, 20_000]]))
    assert answer.mask.any()
    assert sum(what == "predict" for what, _ in predictor.calls) <= 4


def test_it_is_not_worth_much_reading(counted, monkeypatch) -> None:
    monkeypatch.setattr("napari_samhq.inference.windowed._WORTH_READING_PX", 600 * 600)
    answer = over(counted, FakePredictor(110, input_size=512)).predict(Prompt([[20_000, 20_000]]))
    assert answer.window.scale == 1
    assert answer.mask.sum() == disc(110)


def test_growing_stops_where_nothing_coarser_can_be_read(monkeypatch) -> None:
    monkeypatch.setattr("napari_samhq.inference.windowed._MOST_READ_PX", 600 * 600)
    windowed = over(Counting((40_000, 40_000)), FakePredictor(5000, input_size=512))
    with pytest.warns(SamHQWarning, match="pyramid"):
        answer = windowed.predict(Prompt([[20_000, 20_000]]))
    assert answer.mask.all()
    assert answer.window.scale == 1


def test_an_empty_place_is_told_and_not_searched_further() -> None:
    image = zarr.create(shape=(50_000, 50_000), chunks=(1024, 1024), dtype="u2", store={})
    predictor = FakePredictor(1000, input_size=512)
    windowed = over(image, predictor)
    with pytest.warns(SamHQWarning, match="empty around the prompt"):
        windowed.predict(Prompt([[20_000, 20_000]]))
    assert [what for what, _ in predictor.calls] == ["embed", "predict"]


# ------------------------------------------------------------------------- borders, seen from near


@pytest.mark.parametrize("most", [0, 16])
def test_the_border_of_a_large_object_is_drawn_in_few_windows(most) -> None:
    shape = (3000, 3000)
    rows, cols = np.ogrid[:3000, :3000]
    truth = np.hypot(rows - 1500, cols - 1400) <= 500

    class Seeing(FakePredictor):
        """Knows the truth as far as the pixels it was shown tell."""

        def embed(self, image, *, contrast_limits=None):
            self.picture = image
            return super().embed(image, contrast_limits=contrast_limits)

        def iter_predict(self, embedding, prompts, **options):
            for index, answer in super().iter_predict(embedding, prompts, **options):
                height, width = embedding.image_shape
                low = self.picture[..., 0] > 127
                side = np.linspace(0, len(low) - 1, 64).round().astype(int)
                low = low[side][:, side]  # 64 low-res pixels, as of the logits
                at = np.arange(height) * 64 // height, np.arange(width) * 64 // width
                mask = low[at[0]][:, at[1]]
                object.__setattr__(answer, "masks", mask[np.newaxis])
                yield index, answer

    predictor = Seeing(input_size=128)
    windowed = over(truth.astype(np.uint8) * 255, predictor, border_windows=most)
    answer = windowed.predict(Prompt(box=[1000, 900, 2000, 1900]))
    wrong = np.count_nonzero(whole(answer, shape) ^ truth) / (2 * np.pi * 500)
    predicted = sum(what == "predict" for what, _ in predictor.calls)
    assert predicted <= 1 + most
    coarse = answer.window.shape[0] / 64
    assert wrong <= coarse
    if most >= 16:
        assert predicted > 1
        assert wrong <= coarse / 2


# -------------------------------------------------------------------------------- feeding back


def test_logits_of_the_same_window_are_used_as_they_are(counted) -> None:
    predictor = FakePredictor(30, input_size=512)
    windowed = over(counted, predictor)
    first = windowed.predict(Prompt([[20_000, 20_000]]), multimask=True)
    second = windowed.predict(Prompt([[20_000, 20_005]], mask=first.low_res_logits[1]))
    assert second.window == first.window
    np.testing.assert_array_equal(predictor.calls[-1][1].mask, first.low_res_logits[1])


def test_logits_of_another_window_become_its_mask_there(counted) -> None:
    predictor = FakePredictor(30, input_size=512)
    windowed = over(counted, predictor, border_windows=0)
    first = windowed.predict(Prompt([[20_000, 20_000]]))
    second = windowed.predict(Prompt([[20_000, 21_000]], mask=first.low_res_logits))
    assert second.window != first.window
    mask = predictor.calls[-1][1].mask
    assert mask.dtype == bool
    assert mask.area == disc(30)
    assert second.mask.sum() == 2 * disc(30)


def test_logits_from_elsewhere_are_refused(counted) -> None:
    with pytest.raises(PromptError, match="none of the latest answers"):
        over(counted).predict(Prompt([[5, 5]], mask=np.zeros((64, 64), np.float32)))


def test_a_mask_of_the_image_is_cut_to_the_window() -> None:
    predictor = FakePredictor(input_size=64)
    windowed = over(Counting((900, 800)), predictor)
    mask = np.zeros((900, 800), bool)
    mask[500:520, 600:610] = True
    answer = windowed.predict(Prompt(mask=mask))
    np.testing.assert_array_equal(whole(answer, (900, 800)), mask)


# ----------------------------------------------------------------------------- store and faults


@pytest.mark.parametrize("kind", [pytest.param("numpy", id="FM-23-numpy"), "zarr"])
def test_an_edit_in_place_is_noticed(kind) -> None:
    pixels = Counting((3000, 3000))[:, :]
    image = pixels if kind == "numpy" else zarr.array(pixels, chunks=(256, 256), store={})
    predictor = FakePredictor(20, input_size=512)
    windowed = over(image, predictor)

    def embedded() -> int:
        windowed.predict(Prompt([[1000, 1000]]))
        return sum(what == "embed" for what, _ in predictor.calls)

    assert (embedded(), embedded()) == (1, 1)
    image[100, 100] = 255 - int(image[100, 100])  # far from the window
    assert embedded() == 1
    image[1000, 1000] = 255 - int(image[1000, 1000])
    assert embedded() == 2


def test_prepare_makes_the_first_answer_quick(counted) -> None:
    predictor = FakePredictor(20, input_size=512)
    windowed = over(counted, predictor)
    windowed.prepare((slice(19_000, 21_000), slice(29_000, 31_000)))
    windowed.predict(Prompt([[20_000, 30_000]]))
    assert [what for what, _ in predictor.calls] == ["embed", "predict"]


@pytest.mark.parametrize(
    "stage", [pytest.param(s, id=f"FM-28-{s}") for s in ("prepare", "predict")]
)
def test_it_can_be_stopped_before_each_step(counted, stage) -> None:
    def report(now: str) -> None:
        if now == stage:
            raise Cancelled("stop")

    windowed = over(counted)
    with pytest.raises(Cancelled):
        windowed.predict(Prompt([[100, 100]]), report=report)
    assert windowed.predict(Prompt([[100, 100]])).mask.any()


def test_a_store_that_cannot_be_written_does_not_stop_the_work(
    tiny_network, tmp_path, monkeypatch
) -> None:
    def full(*_: object) -> None:
        raise FileError("Cannot write: no space left.")

    store = EmbeddingStore(tmp_path)
    monkeypatch.setattr(store, "_write", full)
    windowed = over(Counting((500, 500)), Predictor(tiny_network), store=store)
    with pytest.warns(SamHQWarning, match="in memory only"):
        first = windowed.predict(Prompt(box=[100, 100, 115, 115]))
    again = windowed.predict(Prompt(box=[100, 100, 115, 115]))
    np.testing.assert_array_equal(first.low_res_logits, again.low_res_logits)


def test_answers_do_not_depend_on_what_was_in_the_store(tiny_network, tmp_path) -> None:
    prompt = Prompt(box=[100, 100, 115, 115])
    answers = [
        over(Counting((500, 500)), Predictor(tiny_network), store=EmbeddingStore(tmp_path)).predict(
            prompt
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(answers[0].low_res_logits, answers[1].low_res_logits)


def test_a_bad_prompt_among_many_is_named(counted) -> None:
    with pytest.raises(PromptError, match="Prompt 1 of 2"):
        over(counted).predict_many([Prompt([[5, 5]]), Prompt([[5, 5]], [0])])
