"""Classes of objects: given, kept, taken back, and carried into files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels

from napari_samhq.errors import LayerError
from napari_samhq.session.storage.napari_files import write_labels_file


def classes(session) -> dict[int, str]:
    table = session.objects.set_index("label_id")["category"]
    return table.to_dict()


@pytest.fixture
def two(session):
    """A session with an object of prompts, 1, and one painted by hand, 9."""
    session.add_points([[20, 30]])
    session.commit()
    session.labels.brush_size = 5
    with session.labels.block_history():
        session.labels.paint((44, 60), 9)
    return session


def test_classes_are_given_renamed_and_taken_back(two):
    two.classify(1, "nucleus")
    two.classify(9, "  dead \n cell ")
    assert classes(two) == {1: "nucleus", 9: "dead cell"}
    two.classify(1, "nucleolus")
    two.classify(9, "")
    assert classes(two) == {1: "nucleolus", 9: ""}
    for expected in (
        {1: "nucleolus", 9: "dead cell"},
        {1: "nucleus", 9: "dead cell"},
        {1: "nucleus", 9: ""},
        {1: "", 9: ""},
    ):
        assert two.undo()
        assert classes(two) == expected
    for _ in range(4):
        assert two.redo()
    assert classes(two) == {1: "nucleolus", 9: ""}


def test_the_same_class_again_is_no_step(two):
    two.classify(1, "nucleus")
    steps = len(two.journal)
    two.classify(1, " nucleus")
    assert len(two.journal) == steps


def test_what_is_not_there_has_no_class(two):
    with pytest.raises(LayerError, match="no object 5"):
        two.classify(5, "nucleus")


def test_a_deleted_object_takes_its_class_along_and_brings_it_back(two):
    two.classify(1, "nucleus")
    two.delete(1)
    assert classes(two) == {9: ""}
    assert two.controller.history.categories == {}
    two.undo()
    assert classes(two) == {1: "nucleus", 9: ""}


def test_an_object_that_is_reopened_keeps_its_class(two):
    two.classify(1, "nucleus")
    two.reopen(1)
    two.add_points([[21, 31]])
    two.commit()
    assert classes(two)[1] == "nucleus"


def test_files_of_objects_have_the_classes(two, tmp_path):
    two.classify(1, "nucleus")
    options = {"name": "cells objects"}
    write_labels_file(tmp_path / "a.json", two.labels.data, options, [".json"])
    coco = json.loads((tmp_path / "a.json").read_text())
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert sorted(names[one["category_id"]] for one in coco["annotations"]) == ["nucleus", "object"]
    write_labels_file(tmp_path / "a.csv", two.labels.data, options, [".csv"])
    table = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert table.set_index("label")["category"].to_dict() == {1: "nucleus", 9: ""}


def test_classes_of_a_layer_from_a_file_are_known(viewer, annotate):
    data = np.zeros((48, 64), np.int32)
    data[2:9, 2:9] = 4
    features = pd.DataFrame({"index": [0, 4], "category": [None, "nucleus"]})
    session = annotate(viewer, labels=viewer.add_layer(Labels(data, features=features)))
    assert classes(session) == {4: "nucleus"}
