"""Draw ``docs/windows.svg``: how prompts find their windows. Run from the repository's root.

    python docs/make_windows_picture.py

The windows are those that the code chooses, on an image of 4,096 x 6,144 pixels and with a model
that takes 512.
"""

from pathlib import Path

import numpy as np

from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.tiles.windows import Window, Windows

IMAGE = (4096, 6144)
SHRINK = 8  # image pixels per unit of the picture
BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#c05621", "#2f855a", "#8a8f98"


def rectangle(top: float, left: float, height: float, width: float, style: str) -> str:
    """Draw a rectangle given in image pixels."""
    numbers = (left / SHRINK, top / SHRINK, width / SHRINK, height / SHRINK)
    x, y, w, h = (f"{number:.1f}" for number in numbers)
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" {style}/>'


def outline(window: Window, color: str, dash: str = "") -> str:
    """Draw a window."""
    style = f'fill="{color}" fill-opacity="0.08" stroke="{color}" stroke-width="2"'
    style += f' stroke-dasharray="{dash}"' if dash else ""
    return rectangle(window.top, window.left, *window.shape, style)


def words(row: float, col: float, text: str, color: str = "#1a202c") -> str:
    """Write at a place given in image pixels."""
    return (
        f'<text x="{col / SHRINK:.1f}" y="{row / SHRINK:.1f}" fill="{color}" '
        f'font-family="sans-serif" font-size="13">{text}</text>'
    )


def blob(row: float, col: float, high: float, wide: float) -> str:
    """Draw an object."""
    return (
        f'<ellipse cx="{col / SHRINK:.1f}" cy="{row / SHRINK:.1f}" rx="{wide / 2 / SHRINK:.1f}" '
        f'ry="{high / 2 / SHRINK:.1f}" fill="#cbd5e0"/>'
    )


def dot(row: float, col: float, color: str) -> str:
    """Draw a click."""
    return f'<circle cx="{col / SHRINK:.1f}" cy="{row / SHRINK:.1f}" r="4" fill="{color}"/>'


def main() -> None:
    """Write the picture."""
    windows = Windows(IMAGE, 512)
    height, width = IMAGE[0] / SHRINK, IMAGE[1] / SHRINK
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" role="img" aria-label="How prompts find their windows">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    line = f'stroke="{GREY}" stroke-opacity="0.25"'
    parts += [rectangle(0, step, IMAGE[0], 0.5, line) for step in range(0, IMAGE[1], 256)]
    parts += [rectangle(step, 0, 0.5, IMAGE[1], line) for step in range(0, IMAGE[0], 256)]
    parts.append(words(120, 60, "grid of windows at scale 1: half of a window's side", GREY))

    for row, col in ((900, 700), (1010, 830)):  # neighbours that share
        parts += [blob(row, col, 120, 150), dot(row, col, BLUE)]
    shared = windows.first(Prompt([[900, 700]]))
    assert shared == windows.first(Prompt([[1010, 830]]))
    parts += [outline(shared, BLUE)]
    parts += [words(shared.bottom + 130, shared.left, "two clicks, one window, scale 1", BLUE)]

    prompt, found = Prompt([[2600, 900]]), np.array([2594.0, 894, 2606, 906])
    tiny = windows.fitting(windows.first(prompt), prompt, found)
    parts += [blob(2600, 900, 14, 14), outline(tiny, ORANGE), dot(2600, 900, ORANGE)]
    parts += [words(tiny.bottom + 130, tiny.left - 200, "a tiny object, enlarged 4 times", ORANGE)]

    row, col, high, wide = 2060, 4000, 1500, 1600  # an object that does not fit at first
    parts.append(blob(row, col, high, wide))
    first = windows.first(Prompt([[row, col]]))
    larger = windows.larger(first)
    assert larger is not None
    ends = [[row - high / 2, col - wide / 2], [row + high / 2, col + wide / 2]]
    assert larger.holds(ends).all()
    assert not first.holds(ends).any()
    parts += [outline(first, GREEN), outline(larger, GREEN, "6 4"), dot(row, col, GREEN)]
    told = "the mask reaches the edge of its window: again in one"
    parts += [words(larger.bottom + 130, larger.left - 500, told, GREEN)]
    told = "4 times as large, and so on, until it fits"
    parts += [words(larger.bottom + 270, larger.left - 500, told, GREEN)]
    for angle in (-100, -40, 20):  # some of those that follow
        down, across = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        border = windows.around((row + high / 2 * down, col + wide / 2 * across), 1.0)
        parts.append(outline(border, GREEN, "2 3"))
    told = "finer windows along the border"
    parts += [words(larger.top - 60, larger.left, told, GREEN)]
    parts.append("</svg>")
    Path(__file__).with_name("windows.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
