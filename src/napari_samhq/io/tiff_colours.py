"""Colours as TIFF files store them: palettes, inks, luma and chroma, Lab, white as 0, alpha."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Colours"]

# Values of the tag PhotometricInterpretation.
_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _MASK, _INKS, _YCBCR = range(7)
_CIELAB, _ICCLAB = 8, 9
_RAW = (32803, 34892, 51177)  # of cameras, before colours are made of it; and depth
_NAMES = {10: "ITULAB", 32844: "LogL", 32845: "LogLuv"}

_ASSOCIATED_ALPHA, _ALPHA = 1, 2  # of the tag ExtraSamples

# Deflate, LZW and the like keep samples as they are; JPEG and its kin decode to colours.
_PLAIN_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 50000)


@dataclass(frozen=True, eq=False)
class Colours:
    """The way from the samples of a TIFF to pixels as people see them.

    Attributes
    ----------
    photometric : int
        The tag PhotometricInterpretation.
    samples : int
        How many there are for each pixel.
    dtype : dtype
        Of the samples.
    bits : int
        Of a sample, as stored.
    alpha : int
        0, or the kind of the fourth (of grey: the second) sample, as in the tag ExtraSamples.
    palette : ndarray of shape (3, N), uint16, or None
        Colours by number.
    is_plain : bool
        Whether decoding left the samples as the photometric interpretation says.
    """

    photometric: int
    samples: int
    dtype: np.dtype[Any]
    bits: int = 8
    alpha: int = 0
    palette: NDArray[np.uint16] | None = None
    is_plain: bool = True

    @classmethod
    def of(cls, page: Any, *, keep_numbers: bool) -> Colours:
        """Take from a page of a TIFF what says how its colours are stored.

        Parameters
        ----------
        page : tifffile.TiffPage
        keep_numbers : bool
            Whether the numbers are what counts, as of labels: palettes and white as 0 are then
            taken for a matter of display.

        Raises
        ------
        ImageError
            If colours of this kind are not read here.
        """
        photometric = int(page.photometric)
        if keep_numbers and photometric in (_PALETTE, _WHITE_IS_ZERO):
            photometric = _GREY
        if photometric in _NAMES:
            raise ImageError(
                f"The colours of the TIFF are of the kind {_NAMES[photometric]}, which is not read "
                "here. Save it as RGB."
            )
        extra = [int(kind) for kind in page.extrasamples]
        bits = page.bitspersample
        return cls(
            photometric,
            int(page.samplesperpixel),
            np.dtype(page.dtype),
            max(bits) if isinstance(bits, tuple) else int(bits),
            extra[0] if len(extra) == 1 and extra[0] in (_ASSOCIATED_ALPHA, _ALPHA) else 0,
            page.colormap if photometric == _PALETTE else None,
            int(page.compression) in _PLAIN_COMPRESSIONS,
        )

    @property
    def has_colour(self) -> bool:
        """Whether the samples of a pixel are a colour, rather than channels."""
        coloured = (_RGB, _INKS, _YCBCR, _CIELAB, _ICCLAB)
        is_coloured = self.photometric in coloured or self._is_grey_with_alpha
        return self.samples > 1 and (is_coloured or self.palette is not None)

    @property
    def count(self) -> int:
        """Channels of the colours; 0 where pixels are numbers."""
        if self.palette is not None:
            return 3
        if not self.has_colour:
            return 0
        if self._is_grey_with_alpha:
            return 4
        return 3 if self.photometric in (_INKS, _CIELAB, _ICCLAB) else self.samples

    @property
    def result_dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        if self.palette is not None:
            return np.dtype(np.uint8 if self._has_small_palette else np.uint16)
        if self.photometric in (_CIELAB, _ICCLAB) and self.has_colour:
            return np.dtype(np.uint8)
        return self.dtype

    @property
    def is_as_stored(self) -> bool:
        """Whether there is nothing to do."""
        is_scaled = not self.has_colour or self.bits >= 8 * self.dtype.itemsize or self.bits >= 8
        is_known = self.photometric in (_GREY, _RGB, _MASK, *_RAW) or (
            self.photometric == _YCBCR and not self.is_plain
        )
        is_changed = self._is_grey_with_alpha or (self.has_colour and self._alpha_counts)
        return is_known and is_scaled and not is_changed

    def applied(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Make pixels of samples.

        Parameters
        ----------
        samples : ndarray of shape (...,), or (..., samples) where there is more than one

        Returns
        -------
        ndarray of shape (...,) or (..., count), of the type `result_dtype`
        """
        if self.palette is not None:
            # What comes after the number, as alpha, belongs to no colour of the palette.
            return self._from_palette(samples[..., 0] if self.samples > 1 else samples)
        if self.photometric == _WHITE_IS_ZERO:
            return self._inverted(samples)
        if not self.has_colour:
            return samples
        if self._is_grey_with_alpha:
            samples = np.concatenate([samples[..., :1]] * 3 + [samples[..., 1:]], axis=-1)
        elif self.photometric == _INKS:
            samples = self._from_inks(samples)
        elif self.photometric == _YCBCR and self.is_plain:
            samples = self._from_ycbcr(samples)
        elif self.photometric in (_CIELAB, _ICCLAB):
            samples = self._from_lab(samples)
        if self.bits < 8 and samples.dtype == np.uint8:  # black to white of 4 bits is 0 to 15
            samples = (samples.astype(np.uint16) * 255 // (2**self.bits - 1)).astype(np.uint8)
        return self._without_alpha_in_it(samples) if self._alpha_counts else samples

    @property
    def _is_grey_with_alpha(self) -> bool:
        return self.photometric in (_GREY, _WHITE_IS_ZERO) and self.samples == 2 and self.alpha > 0

    @property
    def _alpha_counts(self) -> bool:
        return self.alpha == _ASSOCIATED_ALPHA and self.count == 4 and self.dtype.kind in "uf"

    @property
    def _has_small_palette(self) -> bool:
        """Whether colours have 8 bits: as 16 with both bytes alike, or as old writers put them."""
        assert self.palette is not None
        return bool(np.all(self.palette % 257 == 0) or self.palette.max() <= 255)

    @property
    def _white(self) -> Any:
        return self.dtype.type(1 if self.dtype.kind == "f" else 2**self.bits - 1)

    def _from_palette(self, numbers: NDArray[Any]) -> NDArray[Any]:
        assert self.palette is not None
        table = self.palette.T
        if self._has_small_palette and table.max() > 255:
            table = table // 257
        # Damaged files have numbers beyond the palette.
        index = np.minimum(numbers, len(table) - 1).astype(np.intp)
        colours: NDArray[Any] = table.astype(self.result_dtype)[index]
        return colours

    def _inverted(self, samples: NDArray[Any]) -> NDArray[Any]:
        if samples.dtype == np.bool_:
            return ~samples
        if samples.dtype.kind != "u":  # where white is 0, nobody says what is black
            return samples
        inverted: NDArray[Any] = self._white - samples
        if self._is_grey_with_alpha:
            inverted[..., 1] = samples[..., 1]
            return np.concatenate([inverted[..., :1]] * 3 + [inverted[..., 1:]], axis=-1)
        return inverted

    def _from_inks(self, samples: NDArray[Any]) -> NDArray[Any]:
        if self.samples < 4:  # no black: cyan, magenta and yellow alone
            black = np.zeros((*samples.shape[:-1], 1))
        else:
            black = samples[..., 3:4].astype(float)
        white = float(self._white)
        colours = (white - samples[..., :3].astype(float)) * (white - black) / white
        return self._rounded(colours)

    def _from_ycbcr(self, samples: NDArray[Any]) -> NDArray[Any]:
        luma, blue, red = np.moveaxis(samples[..., :3].astype(float), -1, 0)
        middle = (float(self._white) + 1) / 2 if self.dtype.kind == "u" else 0.0
        blue, red = blue - middle, red - middle
        # ITU-R BT.601, which TIFF takes for granted.
        green = luma - 0.344136 * blue - 0.714136 * red
        colours = np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], axis=-1)
        return np.concatenate([self._rounded(colours), samples[..., 3:]], axis=-1)

    def _from_lab(self, samples: NDArray[Any]) -> NDArray[Any]:
        from skimage.color import lab2rgb

        if self.dtype.kind not in "iu":
            lab = samples[..., :3].astype(float)
        else:
            top = 2.0 ** (8 * self.dtype.itemsize)
            lab = samples[..., :3].astype(float)
            unit = top / 256
            lab[..., 1:] /= unit
            if self.photometric == _ICCLAB:
                lab[..., 1:] -= 128
            else:  # two's complement
                lab[..., 1:] -= 256 * (lab[..., 1:] >= 128)
            lab[..., 0] *= 100 / (top - 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of colours that no screen shows
            colours = lab2rgb(lab)
        return np.asarray(np.clip(colours * 255 + 0.5, 0, 255), dtype=np.uint8)

    def _without_alpha_in_it(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Undo that colours were multiplied by alpha: what is half seen is not half as bright."""
        alpha = samples[..., 3:].astype(float)
        colours = samples[..., :3].astype(float) * float(self._white)
        colours = np.divide(colours, alpha, out=np.zeros_like(colours), where=alpha > 0)
        return np.concatenate([self._rounded(colours), samples[..., 3:]], axis=-1)

    def _rounded(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.dtype.kind == "u":
            values = np.clip(np.rint(values), 0, float(self._white))
        rounded: NDArray[Any] = values.astype(self.dtype)
        return rounded
