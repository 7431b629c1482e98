"""Objects followed through the planes of a stack, by the library.

The same task by a session on a viewer is in ``examples/plugin/time_series.py``.
"""

from importlib.resources import files

import numpy as np
from skimage.io import imread
from skimage.measure import regionprops

import napari_samhq as samhq

data = files("napari_samhq") / "data"
image = imread(data / "nuclei.png")
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)[3:7]

# A stage that drifts by four pixels from one time to the next: time, row, column.
series = np.stack([image[:, 4 * time : 4 * time + 680] for time in range(3)])

# What was found at one time shows where to look at the next.
labels = np.zeros(series.shape, dtype=np.int32)
for time, plane in enumerate(series):
    labels[time] = samhq.segment(plane, boxes=boxes, model="micro")
    boxes = [region.bbox for region in regionprops(labels[time])]
print([f"{np.mean(plane > 0):.2%} of the plane" for plane in labels])
