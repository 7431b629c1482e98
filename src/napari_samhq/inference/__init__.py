"""From an image and prompts to masks: embeddings, predictions and the predictor that makes both."""
