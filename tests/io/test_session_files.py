"""What a session file says comes back exactly; what a stranger writes into one does no harm."""

from __future__ import annotations

import contextlib
import copy
import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.images.identity import ImageIdentity, content_digest
from napari_samhq.core.labels.sparse_labels import SparseLabels, base_of, edits_of
from napari_samhq.errors import FileError
from napari_samhq.io import session_document
from napari_samhq.io.journal_writer import pack
from napari_samhq.io.session_document import (
    SavedLabels,
    SavedSession,
    from_document,
    standing_of,
    to_document,
)
from napari_samhq.io.session_files import read_session, source_of, write_session
from support.journals import RandomWork

SHAPES = [(40, 60), (300, 520), (3, 30, 40)]


def random_session(seed: int, shape=(40, 60), steps=25) -> tuple[SavedSession, RandomWork]:
    rng = np.random.default_rng(seed)
    base = np.zeros(shape, dtype=rng.choice(np.array([np.uint16, np.int32, np.int64])))
    base[..., :5, :6] = 3
    work = RandomWork(rng, base)
    for _ in range(steps):
        work.step()
    image = np.zeros(shape, np.uint8)
    identity = ImageIdentity(
        "cells", shape, "uint8", content_digest(image), False, ("y", "x"), ("um", "um"), (0.1, 1e-9)
    )
    saved = SavedSession(
        image=identity,
        labels=SavedLabels("cells objects", SparseLabels.of(base)),
        model="micro",
        fingerprint="ab12",
        settings={"refine": True, "threshold": 0.1, "channels": (0, 2), "rules": None},
        objects=tuple(work.records.values()),
        events=(*work.journal, *work.journal.undone),
        count=len(work.journal),
        drafts={plane: drafts for plane, drafts in work.drafts.items() if drafts},
        categories=work.categories,
        saved="2026-11-22T20:00:00+00:00",
    )
    return saved, work


def assert_same_event(one: Any, other: Any) -> None:
    fields = ("plane", "before", "after", "label_id", "record", "category", "old", "new")
    assert type(one) is type(other)
    for name in fields:
        assert getattr(one, name, None) == getattr(other, name, None)
    for commit, same in zip(
        getattr(one, "commits", ()), getattr(other, "commits", ()), strict=True
    ):
        assert (commit.record, commit.replaced) == (same.record, same.replaced)
    for edit, same in zip(edits_of(one), edits_of(other), strict=True):
        assert (edit.plane, edit.region) == (same.plane, same.region)
        for a, b in ((edit.changed, same.changed), (edit.old, same.old), (edit.new, same.new)):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES))
@settings(max_examples=40, deadline=None)
def test_everything_comes_back_exactly(seed, shape):
    saved, work = random_session(seed, shape)
    document = json.loads(json.dumps(to_document(saved), allow_nan=False))
    again = from_document(document, "a.samhq.json")
    for name in ("image", "model", "fingerprint", "settings", "objects", "count", "saved"):
        assert getattr(again, name) == getattr(saved, name)
    assert again.drafts == saved.drafts
    assert again.labels.base == saved.labels.base
    assert again.labels.base.dtype == saved.labels.base.dtype
    for one, other in zip(saved.events, again.events, strict=True):
        assert_same_event(one, other)
    np.testing.assert_array_equal(again.labels_now().array(), work.labels)
    assert standing_of(again).records == work.records
    assert to_document(again) == to_document(saved)
    assert not again.unread


def test_a_file_is_written_whole_and_three_backups_stay(tmp_path):
    path = tmp_path / "cells.samhq.json"
    models = ["one", "two", "three", "four", "five"]
    saved, _ = random_session(1)
    write_session(path, replace(saved, model=models[0]))
    with pytest.raises(FileError, match="exists already"):
        write_session(path, saved)
    for model in models[1:]:
        write_session(path, replace(saved, model=model), overwrite=True)
    assert read_session(path).model == "five"
    kept = [json.loads((tmp_path / f"{path.name}.bak{n}").read_text()) for n in (1, 2, 3)]
    assert [one["model"]["name"] for one in kept] == ["four", "three", "two"]
    assert len(list(tmp_path.iterdir())) == 4


def test_only_session_names_are_written(tmp_path):
    with pytest.raises(FileError, match=r"ends in \.samhq\.json"):
        write_session(tmp_path / "cells.json", random_session(1)[0])


def test_a_journal_grows_with_the_work_and_not_with_its_square():
    small, _ = random_session(5, steps=100)
    large, _ = random_session(5, steps=800)
    # The number of unfinished objects grows too, and each event could name all of them.
    ratio = len(json.dumps(to_document(large))) / len(json.dumps(to_document(small)))
    assert ratio < 16


@pytest.mark.parametrize("what", [pytest.param("corrections", id="FM-30-edits-unseen")])
def test_pixels_written_behind_the_journals_back_are_kept(what):
    saved, work = random_session(2)
    labels = work.labels.copy()
    labels[20:25, 20:30] = 77
    now = SparseLabels.of(labels)
    base = base_of(saved.events[: saved.count], now)
    rebuilt = replace(saved, labels=SavedLabels("x", base)).labels_now()
    kept = SavedLabels("x", base, corrections=rebuilt.differences(now))
    again = from_document(to_document(replace(saved, labels=kept)), "a")
    np.testing.assert_array_equal(again.labels_now().array(), labels)


# ------------------------------------------------------------------------------- other versions


@pytest.mark.parametrize(
    ("version", "message"),
    [
        pytest.param(2, "schema version 2, written by napari-samhq 9.9", id="FM-36-newer"),
        pytest.param(0, "no release has written", id="FM-36-unknown-older"),
        pytest.param("1", "is damaged", id="FM-36-text"),
        pytest.param(True, "is damaged", id="FM-36-flag"),
    ],
)
def test_other_versions_are_named(version, message):
    document = to_document(random_session(1)[0])
    document |= {"schema_version": version, "generator": "napari-samhq 9.9"}
    with pytest.raises(FileError, match=message):
        from_document(document, "a.samhq.json")


@pytest.mark.parametrize("version", [pytest.param(1, id="FM-36-older")])
def test_older_versions_are_brought_up_to_date_and_kept_as_backup(tmp_path, monkeypatch, version):
    def migrate(document):
        return {**document, "model": {"name": document["model"].pop("called"), "fingerprint": ""}}

    path = tmp_path / "a.samhq.json"
    old = json.loads(json.dumps(to_document(random_session(1)[0])))
    old["model"] = {"called": "micro"}
    path.write_text(json.dumps(old))
    monkeypatch.setattr(session_document, "SCHEMA_VERSION", version + 1)
    monkeypatch.setitem(session_document._MIGRATIONS, version, migrate)
    saved = read_session(path)
    assert saved.model == "micro"
    write_session(path, saved, overwrite=True)
    assert json.loads(path.read_text())["schema_version"] == version + 1
    assert json.loads((tmp_path / "a.samhq.json.bak1").read_text()) == old


@pytest.mark.parametrize("what", [pytest.param("fields", id="FM-36-unknown-fields-kept")])
def test_unknown_fields_are_kept_and_written_back(what):
    document = to_document(full_session())
    document["colour"] = "red"
    document["image"]["lens"] = {"na": 1.4}
    document["objects"][0]["tags"] = ["mitosis"]
    document["journal"]["events"][4]["by"] = "Ada"
    again = from_document(document, "a")
    assert to_document(again) == document
    # They stay with what they were about, and go with it.
    worked_on = replace(
        again,
        events=(*again.events[:4], *random_session(4)[0].events[4:]),
        objects=again.objects[1:],
        unread={},
    ).keeping_unread(again)
    assert worked_on.unread == {"": {"colour": "red"}, "image": {"lens": {"na": 1.4}}}


# ---------------------------------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("../secret.tif", id="FM-37-parent"),
        pytest.param("a/../../secret.tif", id="FM-37-parent-within"),
        pytest.param("/etc/passwd", id="FM-37-absolute"),
        pytest.param("C:/secret.tif", id="FM-37-drive"),
        pytest.param("C:secret.tif", id="FM-37-drive-relative"),
        pytest.param("\\\\host\\share", id="FM-37-share"),
        pytest.param("a\0.tif", id="FM-37-nul"),
        pytest.param("file://x", id="FM-37-url"),
    ],
)
def test_no_path_in_a_file_leads_out_of_its_folder(source):
    document = to_document(random_session(1)[0])
    document["image"]["source"] = source
    with pytest.raises(FileError, match="image/source"):
        from_document(document, "a.samhq.json")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.tif").touch()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.tif").symlink_to(tmp_path / "secret.tif")
    (inside / "real.tif").touch()
    saved, _ = random_session(1)

    def source(name):
        pointing = replace(saved, image=replace(saved.image, source=name))
        return source_of(pointing, inside / "a.samhq.json")

    assert source("real.tif") == (inside / "real.tif").resolve()
    assert source("gone.tif") is None
    assert source("") is None
    with pytest.raises(FileError, match="leads out of its folder"):
        source("link.tif")


def full_session() -> SavedSession:
    """Make a session with objects, unfinished ones, and a journal that begins with a prompt."""
    for seed in range(1000):
        saved, _ = random_session(seed)
        kinds = [type(event).__name__ for event in saved.events]
        if len(saved.objects) > 1 and kinds[0] == "PromptsChanged" and "Committed" in kinds:
            return saved
    raise AssertionError("none of these seeds makes a full session")


VALID = json.dumps(to_document(full_session()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("[" * 100_000 + "]" * 100_000, "nested too deeply", id="FM-38-depth"),
        pytest.param(
            VALID.replace('"threshold": 0.25', '"threshold": NaN', 1),
            "threshold is nan",
            id="FM-38-nan",
        ),
        pytest.param(
            VALID.replace('"threshold": 0.25', '"threshold": 1e999', 1),
            "finite number",
            id="FM-38-infinite",
        ),
        pytest.param('{"format": 1, "format": 2}', "twice", id="FM-38-duplicate-key"),
        pytest.param("[]", "not a session", id="FM-38-list"),
        pytest.param("", "not a JSON file", id="FM-38-empty"),
        pytest.param("<html>", "not a JSON file", id="FM-38-html"),
        pytest.param(VALID[:-200], "not a JSON file", id="FM-38-cut-off"),
    ],
)
def test_files_that_are_no_sessions_are_refused(tmp_path, content, message):
    path = tmp_path / "a.samhq.json"
    path.write_text(content)
    with pytest.raises(FileError, match=message):
        read_session(path)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "FM-38.samhq.json"
    with path.open("wb") as stream:
        stream.truncate(2**31)  # takes no space on the disk
    with pytest.raises(FileError, match="2048 MiB"):
        read_session(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        pytest.param("image/shape", "x", "image/shape", id="FM-38-shape-text"),
        pytest.param("image/shape/0", -3, "image/shape/0", id="FM-38-negative"),
        pytest.param("image/shape/0", 10**400, "image/shape/0", id="FM-38-huge-number"),
        pytest.param("image/rgb", 1, "true or false", id="FM-38-flag"),
        pytest.param("labels/dtype", "float32", "labels/dtype", id="FM-38-dtype"),
        pytest.param("labels/dtype", ["int8"], "labels/dtype", id="FM-38-dtype-list"),
        pytest.param("labels/shape", [5], "two axes", id="FM-38-one-axis"),
        pytest.param("labels/base/0/block", [9, 9], "labels/base/0", id="FM-38-block-outside"),
        pytest.param("labels/base/0/values", "!", "base64", id="FM-38-not-base64"),
        pytest.param("labels/base/0/values", "AAAA", "labels/base/0", id="FM-38-not-zlib"),
        pytest.param("journal", None, "an object", id="FM-38-null"),
        pytest.param("journal/count", 10**6, "journal/count", id="FM-38-count"),
        pytest.param("journal/events/0/kind", "magic", "one of", id="FM-38-unknown-kind"),
        pytest.param("journal/events/0/plane/axes", [0, 0], "a plane", id="FM-38-axes"),
        pytest.param("journal/events/0/plane/axes", [0, 7], "a plane", id="FM-38-axis-outside"),
        pytest.param("journal/events/0/after/active", 99, "being made", id="FM-38-active"),
        pytest.param("objects/0/steps", [], "one step", id="FM-38-no-step"),
        pytest.param("objects/0/rules/fill", {"a": {}}, "plain|number", id="FM-38-nested-rule"),
        pytest.param("objects/0/score", "best", "finite number", id="FM-38-score"),
        pytest.param("objects/0/doubt", {"disagreement": 0.5}, "uncertainty_px", id="FM-38-doubt"),
    ],
)
def test_wrong_values_are_named_by_their_place(place, value, message):
    document = json.loads(VALID)
    *parents, last = place.split("/")
    node = document
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    node[int(last) if isinstance(node, list) else last] = value
    with pytest.raises(FileError, match=message):
        from_document(document, "a.samhq.json")


def test_an_edit_that_unpacks_to_more_than_it_says_is_refused():
    document = json.loads(VALID)
    event = next(e for e in document["journal"]["events"] if e["kind"] == "committed")
    edit = event["commits"][0]["edit"]
    edit["changed"] = pack(b"\xff" * 10**8)
    with pytest.raises(FileError, match="changed is .*needed is .* bytes"):
        from_document(document, "a")


def test_memory_stays_bounded_whatever_a_file_promises():
    document = json.loads(VALID)
    document["labels"] |= {"shape": [2**20, 2**20], "base": []}
    event = next(e for e in document["journal"]["events"] if e["kind"] == "committed")
    event["commits"][0]["edit"] |= {"start": [0, 0], "size": [2**20, 2**20]}
    with pytest.raises(FileError, match="at most 4 GiB"):
        from_document(document, "FM-38")


def _leaves(node, place=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*place, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, (*place, index))
    yield place


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_changed_gives_a_session_or_an_error_of_ours(data):
    document = copy.deepcopy(json.loads(VALID))
    places = list(_leaves(document))
    place = data.draw(st.sampled_from(places))
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=5,
    )
    value = data.draw(junk)
    if place:
        node = document
        for name in place[:-1]:
            node = node[name]
        node[place[-1]] = value
    else:
        document = value
    with contextlib.suppress(FileError):
        from_document(document, "FM-38").labels_now()


# -------------------------------------------------------------------------------------- disk full

_FILL = """
import resource, sys
from napari_samhq.io.session_files import read_session, write_session
from napari_samhq.errors import FileError
path = sys.argv[1]
saved = read_session(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    write_session(path, saved, overwrite=True)
except FileError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="the system has no such limit")
@pytest.mark.parametrize("what", [pytest.param("write", id="FM-31-session-file")])
def test_a_full_disk_leaves_the_old_file_and_says_what_is_needed(tmp_path, what):
    path = tmp_path / "a.samhq.json"
    write_session(path, random_session(1)[0])
    before = path.read_bytes()
    told = subprocess.run(
        [sys.executable, "-c", _FILL, str(path)], capture_output=True, text=True, timeout=60
    )
    assert "Cannot write" in told.stdout, told.stderr
    assert "MB" in told.stdout
    assert path.read_bytes() == before
    assert [one.name for one in Path(tmp_path).iterdir()] == ["a.samhq.json"]
