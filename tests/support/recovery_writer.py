"""Work at random, kept in a recovery file until somebody kills the process."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path  # noqa: TC003  # for those who import all of this

import numpy as np

from napari_samhq.core.images.identity import ImageIdentity
from napari_samhq.core.labels.sparse_labels import SparseLabels, base_of
from napari_samhq.io.recovery import RecoveryFile
from napari_samhq.io.session_document import SavedLabels, SavedSession
from support.journals import RandomWork


def digest(labels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes()).hexdigest()


def snapshot_of(work: RandomWork) -> SavedSession:
    events = tuple(work.journal)
    return SavedSession(
        image=ImageIdentity("cells", work.labels.shape, "uint8", "0" * 64),
        labels=SavedLabels("x", base_of(events, SparseLabels.of(work.labels))),
        model="micro",
        objects=tuple(work.records[label_id] for label_id in sorted(work.records)),
        events=(*events, *work.journal.undone),
        count=len(events),
        drafts={plane: drafts for plane, drafts in work.drafts.items() if drafts},
        categories=dict(sorted(work.categories.items())),
    )


def work_on(folder: Path, seed: int) -> None:
    """Work for ever; after each step its number and a digest of the labels go to stdout."""
    base = np.zeros((60, 80), np.int32)
    base[:9, :9] = 2
    work = RandomWork(np.random.default_rng(seed), base)
    file = RecoveryFile(lambda: snapshot_of(work), folder)
    for number in itertools.count(1):
        stepped, event = work.step()
        file.note(stepped, event)
        print(number, digest(work.labels), flush=True)  # noqa: T201
