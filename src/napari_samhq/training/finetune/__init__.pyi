from .api import base_precision, finetune, iter_finetune

__all__ = ["base_precision", "finetune", "iter_finetune"]
