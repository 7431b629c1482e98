"""Nuclei from clicks, and a correction, by the library.

The same task by a session on a viewer is in ``examples/plugin/nuclei_from_points.py``.
"""

from importlib.resources import files

import numpy as np
from skimage.io import imread

import napari_samhq as samhq

image = imread(files("napari_samhq") / "data" / "nuclei.png")
clicks = [(29, 553), (30, 624), (35, 233), (26, 484)]  # row, column

# The image is looked at once; after that, prompts are quick.
predictor = samhq.Predictor(samhq.load_model("micro"))
embedding = predictor.embed(image)

# A click may mean a part, the whole or a group: three candidates come, best first.
prompts = [samhq.Prompt(points=[click]) for click in clicks]
predictions = predictor.predict_many(embedding, prompts, multimask=True)

# The last one again: the nucleus below it is another one. The mask so far goes along.
predictions[-1] = predictor.predict(
    embedding,
    points=[clicks[-1], (54, 502)],
    point_labels=[1, 0],
    mask=predictions[-1].low_res_logits[0],
)

labels = np.zeros(image.shape, dtype=np.int32)
for label_id, prediction in enumerate(predictions, start=1):
    labels[prediction.mask & (labels == 0)] = label_id
print([f"{prediction.score:.2f}" for prediction in predictions])
