"""Files beside an image: its prompts, and the outline to stay inside of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_samhq.cli.paths import Found
    from napari_samhq.cli.segment_image import Wanted
    from napari_samhq.core.prompts.prompt import Prompt

__all__ = ["axes_for", "file_for", "prompts_for"]


def axes_for(path: Path, wanted: Wanted) -> dict[str, int]:
    """Read the axes of an image that the indices of --plane belong to."""
    from napari_samhq.io.planes import leading_axes

    axes = leading_axes(path)
    if wanted.channels is not None:
        axes.pop("c", None)  # all planes have the chosen ones
    return axes


def file_for(found: Found, given: Path, suffixes: Sequence[str]) -> Path:
    """Take a file as it is, and of a folder the file of the image's name."""
    from napari_samhq.cli.paths import beside

    is_folder = given.is_dir() and given.suffix.lower() != ".zarr"
    return beside(found, given, suffixes) if is_folder else given


def prompts_for(wanted: Wanted, found: Found, shape: tuple[int, int]) -> dict[int, Prompt]:
    """Read the prompts of one image from the file, or its file in the folder."""
    from napari_samhq.io import prompt_files

    assert wanted.prompts is not None
    suffixes = (".csv",) if wanted.kind != "prompts" else prompt_files.PROMPT_SUFFIXES
    path = file_for(found, wanted.prompts, suffixes)
    if wanted.kind == "points":
        return prompt_files.read_points_csv(path, plane=wanted.plane, strict=wanted.strict)
    if wanted.kind == "boxes":
        return prompt_files.read_boxes_csv(path, plane=wanted.plane, strict=wanted.strict)
    # What lies outside of the image in tables is left out later, with a word on it.
    known = None if prompt_files.is_table(path) else shape
    return prompt_files.read_prompts(
        path,
        found.place.name,
        shape=known,
        plane=wanted.plane,
        axes=axes_for(found.path, wanted),
        connected=wanted.connected,
        strict=wanted.strict,
    )
