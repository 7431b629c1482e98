"""CSV files of any program, and of napari's layers: the same prompts, or the reason why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.prompt_files import read_boxes_csv, read_points_csv, read_prompts

if TYPE_CHECKING:
    from pathlib import Path

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom", "utf-32", "latin-1"]


def _bytes(text: str, encoding: str) -> bytes:
    if encoding.endswith("-bom"):
        return ("\ufeff" + text).encode(encoding.removesuffix("-bom"))
    return text.encode(encoding)


@st.composite
def spreadsheets(draw) -> tuple[bytes, list[list[float]]]:
    """A file as some program on earth saves it, and the points in it."""
    numbers = st.integers(-40, 4000).map(lambda n: n / 8)
    points = draw(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    decimal = draw(st.sampled_from(".,")) if separator != "," else "."
    quoted = draw(st.booleans())
    names = draw(st.permutations(["row", "col", "größe"]))
    values = [{"row": f"{r}", "col": f"{c}", "größe": "µ"} for r, c in points]
    rows = [[one[name].replace(".", decimal) for name in names] for one in values]
    lines = [separator.join(f'"{cell}"' if quoted else cell for cell in row) for row in rows]
    lines.insert(0, separator.join(f'"{n.upper()}"' if quoted else n for n in names))
    for _ in range(draw(st.integers(0, 3))):
        odd = draw(st.sampled_from(["", "# a remark, 1;2", separator * 2, "   "]))
        lines.insert(draw(st.integers(0, len(lines))), odd)
    if draw(st.booleans()):
        lines.insert(0, f"sep={separator}")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(lines) + draw(st.sampled_from(["", end, end * 2]))
    return _bytes(text, draw(st.sampled_from(ENCODINGS))), [list(point) for point in points]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spreadsheets())
def test_any_spreadsheet_gives_the_same_points(tmp_path: Path, sheet) -> None:
    content, points = sheet
    path = tmp_path / "points.csv"
    path.write_bytes(content)
    assert [p.points.tolist()[0] for p in read_points_csv(path, strict=True).values()] == points


@pytest.fixture
def csv(tmp_path: Path):
    def write(text: str, name: str = "p.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("10,5;20,5\n30;40\n", id="FM-79-bare-decimal-commas"),
        pytest.param("10.5\t20.5\n30\t40\n", id="FM-79-bare-tabs"),
        pytest.param("# row,col\n10.5,20.5\n30,40\n", id="FM-79-savetxt"),
        pytest.param("# col,row\n20.5,10.5\n40,30\n", id="FM-79-savetxt-other-order"),
        pytest.param('"row","col"\n"10,5","20,5"\n"30","40"\n', id="FM-79-quoted-decimal-commas"),
        pytest.param("row;col;\n10,5;20,5;\n30;40;\n;;\n", id="FM-79-separators-at-the-end"),
        pytest.param('"sep=;"\nrow;col\n10,5;20,5\n30;40\n', id="FM-79-sep-quoted"),
    ],
)
def test_odd_ways_to_write_points_mean_the_same(csv, text: str) -> None:
    points = {n: p.points.tolist() for n, p in read_points_csv(csv(text)).items()}
    assert points == {1: [[10.5, 20.5]], 2: [[30, 40]]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("row;col\n1,5;2.5\n", "with a comma .* and a point", id="FM-79-both-signs"),
        pytest.param("row;col\n1.234,5;2\n", "row is '1.234,5'", id="FM-79-thousands"),
        pytest.param("row,col\n10,5,20,5\n", "4 values where 2", id="FM-79-commas-for-both"),
        pytest.param("row,col,label\n1,2,1\n3,4,2\n5,6,3\n", "call it 'object'", id="FM-78-ids"),
    ],
)
def test_what_could_mean_two_things_is_refused(csv, text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_points_csv(csv(text))


def test_utf_16_without_a_mark_is_read_and_a_picture_is_not(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes("row,col\n1,2\n".encode("utf-16-be"))
    assert read_points_csv(path)[1].points.tolist() == [[1, 2]]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(FileError, match="is not a CSV file"):
        read_points_csv(path)


def _napari_points(csv, *axes: tuple[float, ...], **columns) -> Path:
    names = [f"axis-{n}" for n in range(len(axes[0]))]
    lines = [",".join(["index", *names, *columns])]
    for index, point in enumerate(axes):
        more = [str(values[index]) for values in columns.values()]
        lines.append(",".join([str(index), *map(str, point), *more]))
    return csv("\n".join(lines) + "\n")


@pytest.mark.parametrize("count", [2, 3, 4, 5], ids=lambda n: f"FM-78-{n}-axes")
def test_of_any_number_of_axes_the_last_two_are_rows_and_columns(csv, count: int) -> None:
    leading = tuple(range(3, 3 + count - 2))
    other = tuple(n + 1 for n in leading)
    path = _napari_points(csv, (*leading, 100, 200), (*other, 120, 240))
    if leading:
        with pytest.raises(FileError, match=r"2 planes.*--plane"):
            read_points_csv(path)
        with pytest.raises(FileError, match="None of them is"):
            read_points_csv(path, plane=[9] * (count - 2))
    found = read_points_csv(path, plane=leading)
    assert found[1].points.tolist() == [[100, 200]]
    assert len(found) == (1 if leading else 2)
    assert read_prompts(path, plane=other)[2].points.tolist() == [[120, 240]]


def test_columns_of_slices_are_no_remark(csv) -> None:
    text = "z,row,col,object\n0,1,2,1\n3,4,5,1\n"
    with pytest.raises(FileError, match="2 planes"):
        read_points_csv(csv(text))
    assert read_points_csv(csv(text), plane=[3])[1].points.tolist() == [[4, 5]]
    boxes = "plane,min_row,min_col,max_row,max_col\n2,1,2,3,4\n"
    assert read_boxes_csv(csv(boxes))[1].box.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("column", "on", "beside"),
    [
        pytest.param("polarity", "object", "background", id="FM-78-own"),
        pytest.param("polarity", "positive", "negative", id="FM-78-words"),
        pytest.param("label", "1", "0", id="FM-78-label"),
        pytest.param("positive", "True", "False", id="FM-78-flag"),
        pytest.param("point_labels", "1.0", "0.0", id="FM-78-floats"),
    ],
)
def test_a_negative_point_stays_negative(csv, column: str, on: str, beside: str) -> None:
    path = _napari_points(
        csv, (20, 20), (40, 40), (9, 9), **{column: [on, beside, on], "object": [1, 1, 2]}
    )
    found = read_points_csv(path)
    assert found[1].point_labels.tolist() == [1, 0]
    assert found[2].point_labels.tolist() == [1]


def _napari_shapes(csv, *shapes: tuple[str, list]) -> Path:
    lines = []
    for index, (kind, corners) in enumerate(shapes):
        lines += [",".join(map(str, (index, kind, n, *corner))) for n, corner in enumerate(corners)]
    axes = ",".join(f"axis-{n}" for n in range(len(shapes[0][1][0])))
    return csv(f"index,shape-type,vertex-index,{axes}\n" + "\n".join(lines) + "\n")


FRAME = [(22, 22), (22, 58), (50, 58), (50, 22)]


@pytest.mark.parametrize((), [pytest.param(id="FM-78-shapes")])
def test_shapes_of_napari_are_what_they_were_drawn_as(csv) -> None:
    line = [(5, 5), (5, 25)]
    path = _napari_shapes(
        csv, ("rectangle", FRAME), ("ellipse", FRAME), ("polygon", FRAME[:3]), ("path", line)
    )
    found = read_prompts(path, shape=(80, 100))
    for number in (1, 2, 3):
        assert found[number].box.tolist() == [22, 22, 50, 58]
    assert found[1].mask is None
    assert found[4].points.tolist() == [[5, 10], [5, 20]]
    area = [int(found[n].mask.array().sum()) for n in (2, 3)]
    assert area[0] == pytest.approx(np.pi * 14 * 18, rel=0.05)
    assert area[1] == pytest.approx(28 * 36 / 2, rel=0.1)
    assert read_boxes_csv(path)[1].box.tolist() == [22, 22, 50, 58]
    with pytest.raises(FileError, match="shapes of napari"):
        read_points_csv(path)


@pytest.mark.parametrize((), [pytest.param(id="FM-78-shapes-of-a-stack")])
def test_shapes_of_a_stack_lie_in_a_plane(csv) -> None:
    lifted = [[(z, *corner) for corner in FRAME] for z in (3, 7)]
    tilted = [(z, *corner) for z, corner in zip((3, 3, 4, 4), FRAME, strict=True)]
    path = _napari_shapes(csv, ("rectangle", lifted[0]), ("polygon", lifted[1]))
    with pytest.raises(FileError, match=r"2 planes, at \(3,\), \(7,\)"):
        read_prompts(path)
    assert list(read_prompts(path, plane=[7])) == [2]
    path = _napari_shapes(csv, ("rectangle", lifted[0]), ("rectangle", tilted))
    with pytest.warns(SamHQWarning, match=r"1 of 2 shapes left out: shape 1 .*several planes"):
        assert list(read_prompts(path)) == [1]


@pytest.mark.parametrize((), [pytest.param(id="FM-90-csv")])
def test_one_bad_line_does_not_refuse_the_others(csv) -> None:
    lines = [f"{n},{n}" for n in range(99)]
    path = csv("row,col\n" + "\n".join([*lines[:50], "7,x", *lines[50:]]) + "\n")
    with pytest.warns(SamHQWarning, match=r"1 of 100 lines left out: line 52: col is 'x'") as told:
        found = read_points_csv(path)
    assert len(told) == 1
    assert len(found) == 99
    assert 51 not in found  # the others keep the numbers of their lines
    with pytest.raises(FileError, match="line 52"):
        read_points_csv(path, strict=True)


def test_layers_that_napari_saves_come_back(tmp_path: Path) -> None:
    pytest.importorskip("napari")
    from napari.layers import Points, Shapes
    from napari.plugins import _initialize_plugins

    _initialize_plugins()
    points = Points(
        [[3, 10, 20], [3, 30, 40]],
        features={"polarity": ["object", "background"], "object": [4, 4]},
    )
    points.save(str(tmp_path / "points.csv"))
    found = read_prompts(tmp_path / "points.csv", plane=[3])
    assert json.dumps(found[4].points.tolist()) == "[[10.0, 20.0], [30.0, 40.0]]"
    assert found[4].point_labels.tolist() == [1, 0]
    shapes = Shapes([np.array(FRAME)], shape_type=["rectangle"])
    shapes.save(str(tmp_path / "shapes.csv"))
    assert read_prompts(tmp_path / "shapes.csv")[1].box.tolist() == [22, 22, 50, 58]
