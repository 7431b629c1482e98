"""Settings for segmenting everything. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from napari_samhq.errors import ModelError, SettingsError
from napari_samhq.settings import Settings, checked, setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = [
    "DENSE_PRESETS",
    "METHODS",
    "PRESETS",
    "SEEN_DIAMETER_PX",
    "AutomaticSettings",
    "DenseSettings",
    "FindSettings",
    "Method",
    "Search",
    "changed",
]

#: By what objects are found; "auto" takes the dense head of models that have one.
Method: TypeAlias = Literal["auto", "dense", "points"]
METHODS: tuple[Method, ...] = ("auto", "dense", "points")

_SMALLEST_TILE_PX = 16


@checked
class AutomaticSettings(Settings):
    """How everything in an image is found by a grid of points. Lengths and areas are in pixels.

    Raises
    ------
    SettingsError
        If a value is out of its range.

    Notes
    -----
    SAM's own thresholds, a score of 0.88 and a stability of 0.95, would leave next to nothing: the
    sum of SAM's and the HQ logits is flatter at the border, and small models are modest about
    their scores. The defaults are those that separate good from bad masks of the bundled model on
    nuclei, see ``docs/segment-everything.md``.

    Examples
    --------
    >>> AutomaticSettings.preset("nuclei", spacing_px=8).spacing_px
    8
    """

    method: ClassVar[Method] = "points"
    #: Thresholds so low that what they leave out is never wanted, and what can be changed later.
    LOOSE: ClassVar[dict[str, float]] = {"min_score": 0.15, "min_stability": 0.2, "smallest_px": 10}
    FILTERS: ClassVar[frozenset[str]] = frozenset({*LOOSE, "largest_px", "overlap"})

    spacing_px: int = setting(
        24,
        "Spacing of points",
        "Pixels from one point of the grid to the next; half the width of the smallest objects "
        "finds them all. Half the spacing takes four times as long.",
        low=1,
    )
    tile_px: int = setting(
        384,
        "Tile",
        "Side of a tile in pixels. The model sees a tile with its halo at once, resized to its "
        "input, so small tiles show it small objects larger.",
        low=_SMALLEST_TILE_PX,
    )
    halo_px: int = setting(
        64,
        "Halo",
        "How far beyond a tile the model sees: as far as most objects are wide. Wider ones are "
        "looked at once more, from farther away.",
        low=0,
    )
    min_score: float = setting(
        0.5, "Lowest score", "The model's own estimate of how right a mask is.", low=0, high=1
    )
    min_stability: float = setting(
        0.6,
        "Lowest stability",
        "How little a mask must change when the threshold of its logits is moved: the area above "
        "the stability offset, divided by that above its negative.",
        low=0,
        high=1,
    )
    stability_offset: float = setting(
        1.0, "Stability offset", "How far the threshold is moved for the stability.", low=0
    )
    smallest_px: int = setting(50, "Smallest area", "Smaller objects are left out.", low=1)
    largest_px: int = setting(
        100_000, "Largest area", "Larger objects are left out; 0 for no limit.", low=0
    )
    overlap: float = setting(
        0.2,
        "Overlap",
        "Of two masks that share more than this of the smaller one, the better one stays.",
        low=0,
        high=1,
    )
    by_box: bool = setting(
        False,
        "Ask again by box",
        "Ask for each object that a point found once more, by the box around it. Masks are often "
        "better, and it takes longer.",
    )
    one_piece: bool = setting(
        True, "One piece", "Keep the largest piece of each mask, and fill its holes."
    )

    def __post_init__(self) -> None:
        """Refuse sizes that nothing has."""
        _check_sizes(self.smallest_px, self.largest_px)

    def accepts(self, score: float, stability: float, area_px: int) -> bool:
        """Tell whether a mask is good enough, and of a size that an object may have."""
        return (
            score >= self.min_score
            and stability >= self.min_stability
            and area_px >= self.smallest_px
            and not 0 < self.largest_px < area_px
        )

    def loosened(self) -> Self:
        """Give the settings by which to ask, so that others can be chosen by later."""
        loose = {name: min(getattr(self, name), value) for name, value in self.LOOSE.items()}
        return replace(self, overlap=_ANY_OVERLAP, **loose)

    @classmethod
    def preset(cls, name: str = "cells", **changes: Any) -> Self:
        """Start from a preset, and change single values.

        Parameters
        ----------
        name : str
            One of `PRESETS`.
        **changes
            Any setting; None leaves it as it is.

        Raises
        ------
        SettingsError
            If there is no such preset or setting, or a value is out of its range.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        return cls.of({**_of_preset(PRESETS, name), **given}.items())


@checked
class DenseSettings(Settings):
    """How everything in an image is found by the dense head. Lengths and areas are in pixels.

    Raises
    ------
    SettingsError
        If a value is out of its range.

    Examples
    --------
    >>> DenseSettings(diameter=80).fitted(input_size=512, image_shape=(4000, 5000)).tile_px
    1250
    """

    method: ClassVar[Method] = "dense"
    LOOSE: ClassVar[dict[str, float]] = {"min_score": 0.1, "smallest_px": 10}
    FILTERS: ClassVar[frozenset[str]] = frozenset({*LOOSE, "largest_px"})
    overlap: ClassVar[float] = 0.3

    diameter: float = setting(
        0.0,
        "Object size",
        "About how wide objects are, in pixels; 0 for automatic: the model tries, and takes the "
        "scale at which it is surest. Smaller and larger objects are found, too.",
        low=0,
        zero="automatic",
    )
    min_score: float = setting(
        0.35, "How sure", "Less certain objects are left out.", low=0, high=1
    )
    smallest_px: int = setting(20, "Smallest area", "Smaller objects are left out.", low=1)
    largest_px: int = setting(
        0, "Largest area", "Larger objects are left out; 0 for no limit.", low=0
    )
    tile_px: int = setting(
        0, "Tile", "Side of a tile in pixels; 0 for what fits the size of objects.", low=0
    )
    halo_px: int = setting(
        0,
        "Halo",
        "How far beyond a tile the model sees; only where the side of a tile is given.",
        low=0,
    )

    def __post_init__(self) -> None:
        """Refuse sizes that nothing has."""
        _check_sizes(self.smallest_px, self.largest_px)
        if 0 < self.tile_px < _SMALLEST_TILE_PX:
            raise SettingsError(
                f"tile_px is {self.tile_px}; needed is at least {_SMALLEST_TILE_PX}, or 0 for what "
                "fits the size of objects."
            )

    def accepts(self, score: float, stability: float, area_px: int) -> bool:
        """Tell whether a mask is good enough, and of a size that an object may have."""
        del stability
        return (
            score >= self.min_score
            and area_px >= self.smallest_px
            and not 0 < self.largest_px < area_px
        )

    def loosened(self) -> Self:
        """Give the settings by which to look, so that others can be chosen by later."""
        loose = {name: min(getattr(self, name), value) for name, value in self.LOOSE.items()}
        return replace(self, **loose)

    def fitted(self, input_size: int, image_shape: tuple[int, int]) -> Self:
        """Choose tile and halo for a model and an image, unless they are given.

        Parameters
        ----------
        input_size : int
            Side of the square that the model takes.
        image_shape : tuple of two ints
            Height and width in pixels.
        """
        if self.tile_px:
            return self
        scale = 1.0
        if self.diameter:
            scale = min(max(self.diameter / SEEN_DIAMETER_PX, _CLOSEST_SCALE), _FARTHEST_SCALE)
        seen, longest, shortest = scale * input_size, max(image_shape), min(image_shape)
        if longest <= _ONE_LOOK * seen:
            return replace(self, tile_px=longest, halo_px=0)
        # Tiles of one size that fill the image: the last one would cost as much as any.
        tile = math.ceil(longest / math.ceil(longest / (_LARGEST_TILE * seen)))
        halo = math.ceil(max(_HALO * seen, (seen - tile) / 2))
        if tile + 2 * halo < shortest <= _ONE_LOOK * seen:
            halo = math.ceil((shortest - tile) / 2)  # rows of tiles that see the same, for one look
        return replace(self, tile_px=tile, halo_px=halo)


#: Settings of either method.
FindSettings: TypeAlias = AutomaticSettings | DenseSettings

_ANY_OVERLAP = 0.3  # asking does not depend on it: one value gives one plan
SEEN_DIAMETER_PX = 30
"""Width of objects in the model's input, in its pixels, at the scale that fits them."""

_CLOSEST_SCALE, _FARTHEST_SCALE = 1 / 4, 16.0
# Shares of the input at the scale that fits. Tiles are about as large as it, and see a little
# more: four of them fill 1,024 x 1,024 pixels.
_HALO, _LARGEST_TILE, _ONE_LOOK = 0.1, 1.05, 1.15


def _check_sizes(smallest_px: int, largest_px: int) -> None:
    if 0 < largest_px < smallest_px:
        raise SettingsError(
            f"The largest area is {largest_px} px and the smallest {smallest_px} px, so that no "
            "object is left. Set the largest to 0 for no limit."
        )


#: What the presets change; everything else is as in `AutomaticSettings`.
PRESETS: dict[str, dict[str, Any]] = {
    "cells": {},
    "nuclei": {"spacing_px": 12, "tile_px": 256, "halo_px": 64, "smallest_px": 30},
    "thin": {"spacing_px": 16, "smallest_px": 60, "largest_px": 0, "one_piece": False},
}

#: The same for the dense head, which finds objects of all sizes and shapes alike.
DENSE_PRESETS: dict[str, dict[str, Any]] = {
    "cells": {},
    "nuclei": {},
    "thin": {},
}


@dataclass(frozen=True)
class Search:
    """What is to be found and by which method; the settings depend on whether the model can.

    Attributes
    ----------
    method : {"auto", "dense", "points"}
        "auto" takes the dense head where the model has one, unless a setting is given that only
        points have.
    preset : str
        One of `PRESETS`.
    settings : AutomaticSettings or DenseSettings, optional
        All settings, instead of a preset; they tell the method.
    changes : dict
        Settings that differ; None leaves one as it is.

    Examples
    --------
    >>> Search().settings_for(finds_objects=True).method
    'dense'
    >>> Search(changes={"spacing_px": 8}).settings_for(finds_objects=True).method
    'points'
    """

    method: Method = "auto"
    preset: str = "cells"
    settings: FindSettings | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings_for(self, *, finds_objects: bool) -> FindSettings:
        """Choose the method, and give its settings.

        Parameters
        ----------
        finds_objects : bool
            Whether the model that finds has a dense head.

        Raises
        ------
        SettingsError
            If there is no such method, preset or setting, or a value is out of its range.
        ModelError
            If the dense head is wanted of a model that has none.
        """
        changes = {name: value for name, value in self.changes.items() if value is not None}
        if self._takes_dense(finds_objects, changes):
            if not finds_objects:
                raise ModelError(
                    "This model has no dense head, so it finds objects by points only. Use "
                    "method='points', or let another model find them: find='micro'."
                )
            if self.settings is not None:
                return changed(self.settings, changes)
            return DenseSettings.of({**_of_preset(DENSE_PRESETS, self.preset), **changes}.items())
        diameter = changes.pop("diameter", None)
        if diameter:  # points half as far apart as objects are wide find them all
            changes = {"spacing_px": max(1, round(diameter / 2))} | changes
        if self.settings is not None:
            return changed(self.settings, changes)
        return AutomaticSettings.preset(self.preset, **changes)

    def _takes_dense(self, finds_objects: bool, changes: Mapping[str, Any]) -> bool:
        if self.method not in METHODS:
            raise SettingsError(
                f"There is no method {self.method!r}. Choose one of {', '.join(METHODS)}."
            )
        if self.settings is not None:
            if self.method not in ("auto", self.settings.method):
                raise SettingsError(
                    f"method={self.method!r} and {type(self.settings).__name__} do not belong "
                    "together. Leave the method away, or give settings of the other class."
                )
            return self.settings.method == "dense"
        if self.method != "auto":
            return self.method == "dense"
        dense = {one.name for one in DenseSettings.described()}
        points = {one.name for one in AutomaticSettings.described()}
        return finds_objects and not changes.keys() & (points - dense)


def changed(settings: FindSettings, changes: Mapping[str, Any]) -> FindSettings:
    """Give settings with other values of some.

    Raises
    ------
    SettingsError
        If there is no such setting, or it cannot have the value.

    Examples
    --------
    >>> changed(DenseSettings(), {"min_score": 0.7}).min_score
    0.7
    """
    return type(settings).of({**dict(settings.pairs()), **changes}.items())


def _of_preset(presets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in presets:
        raise SettingsError(f"There is no preset {name!r}. Choose one of {', '.join(presets)}.")
    return presets[name]
