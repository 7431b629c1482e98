"""What to look for when everything is to be segmented. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_samhq.errors import SettingsError
from napari_samhq.settings import Settings, setting

if TYPE_CHECKING:
    from typing import Self

__all__ = ["PRESETS", "AutomaticSettings"]


@dataclass(frozen=True)
class AutomaticSettings(Settings):
    """How everything in an image is found. Lengths and areas are in image pixels.

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
        low=16,
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
        """Refuse values that a setting cannot have, and sizes that nothing has."""
        super().__post_init__()
        if 0 < self.largest_px < self.smallest_px:
            raise SettingsError(
                f"The largest area is {self.largest_px} px and the smallest {self.smallest_px} px, "
                "so that no object is left. Set the largest to 0 for no limit."
            )

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
        if name not in PRESETS:
            raise SettingsError(f"There is no preset {name!r}. Choose one of {', '.join(PRESETS)}.")
        given = {key: value for key, value in changes.items() if value is not None}
        return cls.of({**PRESETS[name], **given}.items())


#: What the presets change; everything else is as in `AutomaticSettings`.
PRESETS: dict[str, dict[str, Any]] = {
    "cells": {},
    "nuclei": {"spacing_px": 12, "tile_px": 256, "halo_px": 64, "smallest_px": 30},
    "thin": {"spacing_px": 16, "smallest_px": 60, "largest_px": 0, "one_piece": False},
}
