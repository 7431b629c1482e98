"""Models and embeddings that are kept, jobs, scheduled predictions and replay; knows no napari."""
