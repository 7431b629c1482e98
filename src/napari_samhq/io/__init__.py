"""Files: images and prompts in, labels and tables out. Knows neither torch nor napari."""
