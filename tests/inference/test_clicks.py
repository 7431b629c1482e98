from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.io import imread

from napari_samhq.inference.clicks import obey_clicks
from napari_samhq.inference.predictor import Predictor
from napari_samhq.model import SamHQModel


def sample_image():
    return imread(files("napari_samhq") / "data" / "nuclei.png")


def smooth(seed, masks=1):
    torch.manual_seed(seed)
    noise = torch.randn(1, masks, 64, 64)
    return 6 * torch.nn.functional.avg_pool2d(noise, 9, 1, 4)


def enlarged(logits, stride=2):
    return torch.nn.functional.interpolate(logits, scale_factor=stride, mode="bilinear")


@given(seed=st.integers(0, 500), row=st.floats(0, 127), col=st.floats(0, 127), label=st.booleans())
def test_a_clicked_pixel_lies_on_its_side(seed, row, col, label):
    point = torch.tensor([[[col, row]]])
    obeyed = obey_clicks(smooth(seed, 3), point, torch.tensor([[int(label)]]), 2)
    picture = enlarged(obeyed)[0, :, round(row), round(col)]
    assert ((picture > 0) == label).all()


@given(seed=st.integers(0, 500), row=st.integers(0, 127), col=st.integers(0, 127))
def test_what_is_far_from_the_click_stays(seed, row, col):
    logits = smooth(seed)
    obeyed = obey_clicks(logits, torch.tensor([[[col, row]]]), torch.tensor([[1]]), 2)
    rows, cols = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    far = torch.hypot(rows - row / 2, cols - col / 2) > 6
    assert torch.equal(obeyed[0, 0][far] > 0, logits[0, 0][far] > 0)


def test_what_is_right_already_is_the_same_tensor():
    logits = torch.full((2, 3, 16, 16), 5.0)
    points, labels = torch.zeros(2, 1, 2), torch.ones(2, 1, dtype=torch.long)
    assert obey_clicks(logits, points, labels, 2) is logits


def test_padding_points_change_nothing():
    logits = torch.full((1, 1, 16, 16), -5.0)
    for label in (-1, -10):
        assert obey_clicks(logits, torch.zeros(1, 1, 2), torch.tensor([[label]]), 2) is logits


def test_each_prompt_and_each_mask_is_mended_by_itself():
    logits = torch.stack([torch.full((16, 16), -3.0), torch.full((16, 16), 3.0)])[None]
    both = torch.cat([logits, logits])
    points = torch.tensor([[[8.0, 8.0]], [[20.0, 20.0]]])
    obeyed = obey_clicks(both, points, torch.tensor([[1], [0]]), 2)
    assert (obeyed[0, 0] > 0).any()
    assert torch.equal(obeyed[0, 1], both[0, 1])
    assert torch.equal(obeyed[1, 0], both[1, 0])
    assert (obeyed[1, 1] < 0).any()


def test_the_threshold_is_what_clicks_are_brought_past():
    logits = torch.full((1, 1, 16, 16), 1.0)
    point = torch.tensor([[[9.0, 9.0]]])
    assert (obey_clicks(logits, point, torch.tensor([[1]]), 2, threshold=2.0) > 2).any()


@pytest.mark.parametrize("obeys", [True, False])
def test_models_obey_only_where_their_configuration_says_so(obeys):
    from napari_samhq.checkpoints import load_model

    network = load_model("micro", device="cpu").network
    model = SamHQModel(network.config.from_dict(network.config.to_dict() | {"obey_clicks": obeys}))
    model.load_state_dict(network.state_dict())
    predictor = Predictor(model)
    embedding = predictor.embed(sample_image())
    # Clicks that no reasonable mask obeys: a chessboard.
    rows, cols = (n.ravel() for n in np.mgrid[20:180:16, 20:180:16])
    points = np.column_stack([rows, cols])
    labels = ((rows + cols) // 16) % 2
    mask = predictor.predict(embedding, points=points, point_labels=labels).mask
    right = mask[rows, cols] == labels
    assert right.all() == obeys
