"""The labels layer of a session: made, checked, written and followed through edits by hand."""
