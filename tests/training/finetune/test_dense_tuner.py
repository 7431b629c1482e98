from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_samhq as samhq
from napari_samhq.errors import CheckpointError, ModelError
from napari_samhq.training.finetune.dense_tuner import DenseTuner
from napari_samhq.training.finetune.dense_views import dense_places, see_densely
from napari_samhq.training.finetune.examples import checked_examples
from napari_samhq.training.finetune.settings import TuningSettings
from support.small_tuning import discs, write_small_model

SETTINGS = TuningSettings(steps=200, learning_rate=1e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("m") / "small", dense=True)


def views_of(network, images, labels, complete):
    examples, items = checked_examples(images, labels, 4, complete=complete)
    places = dense_places(examples, range(len(examples)), 64, 1, 0)
    return list(see_densely(network, examples, places, items, as_pixels=False, seen={}))


@pytest.fixture
def tuner_on(folder):
    """Make what learns to find the discs of three pictures, and is checked on a fourth."""
    images, labels = discs()

    def make(complete=True, marked=labels):
        network = samhq.load_model(folder).network
        views = views_of(network, images, marked, complete)
        tuner = DenseTuner(network, views[:3], views[3:], SETTINGS)
        tuner.begin()
        return tuner

    return make


def test_it_learns_to_find_all_objects(tuner_on):
    tuner = tuner_on()
    tuner.check()
    for _ in range(200):
        tuner.learn()
    tuner.check()
    assert tuner.is_over
    assert tuner.best_check.iou > tuner.curve[0].iou + 0.2
    found = tuner.calibrate()
    assert found.score > tuner.before.score


def test_calibrated_weights_are_those_that_are_kept(tuner_on):
    tuner = tuner_on()
    for _ in range(40):
        tuner.learn()
    tuner.check()
    plain = {name: value.clone() for name, value in tuner.best.items()}
    found = tuner.calibrate()
    changed = {name for name, value in tuner.best.items() if not torch.equal(value, plain[name])}
    assert changed <= {"dense_head.out.weight", "dense_head.out.bias"}
    tuner.use_best()
    assert tuner._tally([tuner._maps(one) for one in tuner._checked], tuner._checked) == found


def test_scaling_the_last_layer_scales_the_maps(tuner_on):
    tuner = tuner_on()
    (lesson,) = tuner._checked
    before = tuner._maps(lesson)
    tuner._scale(2.0, 1.5)
    after = tuner._maps(lesson)
    torch.testing.assert_close(after[0], 2.0 * before[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after[1:], 1.5 * before[1:], atol=1e-4, rtol=1e-4)


def test_where_nothing_is_known_it_says_what_it_said(tuner_on, monkeypatch):
    """One disc of three is marked in each picture, and of the rest nothing is known."""
    _, labels = discs()
    one = [np.where(drawn == 1, drawn, 0) for drawn in labels]

    def change(keep):
        monkeypatch.setattr("napari_samhq.training.finetune.dense_tuner._KEEP", keep)
        tuner = tuner_on(False, one)
        for _ in range(30):
            tuner.learn()
        changes = []
        for lesson in tuner._lessons:
            elsewhere = ~lesson.known[::2, ::2]
            moved = torch.sigmoid(tuner._maps(lesson)[0]) - torch.sigmoid(lesson.before[0].float())
            changes.append(float(moved.abs()[torch.from_numpy(elsewhere)].mean()))
        return np.mean(changes)

    assert change(3.0) < change(0.0)


def test_going_on_from_a_state_is_as_without_a_break(tuner_on):
    whole, first, second = tuner_on(), tuner_on(), tuner_on()
    for _ in range(10):
        whole.learn()
    for _ in range(5):
        first.learn()
    first.check()
    second.restore(first.state())
    for _ in range(5):
        second.learn()
    assert all(torch.equal(whole._smooth[name], value) for name, value in second._smooth.items())
    assert second.curve == first.curve
    strange = first.state()
    strange["weights"] = {"dense_head.out.bias": torch.zeros(3)}
    with pytest.raises(CheckpointError, match="another training of|of other parts"):
        second.restore(strange)


def test_a_model_without_a_dense_head_cannot_learn_to_find(tmp_path):
    network = samhq.load_model(write_small_model(tmp_path / "plain")).network
    images, labels = discs(1)
    views = views_of(network, images, labels, True)
    with pytest.raises(ModelError, match="no dense head"):
        DenseTuner(network, views, views, replace(SETTINGS, steps=1))
