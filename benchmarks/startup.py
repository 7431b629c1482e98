"""How long it takes to begin: importing, opening the dock widget, and having a model ready.

    python benchmarks/startup.py [--repeats 5] [--widget]

Each figure is of fresh processes, in seconds, median and slowest. `--widget` needs a display.
"""

import argparse
import os
import statistics
import subprocess
import sys

from side_by_side import processor_name

STEPS = {
    "import napari_samhq": ("", "import napari_samhq"),
    "micro, after importing torch": (
        "import torch, napari_samhq",
        "napari_samhq.Predictor(napari_samhq.load_model('micro'))",
    ),
}
WIDGET = {
    "dock widget, after napari": (
        "import napari; viewer = napari.Viewer(show=False)",
        "viewer.window.add_plugin_dock_widget('napari-samhq', 'SAM-HQ')",
    ),
}
TIMED = """
import time
{before}
start = time.perf_counter()
{step}
print(time.perf_counter() - start)
import os, sys
sys.stdout.flush()
os._exit(0)  # what ends with the viewer is not measured here
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--widget", action="store_true")
    options = parser.parse_args()
    print(f"machine    {processor_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'seconds':<32}{'median':>8}{'slowest':>9}")
    for name, (before, step) in {**STEPS, **(WIDGET if options.widget else {})}.items():
        program = TIMED.format(before=before, step=step)
        times = []
        for turn in range(options.repeats + 1):
            done = subprocess.run(
                [sys.executable, "-c", program], check=True, capture_output=True, text=True
            )
            if turn:  # the first one fills the caches of the disk
                times.append(float(done.stdout.split()[-1]))
        print(f"{name:<32}{statistics.median(times):>8.2f}{max(times):>9.2f}", flush=True)


if __name__ == "__main__":
    main()
