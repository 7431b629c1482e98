"""Prompts: points, boxes, masks, and shapes turned into them."""
