"""Training: what fine-tuning and the training of the bundled model share."""
