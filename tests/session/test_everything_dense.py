"""All objects of a plane by the dense head: thresholds choose anew, another model outlines."""

from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.batch.everything import segment_everything
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.errors import ModelError, SettingsError
from napari_samhq.inference.settings import Search
from napari_samhq.session.everything import Everything
from support.fakes import FakePredictor
from support.fakes_of_objects import MapsPredictor, blobs, pictured
from support.session_work import new_viewer

SETTINGS = {"tile_px": 40, "halo_px": 16, "smallest_px": 12}


@pytest.fixture
def models():
    return {"micro": MapsPredictor(name="micro"), "vit_b": FakePredictor(name="vit_b")}


@pytest.fixture
def image():
    return pictured(blobs((70, 100), seed=3))


@pytest.fixture
def engine(models):
    return Engine(ModelSource(lambda name, report: models[name], lambda: []))


@pytest.fixture
def session(image, annotate):
    return annotate(new_viewer(image, rgb=True))


def calls(predictor, what) -> int:
    return sum(call[0] == what for call in predictor.calls)


def test_the_dense_head_is_taken_where_there_is_one(session, image, models):
    ids = session.segment_everything(**SETTINGS)
    wanted = segment_everything(image, MapsPredictor(), **SETTINGS)
    assert len(ids) == wanted.max() > 3
    np.testing.assert_array_equal(session.labels.data > 0, wanted > 0)
    assert calls(models["micro"], "predict") == 0
    record = session.records[ids[0]]
    told = dict(dict(record.seen)["everything"])
    assert told["method"] == "dense"
    assert "finder" not in told
    assert session.undo()
    assert not session.labels.data.any()


def test_the_scale_is_looked_for_once(session, models):
    models["micro"].input_size = 32  # so that the image has several scales to choose from
    first = session.segment_everything()
    looks = calls(models["micro"], "dense_maps")
    assert looks > 1
    everything = Everything(session.controller)
    everything.run(Search(changes={"min_score": 0.9}), None, wait=True, instead=True)
    assert calls(models["micro"], "dense_maps") == looks
    assert first


def test_thresholds_choose_anew_and_back_again_without_the_model(session, models):
    def press(**changes) -> list[int]:
        search = Search(changes={**SETTINGS, **changes})
        return Everything(session.controller).run(search, wait=True, instead=True)

    assert not session.everything_is_latest
    first = press()
    asked = len(models["micro"].calls)
    assert session.everything_is_latest
    fewer = press(smallest_px=80)
    assert 0 < len(fewer) < len(first)
    assert press(min_score=1.0) == []
    assert session.everything_is_latest  # so that a lower threshold brings them back
    assert len(press()) == len(first)
    assert len(models["micro"].calls) == asked
    session.delete(session.objects["label_id"].iloc[0])
    assert not session.everything_is_latest


def test_the_model_of_the_session_outlines_what_another_one_finds(session, image, models):
    session.model = "vit_b"
    ids = session.segment_everything(find="micro", **SETTINGS)
    wanted = segment_everything(
        image, FakePredictor(name="vit_b"), find=MapsPredictor(name="micro"), **SETTINGS
    )
    assert ids
    np.testing.assert_array_equal(session.labels.data > 0, wanted > 0)
    assert calls(models["vit_b"], "predict") > 0
    assert calls(models["micro"], "predict") == 0
    assert set(session.objects["model"]) == {"vit_b"}
    record = session.records[ids[0]]
    assert dict(dict(record.seen)["everything"])["finder"].startswith("micro")


def test_a_model_without_a_head_takes_points_or_says_so(session):
    session.model = "vit_b"
    with pytest.raises(ModelError, match="find='micro'"):
        session.segment_everything(method="dense")
    with pytest.raises(SettingsError, match="no method"):
        session.segment_everything(method="magic")
    assert not session.labels.data.any()
    ids = session.segment_everything(diameter=16, smallest_px=12)
    told = dict(dict(session.records[ids[0]].seen)["everything"])
    assert (told["method"], told["spacing_px"]) == ("points", 8)
