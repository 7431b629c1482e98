"""Areas in files: neighbours share no pixel, parts are one object, and the innermost ones count."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import roifile
from hypothesis import HealthCheck, given, settings

from napari_samhq.errors import SamHQWarning
from napari_samhq.io.objects import labels_of, leaves_of
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects
from support.tessellations import tessellations

SHAPE = (40, 40)


def square(left, top, side):
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def closed(ring):
    return [*map(list, ring), list(ring[0])]


def feature(*rings, kind="Polygon", **properties):
    coordinates = [closed(ring) for ring in rings]
    if kind == "MultiPolygon":
        coordinates = [[ring] for ring in coordinates]
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def geojson(folder, features):
    path = folder / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def coco(folder, rings):
    image = {"id": 1, "file_name": "a", "height": SHAPE[0], "width": SHAPE[1]}
    listed = [
        {"id": n, "image_id": 1, "category_id": 1, "segmentation": [np.ravel(ring).tolist()]}
        for n, ring in enumerate(rings, start=1)
    ]
    path = folder / "a.json"
    content = {"images": [image], "categories": [{"id": 1, "name": "x"}], "annotations": listed}
    path.write_text(json.dumps(content))
    return path


def roi(ring, kind=roifile.ROI_TYPE.POLYGON, **values):
    made = roifile.ImagejRoi.frompoints(np.asarray(ring, dtype=float))
    made.roitype = kind
    for name, value in values.items():
        setattr(made, name, value)
    return made


def rois(folder, *listed):
    path = folder / "a.zip"
    path.unlink(missing_ok=True)
    roifile.roiwrite(path, listed, name=[f"{n}.roi" for n in range(len(listed))])
    return path


WRITERS = {
    "FM-68-geojson": lambda folder, rings: geojson(folder, map(feature, rings)),
    "FM-68-coco": coco,
    "FM-68-rois": lambda folder, rings: rois(folder, *map(roi, rings)),
}


@pytest.mark.filterwarnings("ignore::napari_samhq.SamHQWarning")  # parts outside of the image
@pytest.mark.parametrize("kind", WRITERS)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tessellations(SHAPE))
def test_each_pixel_belongs_to_one_of_the_objects_of_a_file(kind, tmp_path, polygons):
    rings = [ring.tolist() for ring in polygons]
    objects = read_objects(WRITERS[kind](tmp_path, rings), SHAPE, "a")
    owners = sum(one.mask.within(SHAPE).astype(int) for one in objects)
    np.testing.assert_array_equal(owners, np.ones(SHAPE))


PARTS = [square(2, 3, 10), square(20, 5, 8), square(6, 25, 9)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda rings: [feature(*rings, kind="MultiPolygon")], id="FM-74-multipolygon"),
        pytest.param(lambda rings: [feature(ring, name="a") for ring in rings], id="FM-74-name"),
        pytest.param(
            lambda rings: [feature(ring, measurements={"label_id": 7}) for ring in rings],
            id="FM-74-label-id",
        ),
    ],
)
def test_an_object_of_several_areas_is_their_union(make, order, tmp_path):
    (prompt,) = read_prompts(
        geojson(tmp_path, make([PARTS[n] for n in order])), shape=SHAPE
    ).values()
    assert prompt.box.tolist() == [2.5, 1.5, 33.5, 27.5]
    assert prompt.mask.area == 100 + 64 + 81


@pytest.mark.parametrize((), [pytest.param(id="FM-74-hole")])
def test_a_hole_is_no_part_of_a_prompt(tmp_path):
    path = geojson(tmp_path, [feature(square(2, 2, 20), square(5, 5, 6))])
    (prompt,) = read_prompts(path, shape=SHAPE).values()
    assert prompt.mask.area == 400 - 36
    assert prompt.box.tolist() == [1.5, 1.5, 21.5, 21.5]


@pytest.mark.parametrize((), [pytest.param(id="FM-74-speck")])
def test_a_speck_of_the_brush_is_left_out_with_a_word(tmp_path):
    path = geojson(tmp_path, [feature(square(35, 1, 2), square(4, 4, 28), kind="MultiPolygon")])
    with pytest.warns(SamHQWarning, match="speck of 4 square pixels"):
        (prompt,) = read_prompts(path, shape=SHAPE).values()
    assert prompt.box.tolist() == [3.5, 3.5, 31.5, 31.5]


@pytest.mark.parametrize("place", [pytest.param(n, id=f"FM-75-{n}") for n in (0, 1, 3)])
def test_a_parent_is_left_out_of_prompts_and_truth_with_a_word(place, tmp_path):
    cells = [feature(square(5 + 10 * n, 8, 6), objectType="cell") for n in range(3)]
    parent = feature(square(1, 1, 36), objectType="annotation")
    path = geojson(tmp_path, [*cells[:place], parent, *cells[place:]])
    with pytest.warns(SamHQWarning, match="1 left out that have other areas inside"):
        prompts = read_prompts(path, shape=SHAPE)
    assert len(prompts) == 3
    objects = read_objects(path, SHAPE)
    with pytest.warns(SamHQWarning, match="innermost"):
        leaves = leaves_of(objects, "a.geojson")
    assert np.bincount(labels_of(leaves, SHAPE).ravel()).tolist().count(36) == 3


@pytest.mark.parametrize((), [pytest.param(id="FM-75-rois")])
def test_a_roi_around_others_is_left_out_of_prompts(tmp_path):
    path = rois(tmp_path, roi(square(1, 1, 36)), roi(square(5, 5, 9)), roi(square(20, 20, 9)))
    with pytest.warns(SamHQWarning, match="object 1"):
        assert list(read_prompts(path, shape=SHAPE)) == [2, 3]


@pytest.mark.parametrize((), [pytest.param(id="FM-76")])
def test_prompts_on_a_slide_take_no_more_than_their_outlines(tmp_path):
    angle = np.linspace(0, 2 * np.pi, 40)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rings = [(50 * circle + [500 + 590 * n, 60_000 - 100 * n]).tolist() for n in range(100)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)  # clipped at the edge
        prompts = read_prompts(geojson(tmp_path, map(feature, rings)), shape=(60_000, 60_000))
    assert len(prompts) == 100
    assert sum(one.mask.nbytes for one in prompts.values()) < 2**20


class TestROIs:
    """Kinds of ImageJ's ROIs."""

    def read(self, folder, one):
        (found,) = read_objects(rois(folder, one), SHAPE)
        return found.mask

    def box(self, kind, **values):
        made = roifile.ImagejRoi()
        made.roitype, made.version = kind, 227
        made.left, made.top, made.right, made.bottom = 4, 6, 24, 26
        for name, value in values.items():
            setattr(made, name, value)
        return made

    @pytest.mark.parametrize((), [pytest.param(id="FM-70-round-corners")])
    def test_corners_may_be_round(self, tmp_path):
        plain = self.read(tmp_path, self.box(roifile.ROI_TYPE.RECT))
        assert plain.area == 400
        rounded = self.read(tmp_path, self.box(roifile.ROI_TYPE.RECT, rounded_rect_arc_size=8))
        assert rounded.area == pytest.approx(400 - 16 * (4 - np.pi), abs=4)
        disc = self.read(tmp_path, self.box(roifile.ROI_TYPE.RECT, rounded_rect_arc_size=20))
        assert disc.area == pytest.approx(
            self.read(tmp_path, self.box(roifile.ROI_TYPE.OVAL)).area, abs=4
        )

    @pytest.mark.parametrize((), [pytest.param(id="FM-70-curves")])
    def test_composites_may_have_curves(self, tmp_path):
        k = 10 * 0.5522847498
        path = [0, 24, 16, 3, 24, 16 + k, 14 + k, 26, 14, 26, 3, 14 - k, 26, 4, 16 + k, 4, 16]
        path += [3, 4, 16 - k, 14 - k, 6, 14, 6, 3, 14 + k, 6, 24, 16 - k, 24, 16, 4]
        path += [0, 12, 14, 1, 16, 14, 1, 16, 18, 1, 12, 18, 4]
        one = self.box(roifile.ROI_TYPE.RECT, shape_roi_size=len(path))
        one.multi_coordinates = np.array(path, dtype=np.float32)
        oval = self.read(tmp_path, self.box(roifile.ROI_TYPE.OVAL))
        assert self.read(tmp_path, one).area == pytest.approx(oval.area - 16, abs=4)

    @pytest.mark.parametrize("kind", ["FREEHAND", "TRACED", "POLYGON"])
    def test_outlines_of_any_kind_are_filled(self, kind, tmp_path):
        """FM-70."""
        turned = roi([[10, 2], [20, 12], [10, 22], [0, 12]], roifile.ROI_TYPE[kind])
        assert self.read(tmp_path, turned).area == 200

    @pytest.mark.parametrize(
        "kind", [pytest.param(k, id=f"FM-70-{k}") for k in ("POINT", "FREELINE", "ANGLE")]
    )
    def test_what_has_no_area_is_left_out_with_a_word(self, kind, tmp_path):
        path = rois(tmp_path, roi(square(3, 3, 9)), roi(square(3, 3, 9), roifile.ROI_TYPE[kind]))
        with pytest.warns(SamHQWarning, match=kind):
            (one,) = read_objects(path, SHAPE)
        assert one.mask.area == 81
