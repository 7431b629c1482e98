"""Settings, one frozen class per job, one field per setting: default, bounds and help together.

The dock's form, the command line, the manifest (by ``tools/write_manifest.py``) and the record of
how an object was made all read these classes, so that a setting is described once::

    CommitRules        how a mask becomes an object in a labels layer
    SessionSettings    how an annotation session works
    DockSettings       which sections of the dock are open
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import pydantic
from pydantic import ConfigDict, Field, ValidationError

from napari_samhq.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

__all__ = [
    "CommitRules",
    "DockSettings",
    "Mode",
    "Overlap",
    "SessionSettings",
    "Setting",
    "Settings",
    "checked",
    "setting",
]

T = TypeVar("T")

#: Who gets the pixels that another object has already.
Overlap: TypeAlias = Literal["follow layer", "keep", "overwrite"]

#: Whether each object has a value of its own in the labels, or all have the same.
Mode: TypeAlias = Literal["instance", "semantic"]


@dataclass(frozen=True)
class Setting:
    """What is known of one setting.

    Attributes
    ----------
    name : str
        Name of the field.
    kind : type
        bool, int, float or str.
    default : bool, int, float or str
        Value where nothing else is said.
    title : str
        Name for people.
    help : str
        What it does, in one or two sentences.
    low, high : float or None
        Smallest and largest value.
    choices : tuple of str
        The values that it can have; empty for any.
    is_folder : bool
        Whether the text is the path of a folder, or empty.
    zero : str
        What 0 means, in a word; empty where it is a number as any other.
    """

    name: str
    kind: type
    default: Any
    title: str
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    is_folder: bool = False
    zero: str = ""

    @property
    def needed(self) -> str:
        """Say which values it can have."""
        if self.choices:
            return "one of " + ", ".join(map(repr, self.choices))
        names = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
        bounds = [("at least", self.low), ("at most", self.high)]
        words = " and ".join(f"{word} {end:g}" for word, end in bounds if end is not None)
        return names[self.kind] + (f" of {words}" if words else "")


def setting(
    default: Any,
    title: str,
    help: str,  # noqa: A002 - the word that everybody looks for
    *,
    low: float | None = None,
    high: float | None = None,
    is_folder: bool = False,
    zero: str = "",
) -> Any:
    """Describe a field of a class of settings; choices are read from its type."""
    extra: dict[str, Any] = {"low": low, "high": high, "is_folder": is_folder, "zero": zero}
    return Field(default, title=title, description=help, ge=low, le=high, json_schema_extra=extra)


@typing.dataclass_transform(frozen_default=True)
def checked(cls: type[T]) -> type[T]:
    """Make a frozen dataclass of a class of settings: pydantic checks, errors are one line."""
    made: Any = pydantic.dataclasses.dataclass(frozen=True, config=_STRICT)(cls)
    initialise: Any = made.__init__

    def __init__(self: Settings, *args: Any, **values: Any) -> None:
        try:
            initialise(self, *args, **values)
        except ValidationError as error:
            raise self._in_words(error) from None

    made.__init__ = __init__
    return typing.cast("type[T]", made)


_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Settings:
    """Base of the classes of settings: lists fields, and goes to and from pairs."""

    @classmethod
    def described(cls) -> tuple[Setting, ...]:
        """List the settings in the order in which people see them.

        Examples
        --------
        >>> [one.name for one in CommitRules.described()][:2]
        ['overlap', 'smallest_area']
        """
        types = typing.get_type_hints(cls)
        described = []
        for one in fields(cls):  # type: ignore[arg-type]  # each class below is a dataclass
            said: Any = one.default  # what `setting` gave
            choices = typing.get_args(types[one.name])
            kind = str if choices else types[one.name]
            words = (said.title, said.description)
            extra = said.json_schema_extra
            described.append(
                Setting(one.name, kind, said.default, *words, choices=choices, **extra)
            )
        return tuple(described)

    def pairs(self) -> tuple[tuple[str, Any], ...]:
        """Name and value of each setting, to keep with what was made by them."""
        return tuple((one.name, getattr(self, one.name)) for one in fields(self))  # type: ignore[arg-type]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Any]]) -> Self:
        """Make settings of names and values; those that are left out get their default.

        Raises
        ------
        SettingsError
            If there is no setting of such a name, or it cannot have the value.

        Examples
        --------
        >>> CommitRules.of([("fill_holes", True)]).fill_holes
        True
        """
        return cls(**dict(pairs))

    @classmethod
    def _in_words(cls, error: ValidationError) -> SettingsError:
        """Say in one line which setting is wrong, and what it needs."""
        first = error.errors(include_url=False)[0]
        if first["type"] == "value_error":  # of `__post_init__`
            return typing.cast("SettingsError", first["ctx"]["error"])
        described = {one.name: one for one in cls.described()}
        name = str(first["loc"][0])
        if name not in described:
            known = ", ".join(described)
            return SettingsError(f"There is no setting {name!r}. Those of {cls.__name__}: {known}.")
        needed = described[name].needed
        return SettingsError(f"The setting {name!r} is {first['input']!r}; needed is {needed}.")


@checked
class CommitRules(Settings):
    """How a mask becomes an object in a labels layer.

    Examples
    --------
    >>> rules = CommitRules(smallest_area=20, keep_largest=True)
    >>> rules.mode, rules.overwrites(preserve_labels=True)
    ('instance', False)
    >>> CommitRules(smallest_area=-1)
    Traceback (most recent call last):
    ...
    napari_samhq.errors.SettingsError: The setting 'smallest_area' is -1; needed is a whole number
    of at least 1.
    """

    overlap: Overlap = setting(
        "follow layer",
        "Where objects overlap",
        "Who gets pixels that another object has: 'keep' leaves them to it, 'overwrite' takes "
        "them, 'follow layer' does as 'preserve labels' of the labels layer says.",
    )
    smallest_area: int = setting(
        1,
        "Smallest area",
        "Objects of fewer pixels are refused when they are accepted.",
        low=1,
    )
    fill_holes: bool = setting(False, "Fill holes", "Holes in the mask become part of the object.")
    keep_largest: bool = setting(
        False,
        "Keep the largest piece",
        "Of a mask in several pieces only the largest stays; if positive points lie on some of "
        "them, the largest of those.",
    )
    mode: Mode = setting(
        "instance",
        "Values",
        "'instance' gives each object a value of its own in the labels layer; 'semantic' gives all "
        "the same, for a class such as 'nucleus'.",
    )
    semantic_value: int = setting(
        1, "Value of the class", "What is written in the mode 'semantic'.", low=1
    )

    def overwrites(self, *, preserve_labels: bool) -> bool:
        """Whether an object takes pixels from others in a layer that preserves labels or not."""
        return self.overlap == "overwrite" or (
            self.overlap == "follow layer" and not preserve_labels
        )

    def value(self, label_id: int) -> int:
        """Tell what is written into the labels for an object."""
        return self.semantic_value if self.mode == "semantic" else label_id


@checked
class SessionSettings(Settings):
    """How an annotation session works.

    Examples
    --------
    >>> SessionSettings().model
    'micro'
    """

    model: str = setting(
        "micro", "Model", "Name of a model, or path of its weights. 'micro' is bundled."
    )
    device: str = setting(
        "auto", "Device", "'auto' takes the fastest one that is there; or 'cpu', 'cuda', 'mps'."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "Precision",
        "Of the part of the model that looks at the image. 'auto' takes what the device is fast "
        "and exact with.",
    )
    embeddings: str = setting(
        "",
        "Keep embeddings in",
        "Folder for what the model saw of images, so that they need not be looked at again "
        "tomorrow; 'napari-samhq embed' fills one ahead of time. Empty for memory only.",
        is_folder=True,
    )
    refine: bool = setting(
        True,
        "Refine the mask",
        "A further point corrects the mask that is shown, instead of beginning anew.",
    )
    accept_on_next_click: bool = setting(
        False,
        "Accept on next click",
        "A positive point beside the mask that is shown accepts it and begins the next object.",
    )
    autosave: bool = setting(
        True,
        "Save as I work",
        "Keeps each step in a file, so that nothing is lost if the program or the machine stops.",
    )


@checked
class DockSettings(Settings):
    """Which sections of the dock are open.

    Examples
    --------
    >>> DockSettings().objects_open
    False
    """

    objects_open: bool = setting(False, "Show the table of objects", "")
    refine_open: bool = setting(False, "Show 'From a Labels layer'", "")
    settings_open: bool = setting(False, "Show 'Output and settings'", "")
