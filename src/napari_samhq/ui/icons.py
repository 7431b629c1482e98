"""Little pictures drawn here, so that they have the colours of the layers and fit every theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["cross_icon", "disc_icon", "picture_icon", "swatch"]

_FRAME, _FRAME_RGB = 3, (86, 180, 233)  # sky blue of Okabe and Ito
_SIDE = 32  # drawn larger than shown, for screens of high resolution


def disc_icon(color: str) -> QIcon:
    """Draw the symbol of a point on the object."""
    pixmap, painter = _canvas()
    painter.setBrush(QColor(color))
    painter.setPen(QPen(QColor("white"), 3))
    painter.drawEllipse(QRectF(5, 5, _SIDE - 10, _SIDE - 10))
    painter.end()
    return QIcon(pixmap)


def cross_icon(color: str) -> QIcon:
    """Draw the symbol of a point beside the object."""
    pixmap, painter = _canvas()
    middle, reach = _SIDE / 2, _SIDE / 2 - 4
    for pen in (QPen(QColor("white"), 13), QPen(QColor(color), 8)):
        painter.setPen(pen)
        painter.drawLine(QPointF(middle - reach, middle), QPointF(middle + reach, middle))
        painter.drawLine(QPointF(middle, middle - reach), QPointF(middle, middle + reach))
    painter.end()
    return QIcon(pixmap)


def swatch(color: Sequence[float] | None, side: int = 14) -> QPixmap:
    """Draw a square of a colour (red, green, blue, from 0 to 1); an empty one for None."""
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    if color is None:
        painter.setPen(QColor(128, 128, 128))
        painter.drawRect(0, 0, side - 1, side - 1)
    else:
        painter.fillRect(0, 0, side, side, QColor.fromRgbF(*(float(part) for part in color[:3])))
    painter.end()
    return pixmap


def picture_icon(rgb: NDArray[np.uint8], *, framed: bool = False) -> QIcon:
    """Turn pixels (height, width, 3) into an icon, with a frame where it is the chosen one."""
    height, width = rgb.shape[:2]
    pixels = np.ascontiguousarray(rgb)
    if framed:  # in the picture, because the style of the window marks no pressed tool button
        frame = np.ones((height, width), dtype=bool)
        frame[_FRAME:-_FRAME, _FRAME:-_FRAME] = False
        pixels = np.where(frame[..., np.newaxis], np.array(_FRAME_RGB, dtype=np.uint8), pixels)
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))  # a copy, because Qt does not keep the pixels


def _canvas() -> tuple[QPixmap, QPainter]:
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return pixmap, painter
