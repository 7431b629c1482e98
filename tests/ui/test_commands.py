"""Commands of napari's menus: in a real viewer without the dock, and as functions of a script."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels
from npe2 import PluginManifest

import napari_samhq
from napari_samhq import _plugin
from napari_samhq.core.measure.metrics import iou
from napari_samhq.errors import LayerError
from napari_samhq.inference.settings import DenseSettings, Search
from napari_samhq.session import refine_layer, segment_layer


@pytest.fixture(scope="module")
def nuclei() -> Image:
    data, options, _ = _plugin.sample_nuclei()[0]
    return Image(data[100:300, 200:400], scale=(0.5, 0.5), units=("um", "um"), **options)


def _ids(labels) -> list[int]:
    return [int(one) for one in np.unique(labels) if one]


def test_everything_of_a_layer_lies_over_it(nuclei):
    steps = []
    labels = segment_layer(nuclei, progress=steps.append)
    assert isinstance(labels, Labels)
    assert labels.data.shape == nuclei.data.shape
    assert (labels.scale.tolist(), labels.units) == (nuclei.scale.tolist(), nuclei.units)
    assert _ids(labels.data) == list(range(1, labels.data.max() + 1))
    assert labels.data.max() > 8
    assert steps[-1].done == steps[-1].total
    samhq = napari_samhq.segment_everything(nuclei.data, contrast_limits=nuclei.contrast_limits)
    assert np.array_equal(labels.data, samhq)


def test_planes_of_a_stack_are_segmented_one_by_one(nuclei):
    search = Search(changes={"min_score": 0.6})
    stack = Image(
        np.stack([nuclei.data, nuclei.data[::-1]]), contrast_limits=nuclei.contrast_limits
    )
    labels = segment_layer(stack, search=search).data
    first = segment_layer(nuclei, search=search).data
    assert np.array_equal(labels[0], first)
    assert set(_ids(labels[0])).isdisjoint(_ids(labels[1]))


def test_refined_labels_keep_their_ids_and_leave_the_rough_ones_alone(nuclei):
    exact = segment_layer(nuclei)
    rough = Labels(np.roll(exact.data, 2, axis=1), name="rough", scale=(0.5, 0.5), units="um")
    before = rough.data.copy()
    refined = refine_layer(nuclei, rough)
    assert np.array_equal(rough.data, before)
    assert set(_ids(refined.data)) <= set(_ids(rough.data))
    gains = [
        iou(refined.data == one, exact.data == one) - iou(rough.data == one, exact.data == one)
        for one in _ids(refined.data)
    ]
    assert np.median(gains) > 0


def test_labels_that_lie_elsewhere_or_hold_nothing_are_refused(nuclei):
    with pytest.raises(LayerError, match="has the shape"):
        refine_layer(nuclei, Labels(np.zeros((5, 5), dtype=int)))
    empty = Labels(np.zeros(nuclei.data.shape, dtype=int), scale=(0.5, 0.5), units="um")
    with pytest.raises(LayerError, match="no object"):
        refine_layer(nuclei, empty)


# In a viewer --------------------------------------------------------------------------------


@pytest.fixture
def viewer(make_napari_viewer, npe2pm, nuclei):
    npe2pm.register(PluginManifest.from_file(f"{napari_samhq.__path__[0]}/napari.yaml"))
    viewer = make_napari_viewer()
    data, options, _ = nuclei.as_layer_data_tuple()
    viewer.add_image(data, **options)
    return viewer


@pytest.mark.gui
def test_the_form_has_the_words_and_bounds_of_the_settings(viewer):
    _, form = viewer.window.add_plugin_dock_widget("napari-samhq", "Segment everything")
    described = {one.name: one for one in DenseSettings.described()}
    for name in ("diameter", "min_score", "smallest_px"):
        widget, one = form[name], described[name]
        assert (widget.value, widget.label, widget.tooltip) == (one.default, one.title, one.help)
        assert widget.min == one.low
    assert form.diameter.native.text() == "automatic"
    assert "micro" in form.model.choices
    assert form.image.value is viewer.layers[0]


@pytest.mark.gui
def test_everything_is_segmented_without_blocking_the_viewer(viewer, qtbot):
    _, form = viewer.window.add_plugin_dock_widget("napari-samhq", "Segment everything")
    worker = form()
    assert len(viewer.layers) == 1  # it has returned, and the work goes on
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=120_000)
    qtbot.waitUntil(lambda: not worker.is_running, timeout=10_000)
    assert viewer.layers[1].name == "nuclei objects"
    assert viewer.layers[1].data.max() > 8
    assert viewer.layers[1].scale.tolist() == [0.5, 0.5]


@pytest.mark.gui
def test_labels_are_refined_by_the_menu(viewer, qtbot, nuclei):
    rough = np.zeros(nuclei.data.shape, dtype=np.int32)
    rough[segment_layer(nuclei).data == 3] = 7
    viewer.add_labels(rough, name="rough", scale=(0.5, 0.5), units=("um", "um"))
    _, form = viewer.window.add_plugin_dock_widget("napari-samhq", "Refine labels")
    worker = form()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=120_000)
    qtbot.waitUntil(lambda: not worker.is_running, timeout=10_000)
    assert _ids(viewer.layers[2].data) == [7]
    assert viewer.layers[2].name == "rough refined"


@pytest.mark.gui
def test_the_menu_offers_both(viewer):
    from napari._app_model import get_app_model
    from napari._app_model.constants import MenuId

    menu = get_app_model().menus.get_menu(MenuId.LAYERS_SEGMENT)
    titles = {item.command.title for item in menu}
    assert {"Segment everything (SAM-HQ)", "Refine labels (SAM-HQ)"} <= titles
