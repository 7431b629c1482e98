"""Whole images of any size: a plan, repeatable tile tasks, and merging into one result."""
