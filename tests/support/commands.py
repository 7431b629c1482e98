"""Running commands in the tests: in this process, or in one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from typer.testing import CliRunner

import napari_samhq
from napari_samhq.cli import app

SAMPLE = Path(napari_samhq.__file__).parent / "data"

#: Runs the command line where the packages named before "--" are not installed.
_WITHOUT = """
import sys
end = sys.argv.index("--")
sys.modules.update(dict.fromkeys(sys.argv[1:end]))
sys.argv[1 : end + 1] = []
from napari_samhq.cli import main
main()
"""


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_process(
    *arguments: object, without: tuple[str, ...] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command as the shell does, with the packages `without` missing."""
    command = [sys.executable, "-c", _WITHOUT, *without, "--", *map(os.fspath, map(str, arguments))]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def loaded_fake(name: str = "fake") -> Any:
    """What commands take for a loaded model."""
    return SimpleNamespace(
        info=SimpleNamespace(name=name), device="cpu", fingerprint=name, encoder_dtype="float32"
    )
