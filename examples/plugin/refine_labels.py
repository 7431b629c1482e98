"""Better outlines for labels that another method made, by a session on a viewer.

The same task by the library alone is in ``examples/library/refine_labels.py``.
"""

from importlib.resources import files

import numpy as np
from napari.components import ViewerModel
from skimage.filters import gaussian, threshold_otsu
from skimage.io import imread
from skimage.measure import label

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")

# Any labels layer will do that lies over the image: here pieces above a threshold.
smooth = gaussian(image, 2)
rough = label(smooth > threshold_otsu(smooth)).astype(np.int32)

viewer = ViewerModel()
viewer.add_image(image, name="nuclei", contrast_limits=np.percentile(image, (0.1, 99.9)))
layer = viewer.add_labels(rough, name="rough")
session = samhq.annotate(viewer, image="nuclei", model="micro")

given = session.add_labels(layer, ids=range(1, 7))  # they keep their numbers
session.predict_all()
session.commit_all()  # into session.labels; the layer "rough" stays as it is

labels = session.labels.data
before = np.bincount(rough.ravel())[given]
print(f"areas before: {before}, after: {session.objects['area'].to_numpy()}")
session.close()
