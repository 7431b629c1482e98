"""For the site: pages made from notebooks and from the repository's own documents; links between.

The documents are written to be read in the repository, too: their links lead to files there, and
here become links to pages, or to the repository where the site has no such page.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING

import nbformat
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/napari-samhq/napari-samhq"

# Pages whose text lies outside of docs/.
ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "src/napari_samhq/checkpoints/weights/micro/README.md": "model-card-micro.md",
}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")
SCREENSHOT = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)-dark\.png\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not Markdown files in docs/."""
    for source, target in ELSEWHERE.items():
        if target != "index.md":
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, target, content=text))
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            for name, content in notebook_page(Path(file.abs_src_path)).items():
                files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to pages; show pictures in both themes."""
    del config
    here = next((s for s, t in ELSEWHERE.items() if t == page.file.src_uri and t != "index.md"), "")
    here = here or f"docs/{page.file.src_uri}"
    if here != f"docs/{page.file.src_uri}":
        page.edit_url = f"{REPOSITORY}/edit/main/{here}"
    elif (ROOT / here).with_suffix(".ipynb").is_file():
        page.edit_url = None
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    for number in range(0, len(parts), 2):  # not in code
        in_both = SCREENSHOT.sub(lambda match: in_both_themes(match, page), parts[number])
        parts[number] = LINK.sub(lambda match: link(match, here, files), in_both)
    return "".join(parts)


def link(match: re.Match[str], here: str, files: Files) -> str:
    """Lead a relative link to the page, or into the repository where there is none."""
    begin, target, anchor = match[1], match[2], match[3] or ""
    if "://" in target or target.startswith(("mailto:", "/")):
        return match[0]
    path = normpath(f"{Path(here).parent.as_posix()}/{target}")
    within = path.removeprefix("docs/") if path.startswith("docs/") else ELSEWHERE.get(path)
    if within is not None and within.endswith(".ipynb") and "download" not in begin.lower():
        within = within.removesuffix("ipynb") + "md"
    if within is None:
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{begin}{REPOSITORY}/{kind}/main/{path}{anchor})"
    if files.get_file_from_path(within) is None:
        return match[0]  # the strict build names what is missing
    up = "../" * (0 if not here.startswith("docs/") else here.count("/") - 1)
    return f"{begin}{up}{within}{anchor})"


def in_both_themes(match: re.Match[str], page: Page) -> str:
    """Show a screenshot of the dark window on dark pages, and its light twin on light ones."""
    light = Path(page.file.abs_src_path or "").parent / f"{match[2]}-light.png"
    if not light.is_file():
        return match[0]
    return (
        f"![{match[1]}]({match[2]}-light.png#only-light){{ loading=lazy }}"
        f"![{match[1]}]({match[2]}-dark.png#only-dark){{ loading=lazy }}"
    )


@cache
def notebook_page(path: Path) -> dict[str, str | bytes]:
    """Convert a notebook with its stored outputs: name -> content of its page and its pictures."""
    notebook = nbformat.read(path, as_version=4)
    exporter = MarkdownExporter(
        template_name="notebook", extra_template_basedirs=[str(Path(__file__).parent)]
    )
    resources = {"output_files_dir": f"{path.stem}_files", "unique_key": path.stem}
    text, resources = exporter.from_notebook_node(notebook, resources=resources)
    title, _, rest = text.strip().partition("\n")
    button = f"[Download this notebook]({path.name}){{ .md-button }}"
    pages: dict[str, str | bytes] = {f"{path.stem}.md": f"{title}\n\n{button}\n\n{rest}\n"}
    for name, content in resources.get("outputs", {}).items():
        pages[Path(name).as_posix()] = content
    return pages
