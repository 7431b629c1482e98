"""Run ``python -m napari_samhq.training.micro``, which trains the bundled model."""

import sys

from napari_samhq.training.micro.recipe import main

if __name__ == "__main__":
    sys.exit(main())
