"""Tools that know nothing of segmentation: files, caches, hashes, progress bars."""
