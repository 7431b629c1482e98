"""One channel of a colour image, by the library.

The same task by a session on a viewer is in ``examples/plugin/channels.py``.
"""

from importlib.resources import files

import numpy as np
from skimage.io import imread

import napari_samhq as samhq

tissue = imread(files("napari_samhq") / "data" / "tissue.webp")  # row, column, colour
boxes = [(0, 47, 31, 85), (34, 37, 49, 74), (168, 138, 205, 183)]

# The stain takes away red light, so nuclei are clearest in the red channel.
red = tissue[..., [0, 0, 0]]  # three times the same: grey, as bright as it is
labels = samhq.segment(red, boxes=boxes, model="micro")
print(f"areas in pixels: {np.bincount(labels.ravel())[1:]}")
