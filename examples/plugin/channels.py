"""One channel of a colour image, by a session on a viewer.

The same task by the library alone is in ``examples/library/channels.py``.
"""

from importlib.resources import files

from napari.components import ViewerModel
from skimage.io import imread

import napari_samhq as samhq

tissue = imread(files("napari_samhq") / "data" / "tissue.webp")  # row, column, colour
boxes = [(0, 47, 31, 85), (34, 37, 49, 74), (168, 138, 205, 183)]

viewer = ViewerModel()
viewer.add_image(tissue, name="tissue", rgb=True)
session = samhq.annotate(viewer, image="tissue", model="micro")

# The stain takes away red light, so nuclei are clearest in the red channel. Two channels are seen
# as red and green; None brings back the image as it is on the screen. In a stack, session.channels
# counts along the axis that the image's axis_labels call "c".
session.channels = 0
session.add_boxes(boxes)
session.commit_all()

labels = session.labels.data
print(f"areas in pixels: {session.objects['area'].tolist()}")
session.close()
