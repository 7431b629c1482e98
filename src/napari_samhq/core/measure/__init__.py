"""Agreement of masks and label images, and uncertainty of single masks."""
