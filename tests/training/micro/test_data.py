import numpy as np
import pytest
import tifffile

from napari_samhq.errors import FileError
from napari_samhq.training.micro.augment import PADDING_RGB, random_look, random_matrix
from napari_samhq.training.micro.data import AnnotatedImage, crop_at, load_image
from napari_samhq.training.micro.manifest import (
    manifest_hash,
    read_manifest,
    read_planes,
    split_by_group,
)
from napari_samhq.training.micro.pool import BatchMaker, BatchPlan, Pool, Prefetcher, choose_objects
from napari_samhq.training.micro.synthetic import _bodies, _borders, synthetic_image


def test_groups_stay_on_one_side(data_folder):
    records = read_manifest(data_folder)
    train, validation = split_by_group(records)
    assert len(train) + len(validation) == len(records)
    assert not {(r.source, r.stem) for r in train} & {(r.source, r.stem) for r in validation}
    discs = [{r.group for r in part if r.source == "discs"} for part in (train, validation)]
    assert discs[0]
    assert discs[1]
    assert not discs[0] & discs[1]
    # A source of one group gives its last image.
    assert [r.stem for r in validation if r.source == "stack"] == ["stack_2"]


def test_the_split_does_not_depend_on_the_order_of_rows(data_folder):
    records = read_manifest(data_folder)
    validation = [{r.stem for r in split_by_group(rows)[1]} for rows in (records, records[::-1])]
    assert validation[0] == validation[1]


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"MANIFEST\.tsv"):
        read_manifest(tmp_path)
    (tmp_path / "MANIFEST.tsv").write_text("source\tstem\na\tb\n")
    with pytest.raises(FileError, match="no column"):
        read_manifest(tmp_path)


def test_the_manifest_hash_follows_its_content(data_folder, tmp_path):
    (tmp_path / "MANIFEST.tsv").write_bytes((data_folder / "MANIFEST.tsv").read_bytes())
    assert manifest_hash(tmp_path) == manifest_hash(data_folder)
    (tmp_path / "MANIFEST.tsv").write_text("other")
    assert manifest_hash(tmp_path) != manifest_hash(data_folder)


def test_the_object_table_is_true(data_folder):
    item = load_image(read_manifest(data_folder)[0])
    for label, area, center in zip(item.ids, item.areas, item.centers_rc, strict=True):
        inside = np.argwhere(item.labels == label)
        assert area == len(inside)
        assert center == pytest.approx(inside.mean(0))


def _painted_labels(seed: int) -> AnnotatedImage:
    """An image whose grey values are its labels, so that any misalignment shows."""
    labels = synthetic_image(seed, size=128).labels % 2
    return AnnotatedImage.from_arrays((labels * 255).astype(np.uint8), labels)


@pytest.mark.parametrize("seed", range(8))
def test_image_and_labels_stay_aligned(seed):
    item = _painted_labels(seed)
    rng = np.random.default_rng(seed)
    zoom = float(np.exp(rng.uniform(np.log(0.4), np.log(3))))
    crop = crop_at(item, rng.uniform(40, 90, 2), random_matrix(rng, zoom), 96)
    agree = (crop.image[..., 0] > 0.5) == (crop.labels > 0)
    # Bilinear and nearest sampling may differ on the outline itself, nowhere else.
    edge = (crop.image[..., 0] > 0.02) & (crop.image[..., 0] < 0.98)
    assert agree[crop.valid & ~edge].mean() > 0.995


def test_the_identity_copies_pixels():
    item = _painted_labels(1)
    crop = crop_at(item, (63.5, 63.5), np.eye(2), 128)
    assert np.array_equal(crop.labels, item.labels)
    assert np.abs(crop.image[..., 0] * 255 - item.levels[0][..., 0]).max() < 0.01
    assert crop.valid.all()


def test_beyond_the_image_is_padding():
    item = _painted_labels(2)
    crop = crop_at(item, (0, 0), np.eye(2), 64)
    assert not crop.valid[:30].any()
    assert not crop.labels[~crop.valid].any()
    look = random_look(np.random.default_rng(0), crop.image, crop.valid)
    assert (look[~crop.valid] == PADDING_RGB).all()


@pytest.mark.parametrize("seed", range(6))
def test_synthetic_images_repeat_bit_by_bit(seed):
    one, two = synthetic_image(seed, 96), synthetic_image(seed, 96)
    assert np.array_equal(one.levels[0], two.levels[0])
    assert np.array_equal(one.labels, two.labels)
    assert one.labels.min() >= 0


@pytest.mark.parametrize("seed", range(4))
def test_bodies_lie_inside_their_objects(seed):
    """Each object has one, which neither fills it nor reaches its border."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((96, 96), np.int32)
    labels[10:40, 10:40], labels[10:40, 40:80], labels[60:90, 20:70] = 1, 2, 3
    bodies = _bodies(rng, labels)
    assert not bodies[labels == 0].any()
    assert not bodies[_borders(labels)].any()
    for label in (1, 2, 3):
        assert 0 < bodies[labels == label].mean() < 0.9


def test_synthetic_labels_mark_what_was_drawn():
    # Objects have numbers without gaps in the table, and areas that cover all that is marked.
    item = synthetic_image(11, 128)
    assert set(np.unique(item.labels)) - {0} == set(item.ids.tolist())
    assert item.areas.sum() == np.count_nonzero(item.labels)


def _pool(folder, synthetic=3):
    records = tuple(read_manifest(folder))
    return Pool(records, (("discs", 0.5), ("stack", 0.2), ("synthetic", 0.3)), synthetic, seed=5)


def test_batches_repeat_bit_by_bit_and_differ_by_step(data_folder):
    plan = BatchPlan(3, 64, 4)
    first, again = (BatchMaker(_pool(data_folder)).make(7, plan) for _ in range(2))
    for name, value in vars(first).items():
        assert np.array_equal(value, vars(again)[name]), name
    other = BatchMaker(_pool(data_folder)).make(8, plan)
    assert not np.array_equal(first.images, other.images)


def test_batches_hold_what_they_say(data_folder):
    batch = BatchMaker(_pool(data_folder)).make(0, BatchPlan(4, 64, 4))
    assert batch.images.shape == (4, 3, 64, 64)
    assert set(batch.image_index) == {0, 1, 2, 3}
    assert (batch.origin_xy % 8 == 0).all()
    assert batch.origin_xy.max() <= 512 - 64
    for index, label, box in zip(batch.image_index, batch.object_id, batch.boxes_xy, strict=True):
        rows, cols = np.nonzero(batch.labels[index] == label)
        assert box.tolist() == [cols.min(), rows.min(), cols.max(), rows.max()]


def test_the_other_process_makes_the_same_batches(data_folder):
    plan = BatchPlan(2, 64, 2)
    maker, prefetcher = BatchMaker(_pool(data_folder)), Prefetcher(_pool(data_folder))
    try:
        for step in range(2):
            assert np.array_equal(
                prefetcher.get(step, (plan,)).images, maker.make(step, plan).images
            )
    finally:
        prefetcher.close()


def test_choosing_objects_takes_all_before_any_twice():
    labels = np.zeros((32, 32), np.int32)
    labels[:8, :8], labels[20:30, 20:30], labels[31, 31] = 3, 7, 9
    ids, _ = choose_objects(np.random.default_rng(0), labels, 2)
    assert sorted(ids) == [3, 7]
    ids, _ = choose_objects(np.random.default_rng(0), labels, 8)
    assert sorted(ids) == [3, 3, 7, 7]
    assert len(choose_objects(np.random.default_rng(0), labels * 0, 8)[0]) == 0


def test_values_past_the_range_by_a_rounding_stay_numbers():
    image = np.full((8, 8, 1), np.float32(1) + np.float32(1e-6))
    valid = np.ones((8, 8), bool)
    with np.errstate(invalid="raise"):
        for seed in range(60):
            assert random_look(np.random.default_rng(seed), image, valid).dtype == np.uint8


def test_planes_of_stacks_are_images_of_one_group(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cells", "specks"):
        (tmp_path / name).mkdir()
        stack = rng.integers(0, 4000, (5, 40, 50)).astype(np.uint16)
        labels = np.zeros((5, 40, 50), np.uint8)
        labels[1:4, 5:20, 5:20], labels[2, 25:35, 25:35] = 1, 2
        tifffile.imwrite(tmp_path / name / "image.tif", stack)
        tifffile.imwrite(tmp_path / name / "labels.tif", labels)
    records = read_planes(tmp_path, incomplete=["specks"])
    assert [(r.source, r.plane) for r in records] == [
        (name, plane) for name in ("cells", "specks") for plane in (1, 2, 3)
    ]
    assert [r.complete for r in records] == [True] * 3 + [False] * 3
    item = load_image(records[1])
    assert item.shape == (40, 50)
    assert item.ids.tolist() == [1, 2]
    train, held_out = split_by_group(records)
    assert {r.source for r in held_out} == {"cells", "specks"}
    assert len(train) + len(held_out) == 6


def test_a_folder_without_stacks_is_refused(tmp_path):
    with pytest.raises(FileError, match="no stack"):
        read_planes(tmp_path)
