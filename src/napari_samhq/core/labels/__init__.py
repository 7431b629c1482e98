"""Label images: ids, index of objects, edits, sparse and run-length forms."""
