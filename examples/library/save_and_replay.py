"""The objects of a saved session once more, without a viewer.

Run ``examples/plugin/save_and_replay.py`` first, in the same folder: it saves the session.
"""

from importlib.resources import files

import numpy as np
from skimage.io import imread

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")

# By the model of the session the labels are the same, bit by bit. Another one gets the same
# prompts: model="vit_b", for example, which is downloaded once.
labels = samhq.replay("nuclei.samhq.json", image, model="micro")
print(f"{labels.max()} objects, {np.count_nonzero(labels)} pixels")
