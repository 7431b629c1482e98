"""The manifest: npe2 checks its form, but neither commands nor menus."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_samhq
from napari_samhq import _plugin

PATH = Path(napari_samhq.__path__[0]) / "napari.yaml"
TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(PATH)


def _used_commands(manifest):
    contributions = manifest.contributions
    for kind in ("widgets", "sample_data", "readers", "writers"):
        for one in getattr(contributions, kind) or ():
            yield one.command
    for items in (contributions.menus or {}).values():
        for item in items:
            yield item.command


def test_every_command_that_is_used_exists_and_is_used(manifest):
    commands = {command.id for command in manifest.contributions.commands}
    assert set(_used_commands(manifest)) == commands


def test_every_python_name_imports(manifest):
    for command in manifest.contributions.commands:
        assert callable(_resolve(command.python_name))


def _resolve(python_name):
    module, name = str(python_name).split(":")
    assert module == "napari_samhq._plugin"  # the one module that the manifest may name
    return getattr(import_module(module), name)


def test_every_menu_can_be_contributed_to(manifest):
    from napari._app_model.constants import MenuId

    known = {menu.value for menu in MenuId.contributables()}
    assert set(manifest.contributions.menus) <= known


def test_the_settings_of_the_manifest_are_those_of_the_classes():
    spec = spec_from_file_location("write_manifest", TOOLS / "write_manifest.py")
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    text = PATH.read_text(encoding="utf-8")
    assert tool.manifest(text) == text, "run tools/write_manifest.py"


def test_the_widget_takes_the_viewer_by_the_name_that_napari_knows():
    from qtpy.QtWidgets import QWidget

    assert issubclass(_plugin.SamHQDock, QWidget)
    assert "napari_viewer" in inspect.signature(_plugin.SamHQDock.__init__).parameters


@pytest.mark.parametrize("key", ["nuclei", "tissue", "neuron"])
def test_samples_open_in_a_viewer(manifest, key):
    from napari.components import ViewerModel
    from napari.layers import Layer

    (command,) = (s.command for s in manifest.contributions.sample_data if s.key == key)
    (python_name,) = (c.python_name for c in manifest.contributions.commands if c.id == command)
    ((data, options, kind),) = _resolve(python_name)()
    layer = ViewerModel().add_layer(Layer.create(data, options, kind))
    assert layer.name == key
    assert layer.rgb == (key != "nuclei")
    assert np.ptp(data) > 100


def test_naming_the_plugin_loads_neither_qt_nor_torch():
    code = (
        "import sys, napari_samhq._plugin\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(bool(loaded & {'qtpy', 'PyQt6', 'torch', 'napari'}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_samples_fit_into_the_wheel():
    folder = PATH.parent / "data"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 500_000
    readme = (folder / "README.md").read_text()
    assert all(path.name in readme for path in folder.iterdir() if path.name != "README.md")
