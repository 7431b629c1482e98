"""The keys of the dock: one table, bound while the dock is open, and written on its buttons.

Which keys they are can be changed in napari's preferences, under SAM-HQ.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app_model.types import KeyBinding
    from napari.components import ViewerModel

__all__ = ["KEYS", "Key", "KeyRing", "parse_keys", "taken_keys", "written"]


@dataclass(frozen=True)
class Key:
    """An action, its keys as long as the user chose no others, and what it does."""

    action: str
    keys: str
    what: str


#: With a modifier, all of them: bare letters and digits belong to napari's layers, and napari asks
#: the active layer before the viewer. Tests hold this table against all of napari's own keys.
KEYS = (
    Key("accept", "Ctrl+D", "Accept the object"),
    Key("accept_all", "Ctrl+Shift+A", "Accept all objects that wait"),
    Key("reject", "Shift+Escape", "Reject the object being made"),
    Key("next_object", "Ctrl+Shift+D", "Accept or drop this object, and go on to a new one"),
    Key("undo", "Ctrl+Z", "Undo"),
    Key("redo", "Ctrl+Shift+Z", "Redo"),
    Key("use_point", "Ctrl+1", "Point tool"),
    Key("use_box", "Ctrl+2", "Box tool"),
    Key("use_polygon", "Ctrl+3", "Polygon tool"),
    Key("use_scribble", "Ctrl+4", "Scribble tool"),
    Key("flip_polarity", "Ctrl+B", "Switch between object and background"),
    Key("next_candidate", "Ctrl+Right", "Next mask to choose from"),
    Key("previous_candidate", "Ctrl+Left", "Previous mask to choose from"),
    Key("next_output", "Ctrl+J", "Step through SAM, SAM+HQ and HQ"),
    Key("show_difference", "Ctrl+Shift+J", "Show what HQ changed"),
    Key("go_next", "Ctrl+Shift+Right", "Next object: of those that wait, else of the table"),
    Key("go_previous", "Ctrl+Shift+Left", "Previous object: of those that wait, else of the table"),
    Key("reopen", "Ctrl+Shift+E", "Edit the object chosen in the table"),
    Key("save", "Ctrl+Shift+S", "Save the session"),
)

# Labels layers have an undo of their own with these keys, which napari asks first while such a
# layer is active; ours goes on from there.
_SHARED = frozenset({"Ctrl+Z", "Ctrl+Shift+Z"})

# Names that people write, and ours; among them what we write on buttons.
_SAME = {"control": "Ctrl", "esc": "Escape", "return": "Enter", "del": "Delete"}


def parse_keys(text: str) -> KeyBinding:
    """Read keys as people write them. As in Qt, Ctrl means the Command key of a Mac.

    Raises
    ------
    ValueError
        If these are no keys.

    Examples
    --------
    >>> written(parse_keys("control + shift + d")) in ("Ctrl+Shift+D", "⇧⌘D")
    True
    """
    from app_model.types import KeyBinding, KeyCode

    words = [word.strip() for word in text.split("+")]
    words = [_SAME.get(word.lower(), word) for word in words]
    if sys.platform == "darwin":
        words = ["Cmd" if word.lower() == "ctrl" else word for word in words]
    binding = KeyBinding.from_str("+".join(words))
    if len(binding.parts) != 1 or binding.parts[0].key in (None, KeyCode.UNKNOWN):
        raise ValueError(f"{text!r} are no keys.")
    return binding


def written(binding: KeyBinding) -> str:
    """Write keys as this system does.

    Examples
    --------
    >>> written(parse_keys("Shift+Escape")) in ("Shift+Esc", "⇧⎋")
    True
    """
    if sys.platform == "darwin":
        from napari.utils.interactions import Shortcut

        return str(Shortcut(binding).platform)
    # In words: the fonts of other systems lack some of the signs.
    return str(binding).replace("Escape", "Esc")


def taken_keys() -> dict[KeyBinding, str]:
    """List the keys that napari uses itself, in its windows, menus and layers, with what they do.

    Layers are asked for keys before the viewer, so theirs would never come to us; menus likewise.
    """
    from napari import layers
    from napari._app_model import get_app_model  # the only place that knows the keys of the menus
    from napari.components import ViewerModel
    from napari.settings import get_settings
    from napari.utils.key_bindings import coerce_keybinding

    taken: dict[KeyBinding, str] = {}
    kinds = ("Image", "Labels", "Points", "Shapes", "Surface", "Tracks", "Vectors")
    for kind in kinds:
        for key in getattr(layers, kind).class_keymap:
            taken[coerce_keybinding(key)] = f"{kind} layers"
    for key in ViewerModel.class_keymap:
        taken[coerce_keybinding(key)] = "the viewer"
    app = get_app_model()
    for rule in app.keybindings:
        title = app.commands[rule.command_id].title if rule.command_id in app.commands else "a menu"
        taken[rule.keybinding] = f"'{title.strip('. ')}'"
    for action, keys in get_settings().shortcuts.shortcuts.items():
        for key in keys:
            taken[coerce_keybinding(key)] = f"'{action.split(':')[-1].replace('_', ' ')}'"
    return taken


class KeyRing:
    """The keys that are bound in one viewer.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Where the keys work.
    actions : mapping of str to callable
        What to call, by the names in the table.

    Attributes
    ----------
    problems : list of str
        Keys that the user wanted and did not get, in sentences.
    """

    def __init__(self, viewer: ViewerModel, actions: Mapping[str, Callable[[], Any]]) -> None:
        self.problems: list[str] = []
        self._viewer, self._actions = viewer, actions
        self._bound: dict[str, KeyBinding] = {}

    def bind(self, wanted: Mapping[str, str]) -> None:
        """Bind these keys in place of those before.

        Keys that napari or something else in this viewer has are left to it; the action keeps the
        key of the table then, where that is free.

        Parameters
        ----------
        wanted : mapping of str to str
            Keys by the names of actions. No keys in the text: none is wanted.
        """
        self.unbind()
        self.problems = []
        taken = taken_keys()
        ours: dict[KeyBinding, str] = {}
        for key in KEYS:
            if key.action not in self._actions:
                continue
            text = wanted.get(key.action, key.keys)
            if text.strip() and not self._bind(key, text, taken, ours) and text != key.keys:
                self._bind(key, key.keys, taken, ours)

    def unbind(self) -> None:
        """Take all keys back."""
        for binding in self._bound.values():
            self._viewer.bind_key(binding, None, overwrite=True)
        self._bound.clear()

    def written(self, action: str) -> str:
        """Write the keys of an action as this system does; nothing where it has none.

        Examples
        --------
        >>> from napari.components import ViewerModel
        >>> KeyRing(ViewerModel(), {}).written("accept")
        ''
        """
        binding = self._bound.get(action)
        return "" if binding is None else written(binding)

    def _bind(
        self, key: Key, text: str, taken: dict[KeyBinding, str], ours: dict[KeyBinding, str]
    ) -> bool:
        """Bind one of them; tell whether that worked."""
        try:
            binding = parse_keys(text)
        except ValueError:
            self._refuse(key, text, "these are no keys. Write them like Ctrl+D")
            return False
        owner = ours.get(binding) or taken.get(binding)
        if owner is not None and str(binding) not in _SHARED:
            self._refuse(key, text, f"they belong to {owner}. Choose others in the preferences")
            return False
        try:
            self._viewer.bind_key(binding, _callback(self._actions[key.action]))
        except ValueError:  # somebody was here first, such as a second dock
            if text != key.keys:
                self._refuse(key, text, "something else in this window uses them")
            return False
        self._bound[key.action] = binding
        ours[binding] = f"'{key.what}'"
        return True

    def _refuse(self, key: Key, text: str, why: str) -> None:
        self.problems.append(f"Keys {text} for '{key.what}' are not used: {why}.")


def _callback(action: Callable[[], Any]) -> Callable[[Any], None]:
    def run(_viewer: Any) -> None:
        action()

    return run
