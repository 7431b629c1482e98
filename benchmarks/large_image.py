"""The first prompt on an image far larger than memory, against the same prompt on a small one.

    python benchmarks/large_image.py [--model micro] [--side 100000] [--threads 2] [--places 12]

Makes a sparse OME-Zarr image in a temporary folder: pictures of nuclei here and there, the first
four in the image's corners, nothing in between. Each prompt meets an image that was just opened and
a store that holds nothing. The bars: at most 2 times as long, at most 1.5 GiB of memory above the
loaded model.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import zarr
from skimage.io import imread

import napari_samhq as samhq
from napari_samhq.inference.predictor import Predictor
from napari_samhq.inference.windowed import WindowedPredictor
from napari_samhq.io.images import open_image

FACTORS = (1, 4, 16, 64)
CHUNK = 512


def make(path: Path, side: int, picture: np.ndarray, corners: np.ndarray) -> None:
    """Write an OME-Zarr image that has the picture at each corner, and nothing else."""
    group = zarr.create_group(store=path)
    for factor in FACTORS:
        shape = (-(-side // factor),) * 2
        level = group.create_array(
            str(factor), shape=shape, chunks=(CHUNK, CHUNK), dtype=picture.dtype, fill_value=0
        )
        small = picture[factor // 2 :: factor, factor // 2 :: factor]
        for row, col in corners // factor:
            level[row : row + small.shape[0], col : col + small.shape[1]] = small
    datasets = [{"path": str(factor)} for factor in FACTORS]
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}


def seconds(task: Callable[[], object]) -> float:
    """Tell how long something takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def gigabytes() -> float:
    """Tell the most memory that this process ever took, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="micro")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=None, help="of torch, on a CPU")
    parser.add_argument("--places", type=int, default=12)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    data = files("napari_samhq") / "data"
    picture = imread(data / "nuclei.png")
    box = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)[0]
    click = [[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]]
    small = np.zeros((1024, 1024), picture.dtype)
    small[: picture.shape[0], : picture.shape[1]] = picture
    limits = (float(picture.min()), float(picture.max()))
    rng = np.random.default_rng(0)
    last = (options.side - max(picture.shape)) // 64 * 64
    ends = [(row, col) for row in (0, last) for col in (0, last)]
    random = rng.integers(0, options.side - 1024, (options.places, 2)) // 64 * 64
    corners = np.concatenate([np.array(ends), random])[: options.places]

    predictor = Predictor(samhq.load_model(options.model, device=options.device))
    predictor.predict(predictor.embed(small), box=box)  # the first time is slower
    before = gigabytes()

    def on_small(**prompt: object) -> float:
        predicted = samhq.Prompt(**prompt)
        return seconds(lambda: predictor.predict(
            predictor.embed(small, contrast_limits=limits),
            predicted.points, predicted.point_labels, predicted.box))  # fmt: skip

    def on_large(path: Path, corner: np.ndarray, **prompt: object) -> float:
        moved = {k: np.asarray(v) + np.resize(corner, np.shape(v)) for k, v in prompt.items()}

        def task() -> None:
            source = open_image(path, contrast_limits=limits)
            WindowedPredictor(predictor, source).predict(samhq.Prompt(**moved))

        return seconds(task)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", samhq.SamHQWarning)  # some places are empty
        path = Path(folder) / "large.zarr"
        make(path, options.side, picture, corners)
        print(f"image   {options.side} x {options.side} px, {options.places} places")
        print(f"model   {options.model} on {options.device}, {torch.get_num_threads()} threads")
        print(f"{'first prompt':<24}{'1024 px':>10}{'large':>10}{'ratio':>8}{'worst':>8}")
        for name, prompt in {"a box": {"box": box}, "a click": {"points": click}}.items():
            for where, shift in (("on an object", 0), ("on nothing", 5 * CHUNK)):
                pairs = []  # one after the other, so that other work on the machine slows both
                for corner in corners:
                    place = np.clip(corner + shift, 0, options.side - 1024)
                    pairs.append((on_small(**prompt), on_large(path, place, **prompt)))
                alone, large = (statistics.median(column) for column in zip(*pairs, strict=True))
                ratios = [b / a for a, b in pairs]
                print(
                    f"{f'{name} {where}':<24}{1000 * alone:>8.0f}ms{1000 * large:>8.0f}ms"
                    f"{statistics.median(ratios):>8.2f}{max(ratios):>8.2f}"
                )
        print(f"memory  {gigabytes() - before:.2f} GiB above the loaded model, at most")


if __name__ == "__main__":
    main()
