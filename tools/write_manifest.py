"""Write the settings in napari.yaml, `configurations`, from the classes that describe them.

Run it after a setting changed: ``.venv/bin/python tools/write_manifest.py``. A test compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import napari_samhq
from napari_samhq.settings import CommitRules, DockSettings, SessionSettings, Setting
from napari_samhq.ui.keys import KEYS

PATH = Path(napari_samhq.__path__[0]) / "napari.yaml"
START = "\n  configurations:\n"


def configurations() -> str:
    """Write all groups of settings as the manifest has them."""
    keys = [Setting(key.action, str, key.keys, key.what, "") for key in KEYS]
    groups = {
        "session": ("Segmenting", SessionSettings.described()),
        "rules": ("Accepting objects", CommitRules.described()),
        "keys": ("Shortcuts", keys),
        "dock": ("The dock", DockSettings.described()),
    }
    lines = [START.strip("\n")]
    for group, (title, settings) in groups.items():
        lines += [f"    {group}:", f"      title: {title}", "      properties:"]
        for one in settings:
            lines.append(f"        {one.name}:")
            lines += [f"          {name}: {value}" for name, value in _values(one).items()]
    return "\n".join(lines) + "\n"


def manifest(text: str) -> str:
    """Give the text of a manifest with its settings, the last of its parts, written anew."""
    return text[: text.index(START) + 1] + configurations()


def _values(one: Setting) -> dict[str, Any]:
    values: dict[str, Any] = {"type": one.kind.__name__, "default": json.dumps(one.default)}
    values["title"] = json.dumps(one.title)
    if one.help:
        values["description"] = json.dumps(one.help)
    if one.choices:
        values["enum"] = json.dumps(one.choices)
    bounds = {"minimum": one.low, "maximum": one.high}
    return values | {name: f"{end:g}" for name, end in bounds.items() if end is not None}


if __name__ == "__main__":
    PATH.write_text(manifest(PATH.read_text(encoding="utf-8")), encoding="utf-8")
