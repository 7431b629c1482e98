"""Whatever ends the program, at most its last step is lost; whatever fails, the work goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io import recovery
from napari_samhq.io.recovery import RecoveryFile, read_recovery, recoverable_files
from napari_samhq.io.recovery_folder import lock_path
from napari_samhq.io.session_document import to_document
from support.journals import RandomWork
from support.recovery_writer import digest, snapshot_of

_IMPORTS = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})"
_IMPORTS += "; from support.recovery_writer import *"


def new_work(seed=0, shape=(60, 80)) -> RandomWork:
    base = np.zeros(shape, np.int32)
    base[..., :9, :9] = 2
    return RandomWork(np.random.default_rng(seed), base)


def begin(work: RandomWork, folder: Path) -> RecoveryFile:
    return RecoveryFile(lambda: snapshot_of(work), folder)


def do(work: RandomWork, file: RecoveryFile, steps: int) -> None:
    for _ in range(steps):
        file.note(*work.step())


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([(60, 80), (3, 30, 40)]))
@settings(max_examples=10, deadline=None)
def test_every_step_is_there_as_soon_as_it_is_made(tmp_path_factory, seed, shape):
    work = new_work(seed, shape)
    file = begin(work, tmp_path_factory.mktemp("recovery"))
    for steps in (1, 2, 5, 25):
        do(work, file, steps)
        saved, expected = read_recovery(file.path), snapshot_of(work)
        assert digest(saved.labels_now().array()) == digest(work.labels)
        assert {**to_document(saved), "saved": ""} == {**to_document(expected), "saved": ""}
    file.close(keep=False)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, id=f"FM-30-session-{seed}") for seed in range(6)]
)
def test_after_kill_9_at_most_the_last_step_is_lost(tmp_path, seed):
    code = f"{_IMPORTS}; work_on(Path(sys.argv[1]), int(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(tmp_path), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told = [process.stdout.readline()]  # it works
        time.sleep(float(np.random.default_rng(seed).random()) * 0.3)
        process.kill()
        told += process.stdout.read().splitlines()
    done = [line.split() for line in told if len(line.split()) == 2]
    (path,) = tmp_path.glob("*.recovery")
    saved = read_recovery(path)
    labels = digest(saved.labels_now().array())
    # The step under way may or may not be there; do it here to know what it leads to.
    work = new_work(seed)
    after = []
    for _ in range(int(done[-1][0]) + 1):
        work.step()
        after.append(digest(work.labels))
    assert labels in after[-2:]
    assert after[-2] == done[-1][1]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_costs_one_step(tmp_path, cut):
    work = new_work(3)
    file = begin(work, tmp_path)
    do(work, file, 10)
    before = digest(work.labels)
    expected = len(work.journal)
    while work.step()[0] != "append":
        pytest.fail("choose another seed")
    file.note("append", work.journal.last())
    content = file.path.read_bytes()
    file.path.write_bytes(content[:-cut])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saved = read_recovery(file.path)
    assert saved.count == expected
    assert digest(saved.labels_now().array()) == before
    file.close(keep=False)


def test_damage_within_the_file_costs_what_follows_and_is_told(tmp_path):
    work = new_work()
    file = begin(work, tmp_path)
    do(work, file, 10)
    lines = file.path.read_bytes().split(b"\n")
    lines[6] = lines[6][:-3] + b"???"
    file.path.write_bytes(b"\n".join(lines))
    with pytest.warns(SamHQWarning, match="A part of the unfinished work"):
        read_recovery(file.path)
    file.restart()  # a whole session makes all well again
    with pytest.warns(SamHQWarning, match="A part of the unfinished work"):
        saved = read_recovery(file.path)
    assert digest(saved.labels_now().array()) == digest(work.labels)
    file.close(keep=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"\n", b'{"append": {}}\n', b'{"session": {"format": 1}}\n', b"\xff\n"],
)
def test_files_without_a_session_are_left_out_with_a_warning(tmp_path, content):
    path = tmp_path / "20260101-000000-x.recovery"
    path.write_bytes(content)
    with pytest.raises(FileError):
        read_recovery(path)
    with pytest.warns(SamHQWarning, match="Unfinished work is lost"):
        assert recoverable_files(tmp_path) == []


def test_nothing_is_written_before_the_first_step(tmp_path):
    file = begin(new_work(), tmp_path)
    file.close(keep=True)
    assert list(tmp_path.iterdir()) == []


def test_sessions_that_run_are_not_offered(tmp_path):
    work = new_work()
    file = begin(work, tmp_path)
    do(work, file, 40)
    while not work.records:  # whatever the random steps are
        do(work, file, 1)
    assert recoverable_files(tmp_path) == []
    file.close(keep=True)
    (found,) = recoverable_files(tmp_path)
    assert found.closed
    assert found.image == "cells"
    assert found.objects == len(work.records)
    found.discard()
    assert list(tmp_path.iterdir()) == []


def test_two_sessions_never_write_to_one_file(tmp_path):
    works = [new_work(seed) for seed in (1, 2)]
    files = [begin(work, tmp_path) for work in works]
    for _ in range(10):
        for work, file in zip(works, files, strict=True):
            file.note(*work.step())
    for work, file in zip(works, files, strict=True):
        saved = read_recovery(file.path)
        assert digest(saved.labels_now().array()) == digest(work.labels)
        file.close(keep=False)


def test_the_last_three_closed_sessions_are_kept(tmp_path):
    for seed in range(5):
        work = new_work(seed)
        file = begin(work, tmp_path)
        file.path = tmp_path / f"2026010{seed}-000000-x.recovery"
        file._lock = FileLock(lock_path(file.path), blocking=False)
        do(work, file, 12)
        file.close(keep=True)
    names = sorted(path.name for path in tmp_path.glob("*.recovery"))
    assert names == [f"2026010{seed}-000000-x.recovery" for seed in (2, 3, 4)]


# ---------------------------------------------------------------------------- disks that fail


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("file/sessions", id="FM-32-state-folder-is-a-file"),
        pytest.param("/proc/nowhere/sessions", id="FM-32-state-folder-read-only"),
    ],
)
def test_without_a_folder_the_work_goes_on_with_one_warning(tmp_path, place):
    (tmp_path / "file").touch()
    work = new_work()
    file = begin(work, tmp_path / place)
    with pytest.warns(SamHQWarning, match="not being saved as you go") as told:
        do(work, file, 10)
    assert len(told) == 1
    assert not file.writing
    file.close(keep=True)


def test_a_folder_that_is_missing_is_made(tmp_path):
    work = new_work()
    file = begin(work, tmp_path / "FM-32" / "state" / "sessions")
    do(work, file, 3)
    assert file.writing
    file.close(keep=False)


def test_the_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv(recovery.VARIABLE, str(tmp_path))
    assert recovery.recovery_folder() == tmp_path / "sessions"
    monkeypatch.delenv(recovery.VARIABLE)
    assert recovery.recovery_folder().name == "sessions"


@pytest.mark.parametrize("what", [pytest.param("append", id="FM-31-recovery-file")])
def test_a_full_disk_is_told_once_and_made_up_for_when_there_is_space(tmp_path, monkeypatch, what):
    work = new_work()
    file = begin(work, tmp_path)
    do(work, file, 10)
    full, kept, write = [True], digest(work.labels), recovery.os.write

    def write_half(stream, data):
        if full[0]:
            write(stream, bytes(data)[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return write(stream, data)

    monkeypatch.setattr(recovery.os, "write", write_half)
    with pytest.warns(SamHQWarning, match="No space left on device") as told:
        do(work, file, 10)
    assert len(told) == 1
    # What was there before is there still, whole.
    assert digest(read_recovery(file.path).labels_now().array()) == kept
    full[0], file._try_again_at = False, 0.0
    do(work, file, 5)
    assert digest(read_recovery(file.path).labels_now().array()) == digest(work.labels)
    file.close(keep=False)


_FILL = """
import resource, warnings
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
work = RandomWork(np.random.default_rng(0), np.zeros((60, 80), np.int32))
file = RecoveryFile(lambda: snapshot_of(work), Path(sys.argv[1]))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(200):
        file.note(*work.step())
print(len(told), file.path.stat().st_size <= 30_000)
"""


@pytest.mark.parametrize("what", [pytest.param("limit", id="FM-31-recovery-file-limit")])
def test_a_limit_on_file_size_does_not_stop_the_work(tmp_path, what):
    code = f"{_IMPORTS}\n{_FILL}"
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert told.stdout.split() == ["1", "True"], told.stderr
    (found,) = recoverable_files(tmp_path)
    assert json.loads(found.path.read_bytes().splitlines()[0])["session"]


def test_files_without_the_word_are_not_read(tmp_path):
    work = new_work()
    file = begin(work, tmp_path)
    do(work, file, 3)
    file._let_go()
    (found,) = recoverable_files(tmp_path)
    assert found.shape == snapshot_of(work).image.shape
    with file.path.open("ab") as stream:
        stream.write(b"what would be told as damage\n")
    assert recoverable_files(tmp_path, {"another"}) == []
    with pytest.warns(SamHQWarning, match="is lost"):
        assert recoverable_files(tmp_path, {"another", found.image}) != []
