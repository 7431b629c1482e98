"""Nuclei from boxes, by the library.

The same task by the plugin's session, which is what the dock widget runs, is in
``examples/plugin/nuclei_from_boxes.py``.
"""

from importlib.resources import files

import numpy as np
from skimage.io import imread

import napari_samhq as samhq

data = files("napari_samhq") / "data"
image = imread(data / "nuclei.png")  # 520 x 696 pixels, 16 bits
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)[:10]

# Rows and columns everywhere: a box is min_row, min_col, max_row, max_col. All are answered in one
# batch. Box number i becomes the object i + 1.
labels = samhq.segment(image, boxes=boxes, model="micro")
print(f"{labels.max()} nuclei of {np.mean(np.bincount(labels.ravel())[1:]):.0f} pixels on average")
