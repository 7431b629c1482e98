"""What the README shows in Python runs, from top to bottom, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_python_in_the_readme_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)
    labels, prediction, session = (names[name] for name in ("labels", "prediction", "session"))
    assert labels.shape == names["image"].shape
    assert len(np.unique(labels)) == 11
    assert prediction.mask.any()
    assert session.objects["score"].iloc[0] > 0.6
    session.close()
