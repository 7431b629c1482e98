"""The table of keys against all of napari's own."""

from __future__ import annotations

import pytest
from app_model.types import KeyBinding
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.shortcuts import default_shortcuts

from napari_samhq.ui.keys import KEYS, bind_keys, shown, unbind_keys

# Labels layers have an undo of their own, which napari asks first while such a layer is active.
_UNDO = {"Ctrl+Z", "Ctrl+Shift+Z"}


def _napari_keys() -> set[KeyBinding]:
    taken = {KeyBinding.from_str(str(k)) for keys in default_shortcuts.values() for k in keys}
    for provider in (ViewerModel, Image, Labels, Points, Shapes):
        taken |= {KeyBinding.from_str(str(key)) for key in provider.class_keymap}
    menus = "Ctrl+O Ctrl+S Ctrl+W Ctrl+Q Ctrl+N Ctrl+M Ctrl+Shift+P Ctrl+Shift+O Ctrl+0 Ctrl+U"
    menus += " Ctrl+= Ctrl+- Alt+S Alt+C Alt+T Alt+Shift+S Alt+Shift+C Alt+Shift+T Ctrl+/"
    return taken | {KeyBinding.from_str(key) for key in menus.split()}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.action)
def test_a_key_is_not_taken_and_has_a_modifier(key):
    binding = KeyBinding.from_str(key.keys.replace("Control", "Ctrl").replace("-", "+"))
    (part,) = binding.parts
    assert part.ctrl or part.shift
    if str(binding) not in _UNDO:
        assert binding not in _napari_keys()


def test_all_actions_are_different():
    assert len({key.action for key in KEYS}) == len({key.keys for key in KEYS}) == len(KEYS)


def test_bound_keys_call_and_unbound_keys_are_gone():
    viewer, called = ViewerModel(), []
    bound = bind_keys(viewer, {"accept": lambda: called.append(1)})
    (callback,) = viewer.keymap.values()
    callback(viewer)
    assert called == [1]
    unbind_keys(viewer, bound)
    assert not viewer.keymap


def test_keys_that_somebody_else_took_are_left_alone():
    viewer, called = ViewerModel(), []
    viewer.bind_key("Control-D", lambda viewer: called.append("theirs"))
    bound = bind_keys(viewer, {"accept": lambda: called.append("ours")})
    unbind_keys(viewer, bound)
    (callback,) = viewer.keymap.values()
    callback(viewer)
    assert called == ["theirs"]


def test_keys_are_written_in_words():
    assert shown("reject")
    with pytest.raises(StopIteration):
        shown("nothing")
