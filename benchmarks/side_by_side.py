"""What the benchmarks share: the machine in words, and tasks timed in turns."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

import napari_samhq as samhq


def processor_name() -> str:
    """Name the processor as well as this system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def print_machine(device: str) -> None:
    """Say where and with what the figures were measured, and what else the machine was doing."""
    where = torch.cuda.get_device_name() if device.startswith("cuda") else processor_name()
    print(
        f"device     {device}: {where}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    )
    print(f"load       {os.getloadavg()[0]:.1f} before the measurement")
    print(
        f"versions   napari-samhq {samhq.__version__}, torch {torch.__version__}, "
        f"numpy {np.__version__}, Python {platform.python_version()}, {platform.system()}"
    )


def in_turns(
    tasks: Mapping[str, Callable[[], object]], repeats: int, device: str, *, cpu_time: bool = False
) -> dict[str, list[float]]:
    """Time tasks one after the other, many times, so that other work slows all of them alike.

    Parameters
    ----------
    tasks : mapping of str to callable
    repeats : int
        How often each; a first run of each is not counted.
    device : str
        A GPU is waited for.
    cpu_time : bool, optional
        Take the time that the processor spent on this process instead of what a clock shows: on a
        busy machine that is the steadier of the two. With one thread it is the time on a quiet one.

    Returns
    -------
    dict of str to list of float
        Milliseconds.
    """
    clock = time.process_time if cpu_time else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            start = clock()
            task()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if turn:
                times[name].append(1000 * (clock() - start))
    return times


def print_ratios(what: str, times: Mapping[str, list[float]]) -> None:
    """Print a row: medians of ours and theirs, their ratio, and the ratios of single turns."""
    ours, theirs = times["ours"], times["theirs"]
    turns = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    medians = statistics.median(ours), statistics.median(theirs)
    print(
        f"{what:<28}{medians[0]:>9.1f}{medians[1]:>9.1f}{medians[0] / medians[1]:>8.2f}"
        f"{turns[0]:>8.2f} to {turns[-1]:.2f}",
        flush=True,
    )
