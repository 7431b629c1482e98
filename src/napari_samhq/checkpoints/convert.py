"""Turning any checkpoint that can be loaded into a folder that other programs can load too."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from ..errors import FileError
from .load import build, locate

__all__ = ["convert"]


def convert(source: str | os.PathLike[str], out_folder: str | os.PathLike[str]) -> Path:
    """Write a checkpoint as a folder that other programs can load too.

    The folder gets ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``: a model
    in the published Hugging Face layout, in float32; TinyViT encoders, which have no published
    one, under this package's names. No code can hide in it.

    Parameters
    ----------
    source
        A name or a path, as for `napari_samhq.load_model`.
    out_folder
        The folder to write. Files of these names in it are replaced, others stay.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError, CheckpointError, DownloadError
        The source cannot be loaded.
    FileError
        The folder cannot be written. What was there before is unchanged.

    Examples
    --------
    >>> convert("sam_hq_vit_b.pth", "sam_hq_vit_b")  # doctest: +SKIP
    PosixPath('sam_hq_vit_b')
    """
    from ..model import SamHQImageProcessor, SamHQProcessor

    out = Path(out_folder).expanduser()
    if out.exists() and not out.is_dir():
        raise FileError(f"{out} is a file; a folder was needed. Choose another name.")
    weights, info, _ = locate(os.fspath(source))
    network = build(weights, info)
    vision = network.config.vision_config
    processor = SamHQProcessor(
        SamHQImageProcessor(
            size=vision.image_size, mask_size=4 * (vision.image_size // vision.patch_size)
        )
    )
    staged = out.with_name(f".{out.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        network.save_pretrained(staged)
        processor.save_pretrained(staged)
        _install(staged, out)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"Could not write {out}: {error.strerror or error}. What was there is unchanged; "
            "check that the folder above it exists, is writable and has room."
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return out


def _install(staged: Path, out: Path) -> None:
    """Put finished files into their folder, all or, when one cannot be put there, none."""
    if not out.exists():
        staged.replace(out)
        return
    aside = staged / "replaced"
    aside.mkdir()
    new_files = [entry for entry in staged.iterdir() if entry.is_file()]
    done: list[Path] = []
    try:
        for new in new_files:
            old = out / new.name
            if old.exists():
                _second_name(old, aside / new.name)
            new.replace(old)
            done.append(old)
    except OSError:
        for old in done:
            kept = aside / old.name
            if kept.exists():
                kept.replace(old)
            else:
                old.unlink()
        raise


def _second_name(file: Path, name: Path) -> None:
    """Keep a file under a second name, as a copy where the file system has no links."""
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copy2(file, name)
