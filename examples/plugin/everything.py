"""All nuclei of a region without any prompt, by a session on a viewer.

The same task by the library alone is in ``examples/library/everything.py``.
"""

from importlib.resources import files

import numpy as np
from napari.components import ViewerModel
from skimage.io import imread

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")
region = slice(100, 228), slice(200, 328)  # rows, columns; the whole plane when left out

viewer = ViewerModel()
viewer.add_image(image, name="nuclei", contrast_limits=np.percentile(image, (0.1, 99.9)))
session = samhq.annotate(viewer, image="nuclei", model="micro")

found = session.segment_everything(preset="nuclei", spacing_px=24, region=region)
print(f"{len(found)} objects; one session.undo() would take them all back")

# What is wrong is deleted, or reopened and corrected by points like any other object.
session.delete(found[-1])
labels = session.labels.data[region]
session.close()
