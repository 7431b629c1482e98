"""Arrays and coordinates: images, prompts, geometry. Knows numpy, but neither torch nor napari."""
