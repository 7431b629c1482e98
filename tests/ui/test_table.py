"""The table of objects, without a session."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QAbstractItemModelTester, QTest

from napari_samhq.ui.objects import go_to
from napari_samhq.ui.table import ObjectRow, ObjectsModel, ObjectsPanel

ROWS = [
    ObjectRow(1, 0.9, 40, (0,)),
    ObjectRow(2, math.nan, 30, (1,)),
    ObjectRow(3, 0.5, 70, (0,), category="cell"),
    ObjectRow(10, 0.7, 5, (2,)),
]


@pytest.fixture
def panel(qtbot) -> ObjectsPanel:
    panel = ObjectsPanel(lambda label_id: (1.0, 0.0, 0.0, 1.0))
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.mark.parametrize(
    ("column", "backwards", "ids"),
    [
        (0, False, [1, 2, 3, 10]),
        (0, True, [10, 3, 2, 1]),
        (1, False, [3, 10, 1, 2]),
        (1, True, [1, 10, 3, 2]),  # what has no score is never the best
        (2, False, [10, 2, 1, 3]),
        (4, False, [1, 3, 2, 10]),
        (5, False, [3, 1, 2, 10]),
    ],
)
def test_sorting(qtbot, column, backwards, ids):
    model = ObjectsModel(lambda label_id: None)
    QAbstractItemModelTester(model)
    model.show(ROWS)
    order = Qt.SortOrder.DescendingOrder if backwards else Qt.SortOrder.AscendingOrder
    model.sort(column, order)
    assert model.ids == ids
    model.show([*ROWS, ObjectRow(11, 0.6, 50, (0,))])
    assert [i for i in model.ids if i != 11] == ids


def test_texts_and_units(panel):
    panel.show_rows(ROWS, 0.25, "µm")
    model, table = panel.model, panel.table
    texts = [[model.data(model.index(r, c)) for c in range(5)] for r in range(2)]
    assert texts == [["1", "0.90", "40", "10", "0"], ["2", "by hand", "30", "7.5", "1"]]
    assert model.headerData(3, Qt.Orientation.Horizontal) == "Area µm²"
    assert not table.isColumnHidden(3)
    panel.show_rows([ObjectRow(1, 0.9, 40)])
    assert table.isColumnHidden(3)
    assert table.isColumnHidden(4)


def test_going_through_the_objects(panel):
    visited = []
    panel.visited.connect(visited.append)
    panel.show_rows(ROWS)
    panel.step(1)
    panel.step(1)
    panel.step(-1)
    panel.step(-1)
    assert visited == [1, 2, 1, 10]
    panel.go_to_worst()
    panel.step(1)
    assert visited[4:] == [3, 10]
    assert panel.chosen == 10


def test_what_is_selected_stays_selected_and_nobody_is_sent_there_again(panel):
    panel.show_rows(ROWS)
    panel.choose(3)
    visited = []
    panel.visited.connect(visited.append)
    panel.show_rows([ObjectRow(0, 0.1, 3), *ROWS])
    assert panel.chosen == 3
    panel.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert panel.chosen == 3
    panel.show_rows(ROWS[:2])
    assert panel.chosen is None
    assert not panel.edit.isEnabled()
    assert visited == []


def test_keys_and_clicks(panel):
    asked = []
    panel.reopen_wanted.connect(lambda label_id: asked.append(("edit", label_id)))
    panel.delete_wanted.connect(lambda label_id: asked.append(("delete", label_id)))
    panel.visited.connect(lambda label_id: asked.append(("go", label_id)))
    panel.show_rows(ROWS)
    place = panel.table.visualRect(panel.model.index(1, 0)).center()
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.keyClick(panel.table, Qt.Key.Key_Return)
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    QTest.mouseDClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseClick(panel.delete, Qt.MouseButton.LeftButton)
    assert asked == [("go", 2), ("edit", 2), ("delete", 2), ("edit", 2), ("delete", 2)]


def test_the_class_of_an_object_is_typed_or_chosen(panel):
    asked = []
    panel.class_wanted.connect(lambda *named: asked.append(named))
    panel.show_rows(ROWS)
    box, line = panel.category.box, panel.category.line
    assert not panel.category.isEnabled()
    panel.choose(2)
    QTest.keyClicks(line, "dead  cell")
    panel.show_rows(ROWS)  # something else changed meanwhile: what is typed stays
    assert line.text() == "dead  cell"
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert asked == [(2, "dead cell")]
    panel.choose(3)
    assert line.text() == "cell"
    assert not panel.table.isColumnHidden(5)
    QTest.keyClick(line, Qt.Key.Key_Return)  # nothing new
    panel.choose(1)
    assert (line.text(), [box.itemText(i) for i in range(box.count())]) == ("", ["cell"])
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert asked == [(2, "dead cell"), (1, "cell")]
    panel.show_rows(ROWS[:2])
    assert panel.table.isColumnHidden(5)


def test_an_empty_table_says_what_will_be_there(panel):
    assert panel.hint.isVisible()
    assert not panel.table.isVisible()
    panel.step(1)
    panel.go_to_worst()
    assert panel.chosen is None


def test_a_thousand_rows_are_fast(panel):
    rows = [ObjectRow(i, (i * 37 % 1000) / 1000, i * 91 % 997) for i in range(1, 5001)]
    start = time.perf_counter()
    panel.show_rows(rows)
    panel.table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    panel.table.repaint()
    panel.step(1)
    assert time.perf_counter() - start < 2.0  # 5,000 rows on a slow machine; a tenth of it here


@pytest.mark.parametrize(
    ("side", "zoom"),
    [
        pytest.param(4, 0.5, id="small-and-far"),
        pytest.param(4, 1000.0, id="small-and-near"),
        pytest.param(60, 0.1, id="large-and-far"),
        pytest.param(60, 50.0, id="large-and-near"),
    ],
)
def test_an_object_that_is_gone_to_is_seen_with_what_is_around_it(bare_dock, side, zoom):
    dock = bare_dock(np.zeros((400, 400), np.uint8), scale=(0.5, 0.5))
    viewer, session = dock.controller.viewer, dock.controller.session
    labels = np.zeros((400, 400), np.int32)
    labels[100 : 100 + side, 200 : 200 + side] = 3
    session.labels.data = labels
    viewer.scene.camera.zoom = zoom
    go_to(viewer, session, 3)
    camera, canvas = viewer.scene.camera, min(viewer.canvas.size)
    assert camera.center[-2:] == pytest.approx(((99.5 + side / 2) / 2, (199.5 + side / 2) / 2))
    part = side * 0.5 * camera.zoom / canvas  # of the canvas
    around = canvas / camera.zoom / 0.5  # in pixels of the image
    assert part > 0.04
    assert around > 1.1 * side
    assert around > 50
