"""Linking of objects through planes and through time, and measures of how well it went."""
