"""Training of the bundled model: data, synthetic images, batches, trainer, recipe."""
