"""Fine-tuning of any SAM-HQ model on images of one's own.

The names below are loaded when they are first used: settings and events import no torch.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
