"""Objects followed through the planes of a stack, by a session on a viewer.

The same task by the library alone is in ``examples/library/time_series.py``.
"""

from importlib.resources import files

import numpy as np
from napari.components import ViewerModel
from skimage.io import imread
from skimage.measure import regionprops

import napari_samhq as samhq

data = files("napari_samhq") / "data"
image = imread(data / "nuclei.png")
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)[3:7]

# A stage that drifts by four pixels from one time to the next: time, row, column.
series = np.stack([image[:, 4 * time : 4 * time + 680] for time in range(3)])

viewer = ViewerModel()
viewer.add_image(series, name="nuclei", contrast_limits=np.percentile(image, (0.1, 99.9)))
session = samhq.annotate(viewer, image="nuclei", model="micro")

for time in range(len(series)):
    viewer.dims.set_point(0, time)  # prompts and objects go into the plane that is shown
    session.add_boxes(boxes)
    session.commit_all()  # each object has a label id of its own in each plane
    boxes = [region.bbox for region in regionprops(session.labels.data[time])]

labels = session.labels.data
print(session.objects[["label_id", "plane", "area"]].to_string(index=False))
session.close()
