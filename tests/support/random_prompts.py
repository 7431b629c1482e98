"""Random prompts for a session and for a plain one, the first half of `test_random_use.py`."""

from __future__ import annotations

from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from napari.components import ViewerModel
from napari.layers import Labels

from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.errors import SamHQError
from napari_samhq.io import recovery
from napari_samhq.session import Session
from napari_samhq.settings import CommitRules
from support.fakes import FakePredictor
from support.plain_session import PlainSession, Thing

numbers = st.integers(0, 999)
pairs = st.tuples(numbers, numbers)
picks = st.integers(0, 7)


class RandomPrompts(RuleBasedStateMachine):
    """Begins a session and a plain one, and gives prompts to both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv(recovery.VARIABLE, self.folder.name)
        self.engine = Engine(ModelSource(load=lambda name, report: FakePredictor(), list=list))
        self.session: Session | None = None
        self.tilted = False  # turned within its planes, which can be seen from one side only

    def teardown(self) -> None:
        if self.session is not None:
            self.session.close()
        self.patch.undo()
        self.folder.cleanup()

    @initialize(stack=st.booleans(), own_labels=st.booleans(), refine=st.booleans())
    def begin(self, stack, own_labels, refine):
        shape = (3, 32, 44) if stack else (32, 44)
        self.image = (np.arange(np.prod(shape)) % 251).astype(np.uint8).reshape(shape)
        labels = np.zeros(shape, dtype=np.uint8 if own_labels else np.int32)
        viewer, layer = self.new_viewer(), None
        if own_labels:
            labels[..., 2:8, 3:9] = 252
            layer = Labels(labels, name="mine")
        self.session = self.new_session(viewer, labels=layer)
        self.session.refine = refine
        self.plain = PlainSession(labels.astype(np.int64), self.session.plane)
        self.base = labels.copy()
        self.rules = CommitRules()

    def new_viewer(self) -> ViewerModel:
        viewer = ViewerModel()
        viewer.add_image(self.image.copy(), name="cells")
        return viewer

    def new_session(self, viewer, **options) -> Session:
        return Session(viewer, viewer.layers["cells"], engine=self.engine, autosave=True, **options)

    # --------------------------------------------------------------------------------- how it is

    @property
    def viewer(self):
        return self.session.viewer

    @property
    def blocked(self) -> bool:
        """Whether no plane is on the screen that could be prompted."""
        rolled = self.plain.plane.axes != tuple(range(self.image.ndim))[-2:]
        return self.viewer.dims.ndisplay == 3 or (self.tilted and rolled)

    @property
    def shape(self) -> tuple:
        return tuple(self.image.shape[axis] for axis in self.plain.plane.axes)

    @property
    def preserve(self) -> bool:
        return bool(self.session.labels.preserve_labels)

    def labels(self) -> np.ndarray:
        return np.array(self.session.labels.data)

    def pixel(self, pair) -> tuple[float, float]:
        return tuple(float(one % length) for one, length in zip(pair, self.shape, strict=True))

    def voxel(self, place) -> tuple[int, ...]:
        ndim = self.image.ndim
        return tuple(n % k for n, k in zip(place[:ndim], self.image.shape, strict=True))

    def point(self, pair) -> tuple[float, float, bool]:
        """A point; those of the same pixel are always of the same kind."""
        row, col = self.pixel(pair)
        return row + 0.25, col - 0.25, (row + 2 * col) % 5 < 4

    def corners(self, pair, size) -> tuple[tuple[float, float], tuple[float, float]]:
        ends = []
        for first, length, side in zip(pair, self.shape, size, strict=True):
            low = first % (length - 1)
            ends.append((low, low + 1 + side % min(length - 1 - low, 15)))
        return tuple((float(a) for a in one) for one in zip(*ends, strict=True))

    def refused(self, action, *arguments) -> None:
        with pytest.raises(SamHQError):
            action(*arguments)

    def put(self, thing: Thing) -> None:
        """Let an object have been begun or redrawn, as one step."""
        empty = not thing.points and thing.outline is None and not thing.reopened
        plain = self.plain
        plain.happen(plain.without(thing.label_id) if empty else plain.with_thing(thing))

    def begun(self) -> Thing:
        """Begin a thing under the id that the session gave to it."""
        label_id = self.session.current.label_id
        assert self.plain.is_free(label_id)
        assert label_id <= np.iinfo(self.session.labels.data.dtype).max
        return Thing(label_id, choice=self.plain.habit)

    def here(self):
        return self.plain.here()[0]

    # ------------------------------------------------------------------------------------ prompts

    @rule(at=pairs)
    def add_point(self, at):
        row, col, positive = self.point(at)
        if self.blocked:
            return self.refused(self.session.add_points, [[row, col]], positive)
        self.session.add_points([[row, col]], positive)
        thing = self.plain.active() or self.begun()
        return self.put(thing.redrawn(points=(*thing.points, (row, col, positive))))

    @rule(at=pairs)
    def draw_point(self, at):
        """As the user does, in the layer."""
        row, col, positive = self.point(at)
        self.session.prompts.positive = positive
        self.session.points.add(self.plain.plane.lift([[row, col]])[0])
        if not self.blocked:
            thing = self.plain.active() or self.begun()
            self.put(thing.redrawn(points=(*thing.points, (row, col, positive))))

    @rule(at=pairs, size=pairs, kind=st.sampled_from(["box", "polygon", "drawn box", "mask"]))
    def add_outline(self, at, size, kind):
        (top, left), (bottom, right) = (tuple(one) for one in self.corners(at, size))
        around = ((top, left), (top, right), (bottom, right), (bottom, left))
        triangle = ((top, left), (bottom, right), (bottom, left))
        session, mask = self.session, np.zeros(self.shape, dtype=bool)
        mask[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
        if kind == "mask" and session.refine:
            return None  # what the model saw takes the mask's place then, which the fake ignores
        act = {
            "box": lambda: session.add_box([top, left, bottom, right]),
            "polygon": lambda: session.add_shape(triangle),
            "drawn box": lambda: session.shapes.add_rectangles(self.plain.plane.lift(around)),
            "mask": lambda: session.add_mask(mask),
        }[kind]
        if self.blocked:
            return act() if kind == "drawn box" else self.refused(act)
        act()
        thing = self.plain.active()
        if thing is None or thing.outline is not None:
            thing = self.begun()
        return self.put(thing.redrawn(outline=(kind, triangle if kind == "polygon" else around)))

    @rule(places=st.lists(st.tuples(pairs, pairs), min_size=1, max_size=3))
    def add_boxes(self, places):
        boxes = [[*a, *b] for a, b in (self.corners(*place) for place in places)]
        if self.blocked:
            return self.refused(self.session.add_boxes, boxes)
        given = self.session.add_boxes(boxes)
        things, _ = self.plain.here()
        for label_id, (top, left, bottom, right) in zip(given, boxes, strict=True):
            assert self.plain.is_free(label_id)
            around = ((top, left), (top, right), (bottom, right), (bottom, left))
            thing = Thing(label_id, outline=("box", around), choice=self.plain.habit)
            things = (*things, thing)
        return self.plain.happen((things, given[-1]))

    @rule(
        bad=st.sampled_from(
            ["add_points", "add_box", "add_boxes", "add_shape", "add_mask", "activate", "choose"]
        )
    )
    def say_nonsense(self, bad):
        nonsense = {
            "add_points": [[np.nan, 1.0]],
            "add_box": [3, 3, 3, 9],
            "add_boxes": [[1, 1, 5, 5], [2, np.inf, 3, 4]],
            "add_shape": [[900, 900], [950, 950], [900, 950]],
            "add_mask": np.zeros((2, 2)),
            "activate": 777,
            "choose": 77,
        }
        self.refused(getattr(self.session, bad), nonsense[bad])

    @precondition(lambda self: len(self.session.points.data))
    @rule(pick=picks, move=st.none() | pairs)
    def change_point(self, pick, move):
        """Select a point in the layer, and remove or move it."""
        layer, plain = self.session.points, self.plain
        index = pick % len(layer.data)
        ids = [int(i) for i in layer.features["object"]]
        number = ids[:index].count(ids[index])
        plane, thing = plain.find(ids[index]) or (None, None)
        if move is not None and plane is not None:
            at = self.point(move)
            at = (*at[:2], thing.points[number][2]) if thing else at
            data = layer.data.copy()
            data[index] = plane.lift([at[:2]])[0]
            layer.data = data
        elif move is None:
            layer.selected_data = {index}
            layer.remove_selected()
        if self.blocked or plane is None:
            return
        points = list(thing.points)
        points[number : number + 1] = [] if move is None else [at]
        if tuple(points) == thing.points:
            return
        redrawn, active = thing.redrawn(points=tuple(points)), plain.here(plane)[1]
        if points or thing.outline is not None or thing.reopened:
            after = plain.with_thing(redrawn, plane)
        else:
            after = plain.without(thing.label_id, plane=plane)
            after = (after[0], active if active != thing.label_id else None)
        plain.happen(after, plane)

    @rule()
    def clear(self):
        if self.blocked:
            return self.refused(self.session.clear)
        self.session.clear()
        thing = self.plain.active()
        if thing and (thing.points or thing.outline is not None):
            return self.put(thing.redrawn(points=(), outline=None))
        return None

    @rule(every=st.booleans())
    def reject(self, every):
        act = self.session.reject_all if every else self.session.reject
        if self.blocked:
            return self.refused(act)
        act()
        things, active = self.plain.here()
        if every and things:
            return self.plain.happen(((), None))
        return self.plain.happen(self.plain.without(active)) if active and not every else None

    @rule(pick=st.none() | picks)
    def activate(self, pick):
        ids = [one.label_id for one in self.here()]
        if pick is not None and not ids:
            return None
        label_id = None if pick is None else ids[pick % len(ids)]
        if self.blocked:
            return self.refused(self.session.activate, label_id)
        self.session.activate(label_id)
        things, _ = self.plain.here()
        return self.plain.set(self.plain.plane, (things, label_id))

    # ------------------------------------------------------------------------------ what is chosen

    @rule(part=st.sampled_from([0, 1, 2]), pick=picks)
    def choose(self, part, pick):
        session, thing = self.session, self.plain.active()
        if self.blocked:
            return self.refused(session.predict)
        if part == 0:
            if thing is None or not thing.says_where:
                return self.refused(session.predict)
            session.predict()
            value = pick % thing.candidates
            session.choose(value)
        else:
            value = (None, ("sam", "hq", "sam+hq")[pick % 3], float(pick % 4 - 1))[part]
            (None, session.choose_output, session.choose_threshold)[part](value)
        return self.plain.choose(thing, part, value)

    @rule(
        overlap=st.sampled_from(["follow layer", "keep", "overwrite"]),
        smallest=st.sampled_from([1, 30]),
        fill=st.booleans(),
        preserve=st.booleans(),
    )
    def set_rules(self, overlap, smallest, fill, preserve):
        self.rules = CommitRules(overlap=overlap, smallest_area=smallest, fill_holes=fill)
        self.session.rules = self.rules
        self.session.labels.preserve_labels = preserve
