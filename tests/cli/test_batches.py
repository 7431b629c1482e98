"""Many images in, a result for each out, with a record beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_samhq.cli.paths import find_images
from napari_samhq.errors import DeviceLostError
from napari_samhq.io.coco import CocoImage, read_coco, write_coco
from napari_samhq.io.images import read_image
from napari_samhq.io.objects import objects_of
from support.commands import run

if TYPE_CHECKING:
    from napari_samhq.model import SamHQModel
    from support.fakes import FakePredictor

NAMES = ("a.npy", "Zellen 2 µm.npy", "c.npy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, and files that are none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60), dtype=np.uint8)
        np.save(folder / name, pixels)
    (folder / "notes.txt").write_text("none")
    (folder / ".hidden.npy").write_text("none")
    return folder


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A box in each image, one pixel wider from one to the next."""
    prompts = tmp_path / "boxes"
    prompts.mkdir()
    for number, name in enumerate(NAMES):
        table = f"min_row,min_col,max_row,max_col\n2,3,9,{12 + number}\n"
        (prompts / Path(name).with_suffix(".csv")).write_text(table)
    return prompts


def outputs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_becomes_a_folder_of_results_with_records(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "labels"
    result = run("segment", folder, "-o", out, "--boxes", prompts)
    assert result.exit_code == 0, result.output
    assert "3 objects in 3 images" in result.stdout
    stems = [Path(name).stem for name in NAMES]
    assert outputs(out) == sorted(f"{s}.tif{r}" for s in stems for r in ("", ".run.json"))
    for number, stem in enumerate(stems):
        assert (read_image(out / f"{stem}.tif") > 0).sum() == 8 * (10 + number)


@pytest.mark.parametrize("pattern", ["*.npy", "../images/[ac].npy", "**/*.npy"])
def test_patterns_are_filled_in(
    predictor: FakePredictor, folder: Path, tmp_path: Path, pattern: str
) -> None:
    images = find_images([f"{folder}/{pattern}"])
    assert {image.path.name for image in images} <= set(NAMES)
    assert len(images) >= 2
    result = run("segment", f"{folder}/{pattern}", "-o", tmp_path / "out", "--everything")
    assert result.exit_code == 0, result.output
    assert len(outputs(tmp_path / "out")) == 2 * len(images)


def test_results_among_the_images_are_not_taken_for_images(
    predictor: FakePredictor, folder: Path
) -> None:
    arguments = ("segment", folder, "-o", folder, "--everything", "--format", "png")
    for _ in range(2):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
    assert "Done already: 3 images." in result.stdout
    assert "Left out: 3 results of earlier runs." in result.stderr
    assert len(outputs(folder)) == 3 * 3 + 2


def test_folders_below_a_pattern_are_kept_apart(predictor: FakePredictor, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "in" / name).mkdir(parents=True)
        np.save(tmp_path / "in" / name / "cells.npy", np.eye(40) * len(name))
    result = run("segment", f"{tmp_path}/in/*/cells.npy", "-o", tmp_path / "out", "--everything",
                 "--format", "png")  # fmt: skip
    assert result.exit_code == 0, result.output
    for name in ("first", "second"):
        assert (tmp_path / "out" / name / "cells.png").is_file()


def test_one_bad_image_does_not_stop_the_others(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path
) -> None:
    (folder / "b.npy").write_bytes(b"\x93NUMPY, and no more")
    (prompts / "b.csv").write_text("1,1,5,5\n")
    (prompts / "c.csv").unlink()
    arguments = ("segment", folder, "-o", tmp_path / "out", "--boxes", prompts)
    result = run(*arguments, "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert [Path(one["image"]).name for one in summary["images"]] == ["Zellen 2 µm.npy", "a.npy"]
    assert [Path(one["image"]).name for one in summary["failed"]] == ["b.npy", "c.npy"]
    assert "It would be named c.csv" in summary["failed"][1]["error"]
    assert "Error: 2 of 4 could not be done:" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "b.tif").exists()


def test_results_that_are_there_are_kept_resumed_or_replaced(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("segment", folder, "-o", out, "--boxes", prompts)
    assert run(*arguments).exit_code == 0
    before = {name: (out / name).read_bytes() for name in outputs(out)}
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "3 of 3 results exist already" in refused.stderr
    (out / "a.tif").unlink()
    asked = len(predictor.calls)
    resumed = run(*arguments, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "Done already: 2 images." in resumed.stdout
    assert len(predictor.calls) == asked + 2  # one look, one box: that of a.npy
    after = {name: (out / name).read_bytes() for name in outputs(out)}
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in after if name != "a.tif.run.json")
    assert run(*arguments, "--overwrite").exit_code == 0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, DeviceLostError])
def test_a_batch_that_is_stopped_leaves_whole_results_only(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path, kind: type[Exception]
) -> None:
    out = tmp_path / "out"
    arguments = ("segment", folder, "-o", out, "--boxes", prompts, "--resume")
    embed, looked = predictor.embed, []

    def stop_at_the_second(image, **options):
        looked.append(image)
        if len(looked) == 2:
            raise kind("stopped")
        return embed(image, **options)

    predictor.embed = stop_at_the_second
    stopped = run(*arguments)
    assert stopped.exit_code not in (0, 2)
    assert "Traceback" not in stopped.output
    assert outputs(out) == ["Zellen 2 µm.tif", "Zellen 2 µm.tif.run.json"]
    assert run(*arguments).exit_code == 0
    assert len(outputs(out)) == 6
    assert len(looked) == 4  # the first image was not looked at again


@pytest.mark.parametrize("changed", ["image", "prompts", "model", "foreign"])
def test_what_was_made_otherwise_is_not_taken_for_done(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path, changed: str
) -> None:
    arguments = ("segment", folder, "-o", tmp_path / "out", "--boxes", prompts, "--resume")
    assert run(*arguments).exit_code == 0
    if changed == "image":
        np.save(folder / "a.npy", np.eye(40))
    elif changed == "prompts":
        (prompts / "a.csv").write_text("5,5,9,9\n")
    elif changed == "model":
        predictor.fingerprint = "other weights"
    else:
        (tmp_path / "out" / "a.tif.run.json").unlink()
    before = (tmp_path / "out" / "a.tif").read_bytes()
    again = run(*arguments)
    assert again.exit_code == 1
    told = "without a record" if changed == "foreign" else f"its record differs in {changed}"
    assert told in again.stderr
    assert (tmp_path / "out" / "a.tif").read_bytes() == before
    assert run(*arguments, "--overwrite").exit_code == 0
    assert run(*arguments).exit_code == 0


def test_a_record_says_how_to_make_the_result_again(
    predictor: FakePredictor, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.npy"
    result = run("segment", folder / "a.npy", "-o", out, "--everything", "--set", "spacing_px=9")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "labels.npy.run.json").read_text())
    recipe = record["recipe"]
    assert recipe["model"] == {"name": "fake", "sha256": "fake", "precision": "float32"}
    assert recipe["settings"]["spacing_px"] == 9
    assert recipe["image"]["shape"] == [40, 60]
    assert recipe["prompts"] == {"kind": "everything"}
    assert record["image"] == str(folder / "a.npy")
    assert record["objects"] == np.load(out).max()
    assert {"python", "torch", "numpy", "napari-samhq"} <= record["versions"].keys()
    assert record["seconds"]["all"] >= 0


def test_jobs_of_an_array_share_the_images(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("segment", folder, "-o", out, "--boxes", prompts, "--resume", "--format", "png")
    assert run(*arguments, "--part", "1/2").exit_code == 0
    assert [n for n in outputs(out) if n.endswith("g")] == ["Zellen 2 µm.png", "c.png"]
    assert run(*arguments, "--part", "2/2").exit_code == 0
    assert len(outputs(out)) == 6


def test_one_coco_file_has_the_prompts_of_all_images(
    predictor: FakePredictor, folder: Path, tmp_path: Path
) -> None:
    described = []
    for number, name in enumerate(NAMES):
        labels = np.zeros((40, 60), int)
        labels[5:10, 10 : 20 + number] = 4
        described.append(CocoImage(name, labels.shape, tuple(objects_of(labels))))
    write_coco(tmp_path / "prompts.json", described)
    out = tmp_path / "out"
    result = run("segment", folder, "-o", out, "--prompts", tmp_path / "prompts.json",
                 "--format", "json")  # fmt: skip
    assert result.exit_code == 0, result.output
    for number, name in enumerate(NAMES):
        (image,) = read_coco(out / Path(name).with_suffix(".json"))
        assert image.file_name == name
        assert [one.label_id for one in image.objects] == [4]
        assert image.objects[0].mask.array().sum() == 5 * (10 + number)


def test_one_image_goes_into_a_folder_that_is_there(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    arguments = ("-o", tmp_path / "out", "--boxes", prompts / "a.csv")
    assert run("segment", folder / "a.npy", *arguments).exit_code == 0
    assert outputs(tmp_path / "out") == ["a.tif", "a.tif.run.json"]


@pytest.mark.parametrize("suffix", [".geojson", ".zip", ".csv", ".json", ".zarr", ".ome.tif"])
def test_the_extension_says_what_is_written(
    predictor: FakePredictor, folder: Path, prompts: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"objects{suffix}"
    result = run("segment", folder / "a.npy", "-o", out, "--boxes", prompts / "a.csv")
    assert result.exit_code == 0, result.output
    if suffix == ".csv":
        assert "area_px" in out.read_text()
    elif suffix in (".zarr", ".ome.tif"):
        assert (read_image(out) == 1).sum() == 80
    else:
        from napari_samhq.io.results import read_objects

        (one,) = read_objects(out)
        assert one.mask.array().sum() == 80
    again = run("segment", folder / "a.npy", "-o", out, "--boxes", prompts / "a.csv", "--resume")
    assert "done already" in again.stdout


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr"])
@pytest.mark.parametrize("by", ["boxes", "everything"])
def test_the_size_of_pixels_goes_along(
    predictor: FakePredictor, tmp_path: Path, by: str, suffix: str
) -> None:
    import tifffile

    from napari_samhq.io.calibration import read_calibration

    pixels = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "in.ome.tif", pixels, metadata=metadata)
    (tmp_path / "boxes.csv").write_text("2,3,9,12\n")
    out = tmp_path / f"out{suffix}"
    given = ["--everything"] if by == "everything" else ["--boxes", tmp_path / "boxes.csv"]
    result = run("segment", tmp_path / "in.ome.tif", "-o", out, *given)
    assert result.exit_code == 0, result.output
    known = read_calibration(out)
    assert known is not None
    assert known.pixel_size == pytest.approx((0.5, 0.25))
    assert known.units == ("um", "um")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--boxes", "boxes/a.csv"], "is a file for one image"),
        (["--everything", "--format", "jpg"], "is none of tif"),
        (["--everything", "--part", "3/2"], "no part such as 3/10"),
        (["--everything", "-o", "labels.tif"], "give a folder"),
        (["--everything", "-o", "images", "--format", "npy"], "is the image itself"),
    ],
)
def test_wrong_wishes_for_many_images_are_wrong_usage(
    predictor: FakePredictor,
    folder: Path,
    prompts: Path,
    tmp_path: Path,
    arguments: list[str],
    told: str,
) -> None:
    given = [str(tmp_path / one) if one[0] in "bli" and one != "npy" else one for one in arguments]
    extra = [] if "-o" in given else ["-o", str(tmp_path / "out")]
    result = run("segment", folder, *given, *extra)
    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
    assert not predictor.calls


def test_nothing_to_do_is_a_failure(predictor: FakePredictor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given in (tmp_path / "empty", f"{tmp_path}/*.tif"):
        result = run("segment", given, "-o", tmp_path / "out", "--everything")
        assert result.exit_code == 1
        assert "image" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_does_the_tiles_of_each_image(
    tiny_network: SamHQModel, folder: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    tiny_network.save_pretrained(tmp_path / "tiny")
    arguments = (
        "segment", folder, "--everything", "--model", tmp_path / "tiny", "--device", "cpu",
        "--tile", 16, "--halo", 8, "--spacing", 12,
        "--set", "min_score=0", "--set", "min_stability=0", "--set", "smallest_px=1",
    )  # fmt: skip
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as cluster:
        there = run(*arguments, "-o", tmp_path / "there", "--scheduler", cluster.scheduler_address)
    assert there.exit_code == 0, there.output
    here = run(*arguments, "-o", tmp_path / "here")
    assert here.exit_code == 0, here.output
    assert len(outputs(tmp_path / "here")) == 6
    for name in NAMES:
        one, other = (
            read_image(tmp_path / where / Path(name).with_suffix(".tif"))
            for where in ("here", "there")
        )
        assert one.max() > 0
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize((), [pytest.param(id="FM-80-folder")])
def test_dots_belong_to_the_names_of_images(predictor: FakePredictor, tmp_path: Path) -> None:
    import zarr

    (tmp_path / "images").mkdir()
    (tmp_path / "boxes").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    np.save(tmp_path / "images" / "plate1.A01.npy", pixels)
    for name in ("plate1.A02", "plate1.A03"):  # arrays whose folders have no extension
        zarr.save_array(str(tmp_path / name), pixels)
    for number in (1, 2, 3):
        table = f"min_row,min_col,max_row,max_col\n2,3,9,{12 + number}\n"
        (tmp_path / "boxes" / f"plate1.A0{number}.csv").write_text(table)
    images = [tmp_path / "images" / "plate1.A01.npy", tmp_path / "plate1.A02",
              tmp_path / "plate1.A03"]  # fmt: skip
    result = run("segment", *images, "-o", tmp_path / "out", "--prompts", tmp_path / "boxes")
    assert result.exit_code == 0, result.output
    for number in (1, 2, 3):
        labels = read_image(tmp_path / "out" / f"plate1.A0{number}.tif")
        assert (labels > 0).sum() == 8 * (10 + number)
