"""The dock widget, its keys, and the only thread."""
