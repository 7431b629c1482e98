"""A walk through a viewer with the dock open: whatever becomes of its layers, nothing is raised."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_samhq.errors import SamHQError

numbers = st.integers(0, 99)
LENGTHS = (2, 3, 3, 30, 40)  # of the axes; images have the last ones


class Walk(RuleBasedStateMachine):
    """Does what users do to viewers. All walks are in one window, as its making is slow."""

    def __init__(self, dock) -> None:
        super().__init__()
        self.dock, self.viewer = dock, dock.controller.viewer
        self.viewer.layers.clear()
        self.viewer.dims.ndisplay = 2
        self.see()

    def see(self) -> None:
        QApplication.processEvents()

    def layer(self, pick):
        layers = self.viewer.layers
        return layers[pick % len(layers)] if len(layers) else None

    # ------------------------------------------------------------------------------------- layers

    @rule(ndim=st.integers(2, 5), kind=st.sampled_from(["image", "labels", "points", "coarse"]))
    def add(self, ndim, kind):
        data = np.arange(np.prod(LENGTHS[-ndim:]), dtype=np.uint8).reshape(LENGTHS[-ndim:])
        if kind == "points":
            self.viewer.add_points(np.zeros((1, ndim)))
        elif kind == "labels":
            self.viewer.add_labels(data // 99)
        else:
            self.viewer.add_image(data, scale=[3.0 if kind == "coarse" else 1.0] * ndim)

    @rule(pick=numbers)
    def remove(self, pick):
        if (layer := self.layer(pick)) is not None:
            self.viewer.layers.remove(layer)

    @rule(image=st.booleans())
    def remove_at_once(self, image):
        """Empty the layer list, or all that is not an image, or select all and throw it away."""
        layers = self.viewer.layers
        layers.selection = {one for one in layers if image or not isinstance(one, Image)}
        layers.remove_selected()

    @rule()
    def clear(self):
        self.viewer.layers.clear()

    @rule(ndim=st.integers(2, 5))
    def begin_anew(self, ndim):
        """Clear, and add an image before anything was drawn."""
        self.viewer.layers.clear()
        self.viewer.add_image(np.zeros(LENGTHS[-ndim:]))

    @rule(pick=numbers, place=numbers)
    def move(self, pick, place):
        if len(self.viewer.layers):
            self.viewer.layers.move(pick % len(self.viewer.layers), place % len(self.viewer.layers))

    @rule(pick=numbers, name=st.sampled_from(["", "cells", "image", "cells points"]))
    def rename(self, pick, name):
        if (layer := self.layer(pick)) is not None:
            layer.name = name

    @rule(pick=numbers)
    def select(self, pick):
        self.viewer.layers.selection.active = self.layer(pick)

    @rule(pick=numbers)
    def hide(self, pick):
        if (layer := self.layer(pick)) is not None:
            layer.visible = not layer.visible

    @rule(pick=numbers, factor=st.sampled_from([0.25, 1.0, 7.0]))
    def scale(self, pick, factor):
        if (layer := self.layer(pick)) is not None:
            layer.scale = [factor] * layer.ndim

    # ------------------------------------------------------------------------------ what is shown

    @rule(ndisplay=st.sampled_from([2, 3]))
    def turn_display(self, ndisplay):
        self.viewer.dims.ndisplay = ndisplay

    @rule(by=st.integers(1, 4))
    def roll(self, by):
        order = self.viewer.dims.order
        self.viewer.dims.order = (*order[by % len(order) :], *order[: by % len(order)])

    @rule()
    def transpose(self):
        self.viewer.dims.transpose()

    @rule(axis=numbers, step=numbers)
    def slide(self, axis, step):
        self.viewer.dims.set_current_step(axis % self.viewer.dims.ndim, step % 3)

    # ----------------------------------------------------------------------------------- the dock

    @rule(pick=numbers)
    def choose_image(self, pick):
        images = [one for one in self.viewer.layers if isinstance(one, Image)]
        with suppress(SamHQError):
            if images:
                self.dock.controller.use_image(images[pick % len(images)])

    @rule(
        action=st.sampled_from(
            ["point", "box", "accept", "accept_all", "reject", "undo", "redo", "next_object"]
        )
    )
    def press(self, action):
        if action in ("point", "box"):
            self.dock.controller.use_tool(action)
        else:
            self.dock.commands.act(action)

    @rule(row=numbers, col=numbers)
    def prompt(self, row, col):
        if (session := self.dock.controller.session) is not None:
            with suppress(SamHQError):
                session.add_points([[row % 3, col % 3]])

    @invariant()
    def is_in_one_piece(self):
        self.see()
        session = self.dock.controller.session
        assert self.dock.status.sentence.text()
        if session is not None and not session.closed:
            assert session.image in self.viewer.layers


def walk(dock, examples, steps) -> None:
    limits = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(Walk, dock), settings=limits)


@pytest.mark.filterwarnings("ignore::napari_samhq.errors.SamHQWarning")
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(5, 50, id="FM-103-some-hundred-steps"),
        pytest.param(30, 80, id="FM-103-some-thousand-steps", marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(1800)
def test_no_change_of_a_viewer_raises_anything(bare_dock, examples, steps):
    walk(bare_dock(), examples, steps)


@pytest.mark.filterwarnings("ignore::napari_samhq.errors.SamHQWarning")
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_no_change_of_a_real_window_raises_anything_or_ends_it(open_dock):
    walk(open_dock().dock, 8, 50)


@pytest.mark.parametrize("ndim", [pytest.param(n, id=f"FM-103-{n}-D") for n in (2, 3, 4, 5)])
def test_all_layers_are_thrown_away_and_others_come(open_dock, ndim):
    user = open_dock(np.zeros(LENGTHS[-ndim:], dtype=np.uint8))
    viewer = user.viewer
    user.session.add_points([[1, 1]])
    user.qtbot.wait(50)
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    user.qtbot.wait(50)
    assert not len(viewer.layers)
    for other in (3, 2, 5):
        viewer.add_image(np.zeros(LENGTHS[-other:], dtype=np.uint8))
        user.qtbot.wait(50)
        assert user.session.image in viewer.layers
        viewer.layers.clear()
        viewer.add_image(np.zeros(LENGTHS[-ndim:], dtype=np.uint8))
        user.qtbot.wait(50)
        assert user.session.image in viewer.layers
        viewer.layers.clear()
