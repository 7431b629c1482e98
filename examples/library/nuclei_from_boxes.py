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
boxes = np.loadtxt(data / "nuclei_boxes.csv", delimiter=",", skiprows=1)

# One call. Rows and columns everywhere: a box is min_row, min_col, max_row, max_col.
labels = samhq.segment(image, boxes=boxes, model="micro")
print(f"{labels.max()} nuclei, {np.mean(labels > 0):.0%} of the image")

# Step by step: the image is looked at once, then prompts are quick. Here a box and a correction.
predictor = samhq.Predictor(samhq.load_model("micro"))
embedding = predictor.embed(image)
first = predictor.predict(embedding, box=boxes[0])
corrected = predictor.predict(
    embedding,
    box=boxes[0],
    points=[[boxes[0][2], boxes[0][3]]],  # the lower right corner of the box ...
    point_labels=[0],  # ... is not part of the nucleus
    mask=first.low_res_logits,
)
print(f"one nucleus: {first.mask.sum()} pixels, then {corrected.mask.sum()}")
