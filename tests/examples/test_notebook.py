"""The notebooks in the documentation run, and are stored with what they show."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

# Half a minute on a quiet machine, but kernels start slowly on a busy one.
pytestmark = pytest.mark.timeout(900)

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted(path.stem for path in DOCS.glob("*.ipynb"))


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(DOCS / f"{name}.ipynb", as_version=4)


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [out for cell in notebook.cells for out in cell.get("outputs", [])]


def run(name: str, folder: Path) -> str:
    """Run a notebook where it may leave files; returns what it printed."""
    notebook = read(name)
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(out.text for out in outputs(notebook) if "text" in out)


def test_a_session_from_a_script(tmp_path: Path) -> None:
    assert "the same labels: True" in run("scripting", tmp_path)


def test_a_folder_of_images(tmp_path: Path) -> None:
    assert "IoU 0." in run("batch", tmp_path)


@pytest.mark.slow
def test_a_large_image(tmp_path: Path) -> None:
    assert "the same mask: True" in run("large-image", tmp_path)


def test_every_notebook_is_run_here() -> None:
    assert NOTEBOOKS == ["batch", "large-image", "scripting"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_stored_with_their_outputs_and_stay_small(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    shown = outputs(notebook)
    assert any("image/png" in out.get("data", {}) for out in shown)
    assert not [out for out in shown if out.get("name") == "stderr" or out.output_type == "error"]
    assert (DOCS / f"{name}.ipynb").stat().st_size < 200_000
    assert not any("/tmp/" in line or "/home/" in line for line in str(shown).splitlines())
