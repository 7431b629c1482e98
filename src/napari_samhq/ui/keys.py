"""The keys of the dock: one table, bound while the dock is open, and written on its buttons."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

__all__ = ["KEYS", "Key", "bind_keys", "shown", "unbind_keys"]


@dataclass(frozen=True)
class Key:
    """An action, its keys as napari writes them, and what it does."""

    action: str
    keys: str
    what: str


#: With a modifier, all of them: bare letters and digits belong to napari's layers, and napari asks
#: the active layer before the viewer. Tests hold this table against all of napari's own keys.
KEYS = (
    Key("accept", "Control-D", "Accept the mask"),
    Key("reject", "Shift-Escape", "Reject the object being made"),
    Key("next_object", "Control-Shift-D", "Go on to the next object"),
    Key("undo", "Control-Z", "Undo"),
    Key("redo", "Control-Shift-Z", "Redo"),
    Key("use_point", "Control-1", "Point tool"),
    Key("use_box", "Control-2", "Box tool"),
    Key("flip_polarity", "Control-B", "Switch between object and background"),
    Key("next_candidate", "Control-Right", "Next candidate"),
    Key("previous_candidate", "Control-Left", "Previous candidate"),
)


def shown(action: str) -> str:
    """Write the keys of an action as this system does.

    Examples
    --------
    >>> shown("accept") in ("Ctrl+D", "⌘D")
    True
    """
    keys = next(key.keys for key in KEYS if key.action == action)
    if sys.platform == "darwin":
        from napari.utils.interactions import Shortcut

        return str(Shortcut(keys).platform)
    # In words: the fonts of other systems lack some of the signs.
    return keys.replace("Control", "Ctrl").replace("Escape", "Esc").replace("-", "+")


def bind_keys(viewer: ViewerModel, actions: Mapping[str, Callable[[], Any]]) -> list[str]:
    """Bind the keys of these actions in a viewer.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Where the keys work.
    actions : mapping of str to callable
        What to call, by the names in the table.

    Returns
    -------
    list of str
        The keys that are bound now. Keys that something else in this viewer took before are left
        to it.
    """
    bound = []
    for key in KEYS:
        if key.action in actions:
            try:
                viewer.bind_key(key.keys, _callback(actions[key.action]))
            except ValueError:  # somebody was here first, such as a second dock
                continue
            bound.append(key.keys)
    return bound


def unbind_keys(viewer: ViewerModel, keys: list[str]) -> None:
    """Take back keys that were bound."""
    for one in keys:
        viewer.bind_key(one, None, overwrite=True)
    keys.clear()


def _callback(action: Callable[[], Any]) -> Callable[[Any], None]:
    def run(_viewer: Any) -> None:
        action()

    return run
