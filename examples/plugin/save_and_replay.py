"""Saving a session and going on with it another day.

It leaves ``nuclei.samhq.json`` in the present folder. ``examples/library/save_and_replay.py`` makes
the same objects from that file, without a viewer.
"""

from importlib.resources import files

import numpy as np
from napari.components import ViewerModel
from skimage.io import imread

import napari_samhq as samhq

data = files("napari_samhq") / "data"
image = imread(data / "nuclei.png")
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)[3:7]
limits = np.percentile(image, (0.1, 99.9))

viewer = ViewerModel()
viewer.add_image(image, name="nuclei", contrast_limits=limits)
session = samhq.annotate(viewer, image="nuclei", model="micro")
session.add_boxes(boxes)
session.commit_all()
session.save("nuclei.samhq.json", overwrite=True)
session.close()

# Another day, another viewer: objects, prompts and every step are there.
viewer = ViewerModel()
viewer.add_image(image, name="nuclei", contrast_limits=limits)
session = samhq.open_session("nuclei.samhq.json", viewer)
session.undo()  # even what was done before it was saved can be undone ...
session.redo()  # ... and done again
labels = session.labels.data
print(session.objects[["label_id", "score", "prompts"]].to_string(index=False))
session.close()
