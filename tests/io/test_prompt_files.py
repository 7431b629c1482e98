"""Prompts from CSV files: right numbers, or the line that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_samhq.errors import FileError
from napari_samhq.io.prompt_files import read_boxes_csv, read_points_csv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def csv(tmp_path: Path):
    def write(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "prompts.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_points_of_one_object_become_one_prompt(csv) -> None:
    prompts = read_points_csv(csv("row,col,object,label\n1,2,5,1\n3,4,2,1\n5,6.5,5,0\n"))
    assert list(prompts) == [2, 5]
    assert prompts[5].points.tolist() == [[1, 2], [5, 6.5]]
    assert prompts[5].point_labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "row,col\n1,2\n3,4\n",
        "row,col\r\n1,2\r\n\r\n3,4\r\n",
        "Row, Col\n 1, 2\n 3, 4\n",
        "col,note,row\n2,left,1\n4,,3\n",
        "index,axis-0,axis-1\n0,1.0,2.0\n1,3.0,4.0\n",
        "row,col,label\n1,2,1\n3,4,1\n",
        "1,2,1\n3,4,2\n",
    ],
    ids=["bare", "header", "crlf", "spaces", "any-order", "napari", "label-only", "bare-object"],
)
def test_the_usual_ways_to_write_points_mean_the_same(csv, text: str) -> None:
    prompts = read_points_csv(csv(text))
    assert {n: p.points.tolist() for n, p in prompts.items()} == {1: [[1, 2]], 2: [[3, 4]]}


def test_the_byte_order_mark_of_spreadsheets_is_no_part_of_a_name(csv) -> None:
    assert len(read_points_csv(csv("row,col\n1,2\n", encoding="utf-8-sig"))) == 1


def test_boxes_are_numbered_by_line(csv) -> None:
    prompts = read_boxes_csv(csv("min_row,min_col,max_row,max_col\n1,2,3,4\n5,6,7,8\n"))
    assert {n: p.box.tolist() for n, p in prompts.items()} == {1: [1, 2, 3, 4], 2: [5, 6, 7, 8]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,column\n1,2\n", "line 1: no column col; it has row, column"),
        ("row,col\n1,2\n3\n", "line 3: 1 values where 2 are needed"),
        ("row,col\n1,2\n3,x\n", "line 3: col is 'x'; needed is a number"),
        ("1,2\n3,nan\n", "line 2: col is 'nan'"),
        ("1,2\n3,inf\n", "line 2: col is 'inf'"),
        ("1\n", "line 1: 1 values; needed are row, col and perhaps"),
        ("row,col,object\n1,2,1.5\n", "line 2: object is 1.5; needed is a whole number"),
        ("row,col,object\n1,2,0\n", "line 2: object 0; objects count from 1"),
        ("row,col,label\n1,2,2\n", "line 2: label 2; needed is 1"),
        ("row,col,label\n1,2,0\n", "object 1 has only points beside it"),
        ("row,col,row\n1,2,3\n", "two columns have the same name"),
        ("row,col\n", "no prompt in it"),
        ("", "no prompt in it"),
    ],
)
def test_a_wrong_line_is_named(csv, text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_points_csv(csv(text), strict=True)


def test_a_box_of_three_numbers_is_refused(csv) -> None:
    with pytest.raises(FileError, match=r"line 1: 3 values; needed are min_row"):
        read_boxes_csv(csv("1,2,3\n"))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="There is no file"):
        read_boxes_csv(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(FileError, match="is not a CSV file"):
        read_boxes_csv(tmp_path / "image.csv")
