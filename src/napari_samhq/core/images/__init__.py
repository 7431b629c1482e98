"""Images as the model sees them: 8-bit RGB, channels, identity."""

from napari_samhq.core.images.rgb8 import to_rgb8

__all__ = ["to_rgb8"]
