"""Sessions in files: saved, opened, kept at each step, and written from napari's dialogs."""
