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
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)

viewer = ViewerModel()
viewer.add_image(imread(data / "nuclei.png"), name="nuclei", scale=(0.65, 0.65), units="um")
session = samhq.annotate(viewer, image="nuclei", model="micro")

for box in boxes[:10]:
    session.add_box(box)
    session.predict()  # shows a preview
    session.commit()  # writes it into session.labels

# The last one again: open it, correct it by a click beside it, and accept.
session.reopen(10)
session.add_points([[boxes[9][2], boxes[9][3]]], positive=False)
session.commit()

labels = session.labels.data
print(session.objects[["label_id", "score", "area"]].to_string(index=False))
session.close()
