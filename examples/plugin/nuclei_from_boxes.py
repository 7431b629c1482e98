"""Nuclei from boxes, by a session on a viewer.

The dock widget runs the same session. A ``ViewerModel`` is a viewer without a window; with
``napari.Viewer()`` in its place everything below happens on the screen. The same task by the
library alone is in ``examples/library/nuclei_from_boxes.py``.
"""

from importlib.resources import files

import numpy as np
from napari.components import ViewerModel
from skimage.io import imread

import napari_samhq as samhq

data = files("napari_samhq") / "data"
image = imread(data / "nuclei.png")
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)[:10]

viewer = ViewerModel()
# The model sees the contrast that the layer has, so it is set with care.
limits = np.percentile(image, (0.1, 99.9))
viewer.add_image(image, name="nuclei", contrast_limits=limits, scale=(0.65, 0.65), units="um")
session = samhq.annotate(viewer, image="nuclei", model="micro")

session.add_boxes(boxes)  # an object for each; in image pixels, whatever the scale
session.predict_all()  # one batch; shows the previews
session.commit_all()  # writes all of them into session.labels, as one step

labels = session.labels.data
print(session.objects[["label_id", "score", "area"]].to_string(index=False))
session.close()
