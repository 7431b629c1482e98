"""``napari-samhq replay``: the objects of a session again, by its model or another one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.common import (
    AsJson,
    Debug,
    Device,
    Overwrite,
    Precision,
    PrecisionOption,
    load,
    progress_bar,
    reported,
)
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from napari_samhq.session.runner import Progress

__all__ = ["replay"]


@reported
def replay(
    session: Annotated[Path, typer.Argument(help="A session file, *.samhq.json.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Labels: .tif, .npy or .zarr; .png if 2-D.")
    ],
    image: Annotated[
        Path | None,
        typer.Option(help="The image that was annotated; left out if it is beside the session."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Name or path of a model; the one of the session when left out."),
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make the objects of a session again, from the same prompts.

    By the same model on the same machine the labels are those of the session, bit by bit. By
    another model the prompts are the same and the masks its own; what was painted or deleted by
    hand is painted and deleted again.
    """
    from napari_samhq.io.labels import check_label_suffix

    try:
        check_label_suffix(output)
    except FileError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error

    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.labels import write_labels
    from napari_samhq.io.session_files import read_session, source_of

    # All that can be wrong is looked at before the model is loaded.
    check_target(output, overwrite=overwrite)
    saved = read_session(session)
    pixels = image if image is not None else source_of(saved, session)
    loaded = load(model or saved.model, device, precision)

    from napari_samhq.session.replay import replay as make_again

    with progress_bar(desc="Objects", leave=False) as bar:

        def report(stage: "Progress") -> None:
            if stage.stage == "predict":
                bar.total = int(stage.total) or None
                bar.update(int(stage.done) - bar.n)

        labels = make_again(saved, pixels, loaded, progress=report)
    write_labels(output, labels, overwrite=overwrite)
    summary = {
        "session": str(session),
        "labels": str(output),
        "model": loaded.info.name,
        "device": str(loaded.device),
        "shape": list(labels.shape),
        "objects": _ids(labels),
    }
    if as_json:
        import json

        typer.echo(json.dumps(summary, indent=1))
    else:
        size = " x ".join(map(str, labels.shape))
        typer.echo(
            f"{len(summary['objects'])} objects in labels of {size} px, with {loaded.info.name} on "
            f"{loaded.device}.\nLabels: {output}"
        )


def _ids(labels: Any) -> list[int]:
    """List the label ids that have pixels."""
    import numpy as np

    return [int(label_id) for label_id in np.unique(labels) if label_id]
