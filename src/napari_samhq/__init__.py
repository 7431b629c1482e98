"""Segment microscopy images with SAM-HQ: in napari, in scripts and notebooks, from the shell.

The names below are loaded when they are first used, so that ``import napari_samhq`` costs next to
nothing and imports neither torch nor Qt nor napari. The stub beside this file says where each
comes from.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
