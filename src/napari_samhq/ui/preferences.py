"""Preferences of the user, kept among napari's plugin settings.

The groups and names are those of `configurations` in napari.yaml, so that napari's Preferences
show and change them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Preferences"]

_PLUGIN = "napari-samhq"


class Preferences:
    """Settings that outlive the window, in groups; also live in napari's Preferences.

    Where napari does not know the plugin, as in a dock that a script made, they are forgotten
    with the window.

    Examples
    --------
    >>> preferences = Preferences.forgetful()
    >>> preferences.put("dock", "objects_open", True)
    >>> preferences.get("dock", "objects_open", False), preferences.get("dock", "other", 3)
    (True, 3)
    """

    def __init__(self) -> None:
        self._groups: Any = _ask_napari()
        self._own: dict[tuple[str, str], Any] = {}
        self._listeners: list[tuple[str, Callable[[], None]]] = []
        self._connections: list[tuple[Any, Callable[[Any], None]]] = []

    @classmethod
    def forgetful(cls) -> Preferences:
        """Make preferences that nobody else sees, and that nothing keeps."""
        own = cls.__new__(cls)
        own._groups, own._own = None, {}
        own._listeners, own._connections = [], []
        return own

    def get(self, group: str, name: str, default: Any) -> Any:
        """Get what is preferred; `default` where nothing is known."""
        if (group, name) in self._own:
            return self._own[group, name]
        return getattr(getattr(self._groups, group, None), name, default)

    def put(self, group: str, name: str, value: Any) -> None:
        """Keep what is preferred; napari writes it to its folder of settings."""
        settings = getattr(self._groups, group, None)
        if settings is None or not hasattr(settings, name):
            changed = self._own.get((group, name)) != value
            self._own[group, name] = value
            for callback in [one for where, one in self._listeners if changed and where == group]:
                callback()
        elif getattr(settings, name) != value:
            try:
                setattr(settings, name, value)
            except OSError as error:  # it holds in this window; only tomorrow it is forgotten
                from napari.utils.notifications import show_warning

                show_warning(f"This preference cannot be kept: {error}.")

    def listen(self, group: str, callback: Callable[[], None]) -> None:
        """Call back after something of a group changed, here or in napari's Preferences."""
        self._listeners.append((group, callback))
        settings = getattr(self._groups, group, None)
        if settings is None:
            return

        def changed(_event: Any) -> None:
            callback()

        settings.events.connect(changed)
        self._connections.append((settings.events, changed))

    def close(self) -> None:
        """Call nobody back any more."""
        for events, changed in self._connections:
            events.disconnect(changed)
        self._connections.clear()
        self._listeners.clear()


def _ask_napari() -> Any | None:
    from napari.settings import get_plugin_settings

    # Asked for all plugins: naming one that napari does not know is an error.
    return get_plugin_settings().get(_PLUGIN)
