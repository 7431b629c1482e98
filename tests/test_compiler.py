"""Torch's compiler stays out of the process of the window.

It exchanges Python's way to evaluate functions for all threads, and its triton brings an LLVM that
does not go together with that of Mesa's GL: a window that is drawn in the same process ends.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

# What the dock has done in its process, and who imports what on the way. An attempt counts, also
# where triton is not installed: who makes it has it on another machine.
LOOK = """
import sys
from importlib.machinery import ModuleSpec

class Watched:
    came = []

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "triton" or name == "torch._dynamo":
            return ModuleSpec(name, self)

    def create_module(self, spec):  # not when it is looked for, which torch does
        self.came.append(spec.name)
        raise ImportError(spec.name)

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Watched())

def look(what):
    there = [name for name in sys.modules if name.partition(".")[0] == "triton"]
    there += [name for name in ("torch._dynamo",) if name in sys.modules]
    assert not there + Watched.came, f"{what} imports {there + Watched.came}"
    print(what)
"""

ASK = """
import numpy as np
import napari_samhq as samhq

model = samhq.load_model("micro")
look("load")
image = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
predictor = samhq.Predictor(model)
embedding = predictor.embed(image)
look("embed")
found = predictor.predict(embedding, points=[[20, 20]], multimask=True)
predictor.predict(embedding, points=[[20, 20], [9, 9]], mask=found.low_res_logits[:1])
look("predict")
predictor.predict_many(embedding, [samhq.Prompt(box=[1, 2, 30, 40]), samhq.Prompt([[20, 20]])])
look("predict_many")
samhq.segment_everything(image, model)
look("everything")
"""

SESSION = """
import numpy as np
from napari.components import ViewerModel
from napari_samhq.session import annotate

viewer = ViewerModel()
viewer.add_image(np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8))
session = annotate(viewer)
session.add_points([[20, 20]])
session.predict()
session.add_points([[30, 30]], positive=False)
session.commit()
session.add_boxes([[2, 2, 30, 30], [40, 40, 60, 60]])
session.commit_all()
session.undo()
look("session")
session.segment_everything()
look("session.segment_everything")
session.close()
"""

LEARN = """
import tempfile
from pathlib import Path

from napari_samhq.errors import TrainingError
from napari_samhq.training.finetune.api import iter_finetune
from napari_samhq.training.finetune.events import Learned
from support.small_tuning import QUICK, discs, write_small_model

images, labels = discs()
with tempfile.TemporaryDirectory() as folder:
    base = write_small_model(Path(folder) / "base")
    for parts in ("hq", "decoder", "encoder"):
        out = Path(folder) / f"{parts}.safetensors"
        settings = QUICK | {"steps": 2, "parts": parts, "rank": 2}
        try:
            for event in iter_finetune(images, labels, base, out=out, **settings):
                if isinstance(event, Learned):
                    look(f"a step of learning ({parts})")
        except TrainingError as error:  # it learned nothing in two steps
            print(error)
        look(f"learning ({parts})")
"""

TRAIN = """
import torch
from napari_samhq.training.adam import AdamW

weight = torch.ones(3, requires_grad=True)
optimizer = AdamW([{"params": [weight]}], weight_decay=0.1)
weight.sum().backward()
optimizer.step()
look("a step of the optimizer")
"""


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param(ASK, id="FM-101-look-ask-everything"),
        pytest.param(SESSION, id="FM-101-session"),
        pytest.param(LEARN, id="FM-101-learn"),
        pytest.param(TRAIN, id="FM-101-optimizer"),
    ],
)
def test_nothing_that_the_window_does_imports_the_compiler(actions):
    done = subprocess.run(
        [sys.executable, "-c", LOOK + actions],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=__file__.rpartition("/")[0],  # for `small_tuning`
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_watch_sees_the_compiler_come():
    theirs = (
        "import torch\n"
        "try: torch.optim.AdamW([torch.ones(1, requires_grad=True)])\n"
        "except ImportError: pass\n"
        "look('theirs')"
    )
    done = subprocess.run(
        [sys.executable, "-c", LOOK + theirs],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert "theirs imports ['torch._dynamo'" in done.stderr
