import pytest
import torch

from napari_samhq.model.dense_head import DenseMaps
from napari_samhq.model.mask_decoder import DecodedMasks
from napari_samhq.training.adam import AdamW
from napari_samhq.training.dense_targets import dense_targets
from napari_samhq.training.losses import (
    box_weight,
    click_loss,
    dense_loss,
    mask_loss,
    prompt_loss,
    ranking_loss,
    soft_iou,
)
from napari_samhq.training.micro.queries import QueryHead
from napari_samhq.training.simulate import (
    clicks_in,
    corrective_clicks,
    jitter_boxes,
    rough_masks,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def _regions(count=24, size=32):
    torch.manual_seed(1)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(count, 1, size, size), 7, 1, 3)[:, 0]
    return smooth > 0.1


def test_clicks_lie_in_their_region(generator):
    region = _regions()
    for _ in range(5):
        points = clicks_in(region, generator)
        cells = points // 2
        assert region[torch.arange(len(region)), cells[:, 1], cells[:, 0]].all()


def test_a_corrective_click_lies_where_the_mask_is_wrong(generator):
    target, mask = _regions(), _regions().roll(5, dims=2)
    points, labels = corrective_clicks(mask, target, generator)
    cells = points // 2
    index = torch.arange(len(target))
    assert (mask ^ target)[index, cells[:, 1], cells[:, 0]].all()
    assert torch.equal(labels.bool(), target[index, cells[:, 1], cells[:, 0]])


def test_where_nothing_is_wrong_the_click_confirms_the_object(generator):
    target = _regions()
    points, labels = corrective_clicks(target, target, generator)
    cells = points // 2
    assert labels.all()
    assert target[torch.arange(len(target)), cells[:, 1], cells[:, 0]].all()


def test_an_empty_region_does_not_stop_training(generator):
    points = clicks_in(torch.zeros(2, 16, 16, dtype=torch.bool), generator)
    assert ((points >= 0) & (points < 32)).all()


def test_jittered_boxes_stay_boxes_inside_the_crop(generator):
    boxes = torch.tensor([[0.0, 0, 3, 3], [10, 10, 11, 11], [0, 0, 63, 63], [30, 2, 60, 50]])
    for _ in range(50):
        moved = jitter_boxes(boxes, 64, generator)
        assert (moved[:, 2:] > moved[:, :2]).all()
        assert moved.min() >= 0
        assert moved.max() <= 64
        assert (moved - boxes).abs().max() <= 20


def test_simulated_users_repeat():
    one, two = (torch.Generator().manual_seed(3) for _ in range(2))
    target = _regions()[:, None].float()
    assert torch.equal(rough_masks(target, None, one), rough_masks(target, None, two))
    assert torch.equal(clicks_in(target[:, 0] > 0, one), clicks_in(target[:, 0] > 0, two))


def _square():
    target = torch.zeros(1, 1, 32, 32)
    target[..., 10:16, 12:20] = 1
    return target


def test_weights_sum_to_one_and_prefer_the_box():
    weight = box_weight(_square())
    assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    assert weight[0, 0, 12, 15] > 2 * weight[0, 0, 30, 1]


def test_mask_loss_falls_as_the_mask_gets_better():
    target = _square()
    weight = box_weight(target)
    perfect, shifted, empty = (
        float(mask_loss(20 * (mask - 0.5), target, weight))
        for mask in (target, target.roll(3, dims=3), target * 0)
    )
    assert perfect < 0.01 < shifted < empty


def test_soft_iou_counts_cells():
    target = _square()
    half = torch.full_like(target, -1.0)
    half[..., 10:13, 12:20] = 1
    assert float(soft_iou(half, target)) == pytest.approx(0.5)


def test_only_the_best_candidate_is_trained():
    target = _square()
    sam = torch.zeros(1, 4, 32, 32)
    sam[:, 2] = (target[:, 0] - 0.5) * 4  # candidate 2 is the best
    sam.requires_grad_()
    hq = torch.zeros(1, 1, 32, 32)
    prompt_loss(
        DecodedMasks(sam, hq, torch.zeros(1, 4)), target, ambiguous=torch.tensor([True])
    ).loss.backward()
    touched = sam.grad.abs().sum((0, 2, 3)) > 0
    assert touched.tolist() == [True, False, True, False]


def test_a_candidate_learns_to_overrule_the_hq_mask():
    """What the user gets is their sum: where the HQ mask is wrong, the candidate must be strong."""
    target = _square()
    sam = ((target - 0.5) * 8).repeat(1, 4, 1, 1)
    gradients = []
    for hq in (torch.zeros(1, 1, 32, 32), (0.5 - target) * 12):  # silent, and wrong everywhere
        logits = sam.clone().requires_grad_()
        decoded = DecodedMasks(logits, hq, torch.ones(1, 4))
        prompt_loss(decoded, target, ambiguous=torch.tensor([True])).loss.backward()
        gradients.append(float(logits.grad[:, 1:].abs().sum()))
    assert gradients[1] > 3 * gradients[0]


def test_scores_learn_the_iou_of_what_the_user_gets():
    target = _square()
    logits = (target - 0.5) * 20
    sam, hq = logits.repeat(1, 4, 1, 1), torch.zeros_like(logits)
    right = prompt_loss(
        DecodedMasks(sam, hq, torch.ones(1, 4)), target, ambiguous=torch.tensor([False])
    )
    wrong = prompt_loss(
        DecodedMasks(sam, hq, torch.zeros(1, 4)), target, ambiguous=torch.tensor([False])
    )
    assert float(right.iou) == 1.0
    assert float(wrong.loss - right.loss) == pytest.approx(0.5)


def test_pixel_queries_can_be_learned():
    from napari_samhq.model.sam_hq import ImageFeatures

    torch.manual_seed(0)
    head = QueryHead(8, 4)
    target = _square()
    fine = torch.cat([target, 1 - target, torch.zeros(1, 2, 32, 32)], dim=1)
    features = ImageFeatures(torch.zeros(1, 8, 8, 8), fine)
    optimizer = AdamW([{"params": list(head.parameters())}], lr=0.02)
    for _ in range(60):
        index, points = torch.tensor([0]), torch.tensor([[30, 24]])
        loss, iou = head.query_loss(features, index, points, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(iou) == 1.0


def test_a_click_on_the_wrong_side_costs_more_than_one_on_its_own():
    target = _square()
    logits = (target - 0.5) * 8
    inside, outside = torch.tensor([[[30, 24]]]), torch.tensor([[[2, 2]]])
    yes, no = torch.tensor([[1]]), torch.tensor([[0]])
    assert click_loss(logits, inside, yes, 2) < 0.1 < click_loss(logits, inside, no, 2)
    assert click_loss(logits, outside, no, 2) < 0.1 < click_loss(logits, outside, yes, 2)


def test_ranking_asks_only_for_the_order():
    iou = torch.tensor([[0.9, 0.5, 0.1]])
    right = ranking_loss(torch.tensor([[0.6, 0.4, 0.2]]), iou)
    assert right < ranking_loss(torch.tensor([[0.4, 0.6, 0.2]]), iou)
    assert right < ranking_loss(torch.tensor([[0.5, 0.5, 0.5]]), iou)


def test_what_is_not_annotated_costs_nothing():
    labels = torch.zeros(1, 32, 32, dtype=torch.int16)
    labels[:, 4:20, 4:20] = 1
    targets = torch.from_numpy(dense_targets(labels[0].numpy())[None])
    maps = torch.zeros(1, 5, 16, 16)
    everywhere = maps.clone()
    everywhere[..., 11:] = 9.0  # the model sees something where nobody looked

    def loss(maps, complete):
        known = torch.tensor([[[complete]]])
        return float(dense_loss(DenseMaps.of(maps), labels, targets, known))

    assert loss(maps, False) == loss(everywhere, False)
    assert loss(maps, True) < loss(everywhere, True)


def test_a_mask_tells_where_all_is_annotated():
    labels = torch.zeros(1, 32, 32, dtype=torch.int16)
    labels[:, 4:20, 4:20] = 1
    targets = torch.from_numpy(dense_targets(labels[0].numpy())[None])
    known = torch.zeros(1, 32, 32, dtype=torch.bool)
    known[..., :22] = True
    maps, beyond, within = (torch.zeros(1, 5, 16, 16) for _ in range(3))
    beyond[..., 11:] = 9.0
    within[:, :, 12:, :11] = 9.0

    def loss(maps):
        return float(dense_loss(DenseMaps.of(maps), labels, targets, known))

    assert loss(beyond) == loss(maps) < loss(within)


def test_rough_masks_are_hints_and_no_echo():
    target = _square().repeat(64, 1, 1, 1)
    masks = rough_masks(target, None, torch.Generator().manual_seed(0)) > 0
    truth = target > 0.5
    common = (masks & truth).sum((1, 2, 3)) / (masks | truth).sum((1, 2, 3))
    assert common.min() < 0.5 < common.median() < 0.95
