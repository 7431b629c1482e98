"""The site's pages: all in the navigation, all public names in the reference, nothing from afar."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import napari_samhq

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAVIGATION = re.findall(r"^ +- .*?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
IDENTIFIERS = [
    identifier
    for page in sorted((DOCS / "reference").glob("*.md"))
    for identifier in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def found(identifier: str) -> object:
    """Import what a page of the reference shows."""
    parts = identifier.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            thing = getattr(thing, name)
        return thing
    raise LookupError(identifier)


def test_every_page_is_in_the_navigation_once() -> None:
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    pages += [path.with_suffix(".md").name for path in DOCS.glob("*.ipynb")]
    pages += ["contributing.md", "changelog.md", "model-card-micro.md"]
    assert sorted(NAVIGATION) == sorted(pages)


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_what_the_reference_names_exists(identifier: str) -> None:
    assert (found(identifier).__doc__ or "").strip()


def test_every_public_name_is_in_the_reference() -> None:
    from napari_samhq import errors, model

    shown = [found(identifier) for identifier in IDENTIFIERS]
    shown += [value for value in vars(errors).values() if isinstance(value, type)]
    names = {name: getattr(napari_samhq, name) for name in napari_samhq.__all__}
    names |= {name: getattr(model, name) for name in model.__all__}
    assert not [n for n, thing in names.items() if thing not in shown and n != "__version__"]


def test_a_reader_of_the_site_asks_no_other_server() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in configuration
    for file in (*DOCS.glob("assets/*"), *DOCS.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(src=\"|url\(|@import |!\[[^\]]*\]\()['\"]?https?:", text), file
