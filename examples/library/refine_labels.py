"""Better outlines for labels that another method made, by the library.

The same task by a session on a viewer is in ``examples/plugin/refine_labels.py``.
"""

from importlib.resources import files

import numpy as np
from skimage.filters import gaussian, threshold_otsu
from skimage.io import imread
from skimage.measure import label, regionprops

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")

# Any labels will do: here pieces above a threshold. Six of them are refined.
smooth = gaussian(image, 2)
rough = label(smooth > threshold_otsu(smooth)).astype(np.int32)
rough[rough > 6] = 0

predictor = samhq.Predictor(samhq.load_model("micro"))
embedding = predictor.embed(image)

# Each object keeps its number. Its mask and the box around it are the prompt; a mask alone would
# say too little.
found = regionprops(rough)
prompts = [samhq.Prompt(box=one.bbox, mask=rough == one.label) for one in found]
labels = np.zeros_like(rough)
for one, prediction in zip(found, predictor.predict_many(embedding, prompts), strict=True):
    labels[prediction.mask & (labels == 0)] = one.label
print(f"areas before: {np.bincount(rough.ravel())[1:]}, after: {np.bincount(labels.ravel())[1:]}")
