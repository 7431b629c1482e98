"""Tiles, windows and blocks of large images, and stitching across tiles."""
