"""Parts of a session, and the members of it that they provide.

:class:`~napari_samhq.session.session.Session` lists its members in one place; what each of them
does stands in the part that has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.session.controller import SessionController

__all__ = ["Part", "PartMethod", "PartProperty"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Part:
    """One group of what a session offers, on the layers, drafts and journal that all share."""

    def __init__(self, controller: SessionController) -> None:
        self.controller = controller
        self.viewer, self.image, self.labels = (
            controller.viewer,
            controller.image,
            controller.labels,
        )
        self.changed = controller.changed
        self._unfinished, self._masks, self._history = (
            controller.unfinished,
            controller.masks,
            controller.history,
        )

    @property
    def plane(self) -> Plane:
        """The plane on the screen; a LayerError says why there is none."""
        return self._unfinished.plane()  # looking must not bring removed layers back


class PartMethod(Generic[P, R]):
    """Method of a session that one of its parts has.

    Parameters
    ----------
    part : str
        Attribute of the session that holds the part.
    method : callable
        The method, as the class of the part has it.
    """

    def __init__(self, part: str, method: Callable[Concatenate[Any, P], R]) -> None:
        self._part, self._method = part, method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, session: None, owner: type) -> Callable[Concatenate[Any, P], R]: ...
    @overload
    def __get__(self, session: object, owner: type) -> Callable[P, R]: ...
    def __get__(self, session: object | None, owner: type) -> Callable[..., R]:
        if session is None:
            return self._method
        found: Callable[P, R] = getattr(getattr(session, self._part), self._method.__name__)
        return found


class PartProperty(Generic[T]):
    """Property of a session that one of its parts has.

    Parameters
    ----------
    part : str
        Attribute of the session that holds the part.
    found : property
        The property, as the class of the part has it.
    """

    def __init__(self, part: str, found: Any) -> None:
        self._part, self._name = part, found.fget.__name__
        self._settable = found.fset is not None
        self.__doc__ = found.__doc__

    @overload
    def __get__(self, session: None, owner: type) -> PartProperty[T]: ...
    @overload
    def __get__(self, session: object, owner: type) -> T: ...
    def __get__(self, session: object | None, owner: type) -> PartProperty[T] | T:
        if session is None:
            return self
        value: T = getattr(getattr(session, self._part), self._name)
        return value

    def __set__(self, session: object, value: Any) -> None:
        if not self._settable:
            raise AttributeError(f"{self._name} of a session can only be read.")
        setattr(getattr(session, self._part), self._name, value)
