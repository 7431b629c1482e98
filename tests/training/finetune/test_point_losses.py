import torch

from napari_samhq.training.finetune.point_losses import at_points, point_loss, uncertain_points


def test_places_are_read_at_any_resolution():
    ramp = (torch.arange(8).float() + 0.5)[None, None, None].expand(1, 1, 8, 8) / 8
    finer = (torch.arange(32).float() + 0.5)[None, None, None].expand(1, 1, 32, 32) / 32
    places = torch.tensor([[[0.25, 0.1], [0.5, 0.9], [0.7, 0.5]]])
    for picture in (ramp, finer):
        assert torch.allclose(at_points(picture, places)[0, 0], places[0, :, 0], atol=1e-6)


def test_most_points_lie_on_the_border_of_the_mask():
    cols = torch.arange(64).float()
    logits = (cols - 20)[None, None, None].expand(1, 1, 64, 64)  # zero along a line
    generator = torch.Generator().manual_seed(0)
    box = torch.tensor([[20 / 64, 0.25, 0.75, 0.75]])
    places = uncertain_points(logits, box, generator, count=400)
    assert places.shape == (1, 400, 2)
    assert ((places >= 0) & (places <= 1)).all()
    distance = (places[0, :, 0] * 64 - 20.5).abs()
    assert (distance < 8).float().mean() > 0.7
    assert (distance > 16).any()  # and some anywhere


def test_small_objects_get_their_points_too():
    logits = torch.full((1, 1, 64, 64), -9.0)
    box = torch.tensor([[0.5, 0.5, 0.52, 0.52]])
    places = uncertain_points(logits, box, torch.Generator().manual_seed(0), count=400)
    near = ((places[0] - 0.51).abs() < 0.05).all(1)
    assert near.float().mean() > 0.3


def test_the_loss_falls_as_the_mask_gets_better():
    truth = (torch.arange(100) < 40).float()[None, None]
    good, bad = (2 * truth - 1) * 6, (1 - 2 * truth) * 6
    losses = point_loss(torch.cat([good, good * 0, bad], dim=1), truth)[0]
    assert losses[0] < 0.02 < losses[1] < losses[2]
