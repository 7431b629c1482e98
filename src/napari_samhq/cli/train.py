"""``napari-samhq train``: fine-tune a model on images of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import progress_bar, reported, say
from napari_samhq.cli.options import (
    AsJson,
    Debug,
    Device,
    Model,
    Overwrite,
    Precision,
    PrecisionOption,
    load,
)
from napari_samhq.cli.pairs import pairs_in
from napari_samhq.cli.view_options import Channels, Connected, Field, Well, channels_of

if TYPE_CHECKING:
    from napari_samhq.settings import Settings
    from napari_samhq.training.finetune.events import FineTuned, TuningEvent

__all__ = ["changes_of", "train"]

_SUFFIX = ".safetensors"

Images = Annotated[
    Path, typer.Argument(help="An image, a folder of images, or a plate or series of OME-Zarr.")
]
Labels = Annotated[
    Path,
    typer.Argument(help="Its label image, or a folder with one of the same name for each image."),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="File to write, NAME.safetensors: load it by path.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, as views=8. May be repeated."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a training to this file that was interrupted.")
]
Complete = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="All objects of all images are labelled: what has no label is background. By this "
        "the model learns to find all objects.",
    ),
]
Finished = Annotated[
    Path | None,
    typer.Option(
        help="Instead of --complete: a mask, or a folder with one for each image, that tells where "
        "all objects are labelled (not 0)."
    ),
]


@reported
def train(
    images: Images,
    labels: Labels,
    output: Output,
    model: Model = "micro",
    steps: Annotated[int | None, typer.Option(help="Steps at most.  [default: 300]")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes at most; 0 for no limit.  [default: 5]")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(help="What to learn: boxes, clicks or both.  [default: both]")
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="What learns: hq; decoder, all that makes masks; or encoder, that and low-rank "
            "additions to what looks at the image.  [default: hq]"
        ),
    ] = None,
    complete: Complete = False,
    finished: Finished = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is drawn by lot.")] = None,
    setting: Changes = None,
    channels: Channels = None,
    well: Well = None,
    field: Field = None,
    connected: Connected = False,
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Fine-tune a model on images whose objects are known.

    A quarter of the images (of one image, of its objects) is held out: on it the result is
    measured, and training stops when it gets no better. What is written is small: only what
    changed, and which model it belongs to. `segment --model NAME.safetensors` uses it.

    If nothing was learned, nothing is written, and the exit status is 1.
    """
    from napari_samhq.training.finetune.settings import TuningSettings

    given = {"steps": steps, "minutes": minutes, "prompts": prompts, "parts": parts, "seed": seed}
    changes = changes_of(setting or [], TuningSettings)
    changes |= {name: value for name, value in given.items() if value is not None}
    _check_settings(changes)
    _check_output(output)
    if complete and finished is not None:
        raise typer.BadParameter("--complete says it of all images.", param_hint="--finished")

    from napari_samhq.core.labels.label_ids import checked_ids
    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.images import read_image

    # All that can be wrong is looked at before the model is loaded.
    check_target(output, overwrite=overwrite)
    pairs = pairs_in(images, labels, well=well, field=field)
    picks = channels_of(channels)
    pictures = [read_image(one.path, channels=picks) for one, _ in pairs]
    drawings = [
        checked_ids(read_image(drawing, as_labels=True), str(drawing), connected=connected)
        for _, drawing in pairs
    ]
    names = [one.place.name for one, _ in pairs]
    known: Any = complete
    if finished is not None:
        masks = pairs_in(images, finished, "mask", well=well, field=field)
        known = [read_image(mask, as_labels=True) for _, mask in masks]

    from napari_samhq.training.finetune.api import base_precision, finetune
    from napari_samhq.training.finetune.examples import checked_examples

    wanted = TuningSettings.of(changes.items())
    checked_examples(pictures, drawings, wanted.smallest_px, names, known)
    loaded = load(model, device, Precision(base_precision(wanted.parts, precision.value)))
    bars = _Bars()
    try:
        done = finetune(
            pictures,
            drawings,
            loaded,
            out=output,
            overwrite=overwrite,
            resume=resume,
            precision=precision.value,
            names=names,
            complete=known,
            progress=bars.show,
            **changes,
        )
    except KeyboardInterrupt:
        bars.close()
        say("Stopped; nothing was written. The same command with --resume goes on from here.")
        raise typer.Exit(1) from None
    finally:
        bars.close()
    _tell(done, as_json)


def changes_of(pairs: Sequence[str], kind: "type[Settings]") -> dict[str, Any]:
    """Read settings such as ``views=8``.

    Raises
    ------
    typer.BadParameter
        If one is no setting, or its value is none.
    """
    kinds = {one.name: one.kind for one in kind.described()}
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in kinds:
            raise typer.BadParameter(
                f"'{pair}' is none of {', '.join(kinds)}, with = and a value.", param_hint="--set"
            )
        try:
            changes[name] = kinds[name](text)
        except ValueError:
            raise typer.BadParameter(
                f"'{text}' is no {kinds[name].__name__} for {name}.", param_hint="--set"
            ) from None
    return changes


def _check_settings(changes: dict[str, Any]) -> None:
    from napari_samhq.errors import SettingsError
    from napari_samhq.training.finetune.settings import TuningSettings

    try:
        TuningSettings.of(changes.items())
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


def _check_output(output: Path) -> None:
    if output.suffix != _SUFFIX:
        raise typer.BadParameter(
            f"'{output.name}' does not end in {_SUFFIX}.", param_hint="--output"
        )


def _tell(done: "FineTuned", as_json: bool) -> None:
    """Print what came of it, for programs or for people."""
    record = done.record
    if as_json:
        import json

        typer.echo(json.dumps({"path": str(done.path), **record}, indent=1))
        return
    typer.echo(
        f"{record['base']} learned from {record['objects_learned_from']} objects in "
        f"{record['steps']} steps and {record['seconds']:.0f} s; the best came after "
        f"{record['best_step']}.\n"
        f"On {record['objects_held_out']} objects that were held out, mean IoU:\n"
        + "\n".join(
            f"  {name:<15} {done.before[name]:.3f} -> {value:.3f}"
            for name, value in done.after.items()
            if name != "everything"
        )
        + (
            "\nAverage precision of all objects that are found without prompts:\n"
            f"  {'everything':<15} {done.before['everything']:.3f} -> "
            f"{done.after['everything']:.3f}"
            if "everything" in done.after
            else ""
        )
        + f"\nWrote {done.path}"
    )


class _Bars:
    """Bars on stderr: one while the model looks at images, one while it learns."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""
        self._best = ""

    def show(self, event: "TuningEvent") -> None:
        """Bring the bar up to date."""
        from napari_samhq.training.finetune.events import (
            Begun,
            Checked,
            CheckedFinding,
            Learned,
            Looked,
        )

        if isinstance(event, Begun):
            kind = "images of their own" if event.by_image else "the same image"
            say(f"Learning from {event.learned} objects; {event.held_out} held out, on {kind}.")
        elif isinstance(event, Looked):
            self._update("Looking", event.done, event.total)
        elif isinstance(event, Learned):
            stage = "Learning to find" if event.finding else "Learning"
            self._update(stage, event.step, event.steps)
        elif isinstance(event, Checked):
            self._best = f"IoU {event.best.iou:.3f}, border {event.best.boundary_iou:.3f}"
        elif isinstance(event, CheckedFinding):
            self._best = f"AP {event.best.ap:.3f}, IoU {event.best.iou:.3f}"

    def _update(self, stage: str, done: int, total: int) -> None:
        if self._bar is None or stage != self._stage or self._bar.total != total:
            self.close()
            self._bar, self._stage = progress_bar(desc=stage, total=total, leave=False), stage
        if self._best:
            self._bar.set_postfix_str(self._best, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
