"""Promises about the repository as a whole: import cost, public names, commands, what is banned."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

import napari_samhq

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "napari_samhq"
MODULES = sorted(SOURCE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -------------------------------------------------------------------------------------- importing


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "napari", "qtpy", "PyQt6", "PySide6", "numpy", "pandas", "zarr", "typer")
    loaded = python(f"import sys, napari_samhq; print([m for m in {heavy} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_importing_the_package_takes_less_than_150_ms() -> None:
    def seconds(code: str) -> float:
        # The best of five: other programs can only make it slower.
        times = []
        for _ in range(5):
            start = time.perf_counter()
            python(code)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds("import napari_samhq") - seconds("pass") < 0.15


def test_importing_everything_changes_nothing_in_the_process() -> None:
    assert (
        python(
            "import os, warnings, logging\n"
            "before = dict(os.environ), list(warnings.filters), logging.root.level\n"
            "import napari_samhq.cli, napari_samhq.io, napari_samhq.checkpoints\n"
            "assert before == (dict(os.environ), list(warnings.filters), logging.root.level)\n"
        )
        == ""
    )


# ------------------------------------------------------------------------------------ public names


def test_every_public_name_exists_and_the_list_is_sorted() -> None:
    assert list(napari_samhq.__all__) == sorted(napari_samhq.__all__)
    for name in napari_samhq.__all__:
        assert getattr(napari_samhq, name) is not None
    assert set(napari_samhq.__all__) <= set(dir(napari_samhq))


def test_the_stub_lists_what_it_imports() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text())
    imported = {
        alias.asname or alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(napari_samhq.__all__)


@pytest.mark.parametrize("name", [n for n in napari_samhq.__all__ if not n.startswith("__")])
def test_every_public_name_is_documented(name: str) -> None:
    assert (getattr(napari_samhq, name).__doc__ or "").strip()


def test_every_error_derives_from_the_one() -> None:
    for name in napari_samhq.__all__:
        if name.endswith("Error") or name == "Cancelled":
            assert issubclass(getattr(napari_samhq, name), napari_samhq.SamHQError)


# --------------------------------------------------------------------------------- what is banned


# They know arrays and plain values, and refuse every other name (tests/io/test_cellpose.py).
REFUSING_UNPICKLERS = ("class _Unpickler(pickle.Unpickler):",)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"weights_only\s*=\s*False", id="FM-34-weights_only"),
        pytest.param(r"strict\s*=\s*False", id="FM-35-strict"),
        pytest.param(r"allow_pickle\s*=\s*True", id="FM-34-allow_pickle"),
        pytest.param(r"\bpickle\.(load|loads|Unpickler)\b", id="FM-34-pickle"),
        pytest.param(r"^\s*print\(", id="print"),
        pytest.param(r"\bbreakpoint\(|\bpdb\b", id="debugger"),
    ],
)
def test_the_source_is_free_of(pattern: str) -> None:
    # zip(strict=False) is about lengths, not about weights.
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line) and "zip(" not in line and line not in REFUSING_UNPICKLERS
    ]
    assert not found, "\n".join(found)


def test_no_exception_of_any_kind_is_caught_and_forgotten() -> None:
    def forgets(handler: ast.ExceptHandler) -> bool:
        anything = isinstance(handler.type, ast.Name) and handler.type.id.endswith("Exception")
        return handler.type is None or (anything and isinstance(handler.body[0], ast.Pass))

    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and forgets(node)
    ]
    assert not found


def test_the_number_of_threads_is_left_to_the_user() -> None:
    # Training's worker processes are its own; everything else runs in the user's.
    found = [p for p in MODULES if "set_num_threads" in p.read_text(encoding="utf-8")]
    assert {p.parent.name for p in found} <= {"micro"}


# Larger than CONTRIBUTING allows, and by how much. Nothing is added; entries shrink and go.
LARGE_FILES = {"inference/predictor.py": 439}
LARGE_CLASSES = {"Controller": (20, 32), "TrackedLabels": (19, 26)}  # public methods, methods


def test_no_module_is_larger_than_one_can_read_at_a_sitting() -> None:
    sizes = {
        p.relative_to(SOURCE).as_posix(): len(p.read_text(encoding="utf-8").splitlines())
        for p in MODULES
    }
    assert not {name: n for name, n in sizes.items() if n > LARGE_FILES.get(name, 400)}
    assert statistics.median(sizes.values()) < 250


def test_no_class_does_the_work_of_two() -> None:
    large = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                public, allowed = sum(not name.startswith("_") for name in names), (15, 25)
                allowed = LARGE_CLASSES.get(node.name, allowed)
                if public > allowed[0] or len(names) > allowed[1]:
                    large[node.name] = (public, len(names))
    assert not large


def test_the_first_line_of_a_module_says_what_it_is() -> None:
    riddles = ("How ", "What ", "When ", "Where ", "Whether ", "Which ", "Who ", "Why ")
    for path in MODULES:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text or path.name == "_version.py", f"{path} has no docstring"
        assert not (text or "").startswith(riddles), f"{path}: {text}"


def test_nothing_large_or_unsafe_is_tracked() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a clone, or no git to ask")
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = [ROOT / line for line in done.stdout.splitlines()]
    assert not [p for p in tracked if p.suffix in {".pth", ".pt", ".ckpt", ".pkl", ".pyc"}]
    large = [p for p in tracked if p.is_file() and p.stat().st_size > 25e6]
    assert not large, "the bundled model may take 25 MB, nothing may take more"


# ------------------------------------------------------------------------------------- packaging


def test_no_qt_binding_is_among_the_base_dependencies() -> None:
    names = {re.split(r"[^\w-]", d.lower())[0] for d in PROJECT["dependencies"]}
    assert not names & {"pyqt5", "pyqt6", "pyside2", "pyside6", "napari"}
    assert any(d.startswith("napari[all]") for d in PROJECT["optional-dependencies"]["all"])


def test_the_package_has_its_data() -> None:
    for name in ("napari.yaml", "py.typed", "__init__.pyi", "data/nuclei.png"):
        assert (SOURCE / name).is_file(), name


def test_the_bundled_model_is_small_enough_and_has_a_card() -> None:
    folder = SOURCE / "checkpoints" / "weights" / "micro"
    assert (folder / "model.safetensors").stat().st_size < 25e6
    assert (folder / "config.json").is_file()
    card = (folder / "README.md").read_text(encoding="utf-8").lower()
    for topic in ("licen", "data", "limit", "iou"):
        assert topic in card


# ------------------------------------------------------------------------------------- documents


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_every_make_target_that_is_mentioned_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    mentioned = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert mentioned <= targets()


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"demo", "test"} <= set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))


def test_every_command_and_option_in_the_readme_exists() -> None:
    from typer.testing import CliRunner

    from napari_samhq.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^napari-samhq (.+)$", text, re.MULTILINE)
    assert lines
    for line in lines:
        words = line.split("#")[0].split()
        command = words[: 2 if words[0] == "models" else 1]
        help_text = CliRunner().invoke(app, [*command, "--help"])
        assert help_text.exit_code == 0, line
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(^|[\s,/]){re.escape(option)}\b", help_text.output), line


def table(path: Path) -> dict[str, list[str]]:
    """Read the first table of a document that has a column 'box': its columns, by name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(number for number, cells in enumerate(rows) if "box" in cells)
    body = itertools.takewhile(lambda cells: len(cells) > 1, rows[start + 2 :])
    return dict(zip(rows[start], (list(c) for c in zip(*body, strict=True)), strict=True))


def test_the_numbers_in_the_readme_are_those_of_the_model_card() -> None:
    card = table(SOURCE / "checkpoints" / "weights" / "micro" / "README.md")
    readme = table(ROOT / "README.md")
    assert readme["objects"] == card["objects"]
    columns = {
        "box": "box",
        "Otsu in the box": "otsu",
        "one click": "click",
        "one click and five corrections": "corrected",
    }
    for told, measured in columns.items():
        rounded = [Decimal(n).quantize(Decimal("0.01"), ROUND_HALF_UP) for n in card[measured]]
        assert readme[told] == [str(number) for number in rounded]


def test_relative_links_in_the_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith("mailto:"):
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_images_in_the_readme_are_absolute_and_exist_here() -> None:
    # The napari hub and PyPI show the README without the repository around it.
    here = "https://raw.githubusercontent.com/napari-samhq/napari-samhq/main/"
    for image in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", (ROOT / "README.md").read_text()):
        assert image.startswith("https://"), image
        if image.startswith(here):
            assert (ROOT / image.removeprefix(here)).is_file(), image


def test_the_changelog_has_a_section_for_what_comes_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
