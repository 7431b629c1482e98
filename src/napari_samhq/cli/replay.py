"""``napari-samhq replay``: the objects of a session again, by its model or another one."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import counted, progress_bar, reported, tell_json
from napari_samhq.cli.options import (
    AsJson,
    Debug,
    Device,
    Overwrite,
    Precision,
    PrecisionOption,
    load,
    valid_output,
)
from napari_samhq.cli.paths import only_image
from napari_samhq.cli.view_options import Channels, Field, Well, channels_of
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.engine.jobs import Progress

__all__ = ["replay"]


@reported
def replay(
    session: Annotated[Path, typer.Argument(help="A session file, *.samhq.json.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Labels: .tif, .npy, .zarr; others as `segment` if 2-D."
        ),
    ],
    image: Annotated[
        Path | None,
        typer.Option(help="The image that was annotated; left out if it is beside the session."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Name or path of a model; the one of the session when left out."),
    ] = None,
    channels: Channels = None,
    well: Well = None,
    field: Field = None,
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
    from napari_samhq.cli.records import check_record, write_record
    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.images import open_array
    from napari_samhq.io.results import check_result_suffix, write_labels_as
    from napari_samhq.io.session_files import read_session, source_of

    valid_output(output, check_result_suffix)
    # All that can be wrong is looked at before the model is loaded.
    check_target(output, overwrite=overwrite)
    check_record(output, overwrite=overwrite)
    saved = read_session(session)
    pixels = image if image is not None else source_of(saved, session)
    if pixels is None:
        raise FileError(
            f"The image {saved.image.name!r} is not beside the session {session}. Give its path "
            "with --image."
        )
    pixels = only_image(pixels, well=well, field=field)
    picks = channels_of(channels)
    start = time.perf_counter()
    loaded = load(model or saved.model, device, precision)

    from napari_samhq.engine.replay import replay as make_again

    with progress_bar(desc="Objects", leave=False) as bar:

        def report(stage: "Progress") -> None:
            if stage.stage == "predict":
                bar.total = int(stage.total) or None
                bar.update(int(stage.done) - bar.n)

        array = pixels if picks is None else open_array(pixels, channels=picks)
        labels = make_again(saved, array, loaded, progress=report)
    write_labels_as(output, labels, image_name=pixels.name, overwrite=overwrite)
    ids = _ids(labels)
    seconds = {"all": time.perf_counter() - start}
    record = write_record(
        output,
        _recipe(session, pixels, loaded, picks),
        command="replay",
        image=pixels,
        seconds=seconds,
        device=str(loaded.device),
        objects=len(ids),
    )
    summary = {
        "session": str(session),
        "labels": str(output),
        "record": str(record),
        "model": loaded.info.name,
        "device": str(loaded.device),
        "shape": list(labels.shape),
        "objects": ids,
    }
    if as_json:
        tell_json(summary)
    else:
        size = " x ".join(map(str, labels.shape))
        typer.echo(
            f"{counted(len(ids), 'object')} in labels of {size} px, with {loaded.info.name} on "
            f"{loaded.device}.\nLabels: {output}"
        )


def _recipe(
    session: Path, image: Path, loaded: "LoadedModel", channels: list[int | str] | None
) -> dict[str, Any]:
    """Name all that decides what comes out."""
    from importlib.metadata import version

    from napari_samhq.cli.records import digest_of_file, image_in_recipe

    precision = str(loaded.encoder_dtype).removeprefix("torch.")
    model = {"name": loaded.info.name, "sha256": loaded.fingerprint, "precision": precision}
    return {
        "napari-samhq": version("napari-samhq"),
        "model": model,
        "image": image_in_recipe(image, None, channels),
        "session": {"sha256": digest_of_file(session)},
    }


def _ids(labels: Any) -> list[int]:
    """List the label ids that have pixels."""
    import numpy as np

    return [int(label_id) for label_id in np.unique(labels) if label_id]
