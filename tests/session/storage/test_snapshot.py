"""A session that was saved goes on as if it had never ended."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.layers._source import layer_source

from napari_samhq.errors import FileError, LayerError, SamHQWarning
from napari_samhq.io.session_document import to_document
from napari_samhq.session.storage.open import open_session
from napari_samhq.session.storage.snapshot import snapshot
from support.session_work import new_viewer, states, work


@pytest.fixture
def image() -> np.ndarray:
    rows, cols = np.mgrid[:48, :64]
    return (rows * 2 + cols).astype(np.uint8)


def reopened(path, viewer, engine, **options):
    return open_session(path, viewer, engine=engine, **options)


@pytest.mark.parametrize("seed", range(3))
def test_all_steps_can_be_taken_back_and_done_again_after_reopening(
    image, annotate, engine, tmp_path, seed
):
    session = annotate(new_viewer(image))
    work(session, seed)
    path = session.save(tmp_path / "cells.samhq.json")
    again = reopened(path, new_viewer(image), engine)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    assert again.labels.data.dtype == session.labels.data.dtype
    assert again.objects.equals(session.objects)
    assert again.drafts == session.drafts
    assert again.current.drawn == session.current.drawn
    for one, other in ((again.points, session.points), (again.shapes, session.shapes)):
        assert len(one.data) == len(other.data)
        for data, same in zip(one.data, other.data, strict=True):
            np.testing.assert_array_equal(data, same)
    assert states(again) == states(session)
    again.close()


def test_work_goes_on_after_reopening(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    work(session)
    path = session.save(tmp_path / "cells.samhq.json")
    again = reopened(path, new_viewer(image), engine)
    for one in (session, again):
        one.predict()
        one.commit()
        one.add_points([[33, 50]])
        one.predict()
    assert again.commit() == session.commit()
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    # The own file may be replaced, with a backup; others not.
    again.save()
    assert (tmp_path / "cells.samhq.json.bak1").exists()
    (tmp_path / "b.samhq.json").write_text("precious")
    with pytest.raises(FileError, match="exists already"):
        again.save(tmp_path / "b.samhq.json")
    again.close()


def test_what_newer_programs_wrote_is_kept_when_the_session_is_saved_again(
    image, annotate, engine, tmp_path
):
    session = annotate(new_viewer(image))
    work(session)
    path = session.save(tmp_path / "cells.samhq.json")
    document = json.loads(path.read_text())
    document["colour"] = "red"
    document["objects"][0]["tags"] = ["mitosis"]
    path.write_text(json.dumps(document))
    again = reopened(path, new_viewer(image), engine)
    again.save()
    kept = json.loads(path.read_text())
    assert kept["colour"] == "red"
    assert kept["objects"][0]["tags"] == ["mitosis"]
    again.close()


def test_hand_edits_past_napari_are_kept(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    work(session)
    session.labels.data[30:40, 5:9] = 99
    path = session.save(tmp_path / "cells.samhq.json")
    again = reopened(path, new_viewer(image), engine)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    again.close()


def test_labels_that_were_there_before_come_back(image, annotate, engine, tmp_path):
    viewer = new_viewer(image)
    labels = viewer.add_labels(np.zeros(image.shape, np.uint16), name="mine")
    labels.data[:6, :6] = 500
    session = annotate(viewer, labels=labels)
    session.add_points([[20, 20]])
    session.predict()
    assert session.commit() == 501
    path = session.save(tmp_path / "cells.samhq.json")
    again = reopened(path, new_viewer(image), engine)
    assert again.labels.name == "mine"
    assert again.labels.data.dtype == np.uint16
    np.testing.assert_array_equal(again.labels.data, labels.data)
    again.undo()
    assert set(np.unique(again.labels.data)) == {0, 500}
    again.close()


def test_planes_of_a_stack_come_back(annotate, engine, tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (4, 30, 40), dtype=np.uint8)
    viewer = new_viewer(stack, scale=(2, 0.5, 0.5), axis_labels=("z", "y", "x"))
    session = annotate(viewer)
    for z in (1, 3):
        viewer.dims.set_point(0, z * 2)
        session.add_points([[10, 10 + z]])
        session.predict()
        session.commit()
    session.add_points([[20, 20]])
    path = session.save(tmp_path / "cells.samhq.json")
    document = json.loads(path.read_text())
    assert document["image"]["axis_labels"] == ["z", "y", "x"]
    assert document["image"]["scale"] == [2.0, 0.5, 0.5]
    again = reopened(path, new_viewer(stack, scale=(2, 0.5, 0.5)), engine)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    assert again.objects.equals(session.objects)
    np.testing.assert_array_equal(again.points.data, [[3, 20, 20]])
    again.close()


def test_the_image_is_found_by_its_pixels(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    work(session)
    path = session.save(tmp_path / "cells.samhq.json")
    viewer = ViewerModel()
    viewer.add_image(255 - image, name="cells")
    right = viewer.add_image(image, name="another name")
    viewer.add_image(image[:9], name="small")
    again = reopened(path, viewer, engine)
    assert again.image is right
    again.close()
    viewer.layers.remove(right)
    with pytest.warns(SamHQWarning, match="other pixels"):
        again = reopened(path, viewer, engine)
    assert again.image.name == "cells"
    again.close()
    with pytest.raises(LayerError, match=r"has the shape \(9, 64\)"):
        reopened(path, viewer, engine, image="small")
    with pytest.raises(LayerError, match="not in the viewer"):
        reopened(path, ViewerModel(), engine)


def test_an_image_beside_the_session_is_opened(image, annotate, engine, tmp_path):
    from PIL import Image

    Image.fromarray(image).save(tmp_path / "cells.png")
    with layer_source(path=str(tmp_path / "cells.png")):
        viewer = new_viewer(image, scale=(0.5, 2))
    session = annotate(viewer)
    work(session)
    path = session.save(tmp_path / "a.samhq.json")
    assert json.loads(path.read_text())["image"]["source"] == "cells.png"
    again = reopened(path, ViewerModel(), engine)
    assert again.image.name == "cells"
    assert again.labels.scale.tolist() == [0.5, 2]
    again.save()
    assert json.loads(path.read_text())["image"]["source"] == "cells.png"
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    again.close()


def test_given_labels_must_be_those_that_were_saved(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    work(session)
    path = session.save(tmp_path / "cells.samhq.json")
    viewer = new_viewer(image)
    other = viewer.add_labels(np.zeros(image.shape, np.int32))
    with pytest.raises(LayerError, match="does not hold the labels"):
        reopened(path, viewer, engine, labels=other)
    same = viewer.add_labels(np.array(session.labels.data))
    again = reopened(path, viewer, engine, labels=same)
    assert again.labels is same
    again.undo()
    again.close()


def test_a_model_that_is_not_here_is_told(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image), model="micro")
    path = session.save(tmp_path / "cells.samhq.json")
    path.write_text(path.read_text().replace('"micro"', '"/elsewhere/mine.pth"'))
    with pytest.warns(SamHQWarning, match="not on this machine"):
        again = reopened(path, new_viewer(image), engine)
    assert again.model == "micro"
    again.close()


def test_a_learned_model_comes_back(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image), model="micro")
    path = session.save(tmp_path / "cells.samhq.json")
    path.write_text(path.read_text().replace('"micro"', '"my-cells"'))
    learned = SimpleNamespace(name="my-cells", bundled=False, cached=True)
    engine.source = replace(engine.source, list=lambda: [learned])
    again = reopened(path, new_viewer(image), engine)
    assert again.model == "my-cells"
    again.close()


def test_settings_come_back(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    session.refine = False
    session.choose_output("sam")
    session.choose_threshold(1.5)
    path = session.save(tmp_path / "cells.samhq.json")
    again = reopened(path, new_viewer(image), engine)
    assert to_document(snapshot(again))["settings"] == to_document(snapshot(session))["settings"]
    assert not again.refine
    again.close()


def test_finished_areas_come_back(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    session.finish((slice(2, 20), slice(0, 30)))
    session.finish()
    again = reopened(session.save(tmp_path / "cells.samhq.json"), new_viewer(image), engine)
    assert again.finished == session.finished != {}
    again.close()


def test_saving_needs_a_name_once(session):
    with pytest.raises(FileError, match="Give one"):
        session.save()


def test_labels_in_a_store_are_kept_in_their_parts_if_they_are_large(
    image, annotate, engine, tmp_path, monkeypatch
):
    import zarr

    from napari_samhq.session.storage import snapshot as saving

    monkeypatch.setattr(saving, "_MOST_VALUES", 100)
    viewer = new_viewer(np.tile(image, (8, 8)))
    data = zarr.create_array(
        tmp_path / "labels.zarr", shape=(384, 512), chunks=(128, 128), dtype="i4"
    )
    data[380:, 500:] = 4
    session = annotate(viewer, labels=viewer.add_labels(data))
    session.add_points([[20, 20]])
    session.predict()
    session.commit()
    path = session.save(tmp_path / "cells.samhq.json")
    with pytest.warns(SamHQWarning, match="too large to be kept"):
        again = reopened(path, new_viewer(np.tile(image, (8, 8))), engine)
    np.testing.assert_array_equal(np.unique(again.labels.data), [0, 5])
    again.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error", SamHQWarning)
        again = reopened(path, viewer, engine, labels=session.labels)
    again.undo()
    np.testing.assert_array_equal(np.unique(data[:]), [0, 4])
    again.close()


def test_names_and_preserve_of_labels_come_back(image, annotate, engine, tmp_path):
    session = annotate(new_viewer(image))
    session.labels.name, session.labels.preserve_labels = "nuclei", False
    path = session.save(tmp_path / "cells.samhq.json")
    again = reopened(path, new_viewer(image), engine)
    assert isinstance(again.labels, Labels)
    assert (again.labels.name, again.labels.preserve_labels) == ("nuclei", False)
    again.close()
