"""``napari-samhq demo``: the main job on a real image that comes with the package."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_samhq.cli.console import is_installed, reported, say
from napari_samhq.cli.options import (
    Debug,
    Device,
    Model,
    Overwrite,
    Precision,
    PrecisionOption,
    load,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.cli.segment_prompts import Result

__all__ = ["demo"]

_SAMPLE = Path(__file__).parents[1] / "data"


@reported
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results; made if it is missing.")
    ] = Path("samhq-demo"),
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    view: Annotated[
        bool | None,
        typer.Option(
            "--view/--no-view",
            help="Show the result in napari. Left out: where there is a display and napari.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Segment 97 nuclei of a microscopy image, from a box around each.

    Image and boxes come with the package, and so does the default model: no network is needed.
    Writes labels, a picture with the masks over the image, and a table of the objects.
    """
    if view:
        _check_viewer()

    from napari_samhq.io.atomic import check_target, explained
    from napari_samhq.io.images import read_image
    from napari_samhq.io.prompt_files import read_boxes_csv

    with explained("write", output, "Choose another folder."):
        output.mkdir(parents=True, exist_ok=True)
    targets = [output / f"nuclei_{n}" for n in ("labels.tif", "overlay.png", "objects.csv")]
    for target in targets:
        check_target(target, overwrite=overwrite)
    image = read_image(_SAMPLE / "nuclei.png")
    prompts = read_boxes_csv(_SAMPLE / "nuclei_boxes.csv")

    from napari_samhq.cli.segment_prompts import segment_prompts
    from napari_samhq.inference.predictor import Predictor

    loaded = load(model, device, precision)
    result = segment_prompts(Predictor(loaded), image, prompts)
    ious = _write(result, image, targets)
    height, width = image.shape[:2]
    typer.echo(
        f"Segmented {len(prompts)} nuclei in an image of {height} x {width} pixels, with "
        f"{loaded.info.name} on {loaded.device}:\n"
        f"  {result.seconds['embed']:.2f} s for the image, "
        f"{1000 * result.seconds['predict'] / len(prompts):.0f} ms for each box;\n"
        f"  {ious.mean():.3f} mean IoU with the outlines that experts drew "
        f"({(ious >= 0.5).sum()} of {len(ious)} above 0.5).\n"
        + "\n".join(f"Wrote {target}" for target in targets)
    )
    _show(view, targets[0])


def _check_viewer() -> None:
    """Find out before the work is done that there is no viewer to show it in."""
    from napari_samhq.errors import MissingExtraError

    if not is_installed("napari"):
        raise MissingExtraError(
            "The viewer needs napari, which is not installed. Run: pip install 'napari-samhq[all]'"
        )


def _write(
    result: "Result", image: "NDArray[np.generic]", targets: list[Path]
) -> "NDArray[np.float64]":
    """Write labels, picture and table; return each object's IoU with the experts' outline."""
    import numpy as np
    from PIL import Image

    from napari_samhq.core.display.overlay import overlay
    from napari_samhq.core.images.rgb8 import to_rgb8
    from napari_samhq.core.measure.metrics import iou
    from napari_samhq.io.atomic import replacing
    from napari_samhq.io.images import read_image
    from napari_samhq.io.labels import write_labels

    labels_path, overlay_path, table_path = targets
    expected = read_image(_SAMPLE / "nuclei_labels.png")
    ious = np.array([iou(result.labels == i, expected == i) for i in range(1, expected.max() + 1)])
    table = result.table()
    table.insert(2, "iou", ious[table["label"].to_numpy() - 1])
    write_labels(labels_path, result.labels, overwrite=True)
    with replacing(overlay_path, overwrite=True) as temporary:
        Image.fromarray(overlay(to_rgb8(image), result.labels)).save(temporary)
    with replacing(table_path, overwrite=True) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return ious


def _show(view: bool | None, labels: Path) -> None:
    """Open napari, if that was asked for or can be done."""
    from napari_samhq.cli.viewer import has_display

    if view is None:
        view = has_display() and is_installed("napari")
    if not view:
        return
    import subprocess

    say("Opening napari; close its window to end.")
    # In a process of its own: without a working display Qt does not raise an error, it aborts.
    command = [sys.executable, "-m", "napari_samhq.cli.viewer", str(_SAMPLE), str(labels)]
    if subprocess.run(command, check=False).returncode != 0:
        say("Warning: the viewer did not run (see above). The results are written.")
