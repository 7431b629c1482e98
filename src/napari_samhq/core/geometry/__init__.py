"""Coordinate frames, units and planes."""
