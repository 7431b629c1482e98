"""Nuclei from clicks, and a correction, by a session on a viewer.

The same task by the library alone is in ``examples/library/nuclei_from_points.py``.
"""

from importlib.resources import files

import numpy as np
from napari.components import ViewerModel
from skimage.io import imread

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")
clicks = [(29, 553), (30, 624), (35, 233), (26, 484)]  # row, column

viewer = ViewerModel()
viewer.add_image(image, name="nuclei", contrast_limits=np.percentile(image, (0.1, 99.9)))
session = samhq.annotate(viewer, image="nuclei", model="micro")

for click in clicks:
    session.add_points([click])
    session.predict()  # a click may mean a part, the whole or a group: see session.candidates
    session.choose(0)  # the best one, which is what is shown without being asked
    session.commit()

# The last one again: its click comes back, and the nucleus below it is another one.
session.reopen(4)
session.add_points([(54, 502)], positive=False)
session.commit()

labels = session.labels.data
print([f"{score:.2f}" for score in session.objects["score"]])
session.close()
