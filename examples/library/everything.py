"""All nuclei of a region without any prompt, by the library.

The same task by a session on a viewer is in ``examples/plugin/everything.py``.
"""

from importlib.resources import files

import numpy as np
from skimage.io import imread

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")
region = slice(100, 228), slice(200, 328)  # rows, columns; the whole image when left out

# Points on a grid are asked; half the width of the smallest object is a good distance.
# What becomes black and white is measured when it is left out.
limits = tuple(np.percentile(image, (0.1, 99.9)))
labels = samhq.segment_everything(
    image, preset="nuclei", spacing_px=24, region=region, contrast_limits=limits
)
print(f"{labels.max()} objects in {labels.shape[0]} x {labels.shape[1]} pixels")
