import csv

import numpy as np
import pytest
import torch
from skimage.io import imsave

from napari_samhq.training.micro.synthetic import synthetic_image


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products lose more to waiting threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """A small data folder: two sources, of which one is a single group."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    seed = 0
    for source, count, groups in (("discs", 8, 4), ("stack", 3, 1)):
        for kind in ("images", "labels"):
            (folder / source / kind).mkdir(parents=True)
        for number in range(count):
            item = synthetic_image(seed, size=96)
            while not len(item.ids) or item.levels[0].shape[2] != 1:
                seed += 1
                item = synthetic_image(seed, size=96)
            seed += 1
            stem = f"{source}_{number}"
            imsave(
                folder / source / "images" / f"{stem}.png",
                item.levels[0][..., 0],
                check_contrast=False,
            )
            imsave(
                folder / source / "labels" / f"{stem}.png",
                item.labels.astype(np.uint16),
                check_contrast=False,
            )
            rows.append([source, stem, 96, 96, 1, f"{source}/{number % groups}"])
    with (folder / "MANIFEST.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["source", "stem", "height", "width", "channels", "group"])
        writer.writerows(rows)
    return folder
