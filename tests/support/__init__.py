"""Fakes, random work and helpers that tests share."""
