"""Masks of single objects: cropped arrays, runs, RLE, polygons, cleaning."""
