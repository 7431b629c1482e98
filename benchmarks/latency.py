"""How long a person waits: once per image, and then per prompt.

    python benchmarks/latency.py [--model micro] [--device cpu] [--threads 2] [--repeats 20]

Prints medians with the machine and the versions they were measured on.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import torch
from side_by_side import processor_name
from skimage.io import imread

import napari_samhq as samhq


def measure(task: Callable[[], object], repeats: int, synchronize: Callable[[], None]) -> str:
    """Run a task often enough; give median, fastest and slowest in milliseconds."""
    task()  # the first time is slower: memory is reserved, kernels are chosen
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(times):8.1f} {min(times):8.1f} {max(times):8.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="micro")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=None, help="of torch, on a CPU")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    data = files("napari_samhq") / "data"
    image = imread(data / "nuclei.png")
    boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)
    many = [samhq.Prompt(box=box) for box in boxes]
    click = [boxes[0][[0, 2]].mean(), boxes[0][[1, 3]].mean()]

    start = time.perf_counter()
    model = samhq.load_model(options.model, device=options.device, precision=options.precision)
    load_seconds = time.perf_counter() - start
    predictor = samhq.Predictor(model)
    embedding = predictor.embed(image)
    on_gpu = model.device.type == "cuda"
    synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    where = torch.cuda.get_device_name() if on_gpu else processor_name()

    print(f"model      {model.info.name} ({model.encoder_dtype})")
    print(f"device     {model.device}: {where}, {os.cpu_count()} cores")
    print(f"threads    {torch.get_num_threads()}")
    print(
        f"versions   napari-samhq {samhq.__version__}, torch {torch.__version__}, "
        f"numpy {np.__version__}, Python {platform.python_version()}, {platform.system()}"
    )
    print(f"image      {image.shape[0]} x {image.shape[1]} px {image.dtype}")
    print(f"embedding  {embedding.nbytes / 2**20:.1f} MiB")
    print(f"loading    {load_seconds:.2f} s\n")
    print(f"{'milliseconds':<24}{'median':>8} {'min':>8} {'max':>8}")
    tasks: dict[str, Callable[[], object]] = {
        "embed an image": lambda: predictor.embed(image),
        "one box": lambda: predictor.predict(embedding, box=boxes[0]),
        "one click, 3 candidates": lambda: predictor.predict(
            embedding, points=[click], multimask=True
        ),
        f"{len(many)} boxes at once": lambda: predictor.predict_many(embedding, many),
    }
    for name, task in tasks.items():
        repeats = options.repeats if "at once" not in name else max(3, options.repeats // 5)
        print(f"{name:<24}{measure(task, repeats, synchronize)}")


if __name__ == "__main__":
    main()
