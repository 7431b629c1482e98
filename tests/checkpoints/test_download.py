from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from napari_samhq.checkpoints import cache, download, fetch, list_models, model_info
from napari_samhq.errors import Cancelled, CheckpointError, DownloadError, SamHQWarning
from support.fake_hub import PAGE

from .conftest import CONTENT

if TYPE_CHECKING:
    from pathlib import Path

SHA256 = hashlib.sha256(CONTENT).hexdigest()
ALWAYS = 10_000


def target(name: str = "vit_tiny") -> Path:
    return cache.weights_path(model_info(name))


def leftovers() -> list[str]:
    """Everything in the cache but locks."""
    return sorted(
        path.name
        for path in cache.cache_folder().rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    )


def test_a_fetched_file_is_the_published_one_and_its_checksum_lies_beside_it(hub):
    path = fetch("vit_tiny")
    assert path == target()
    assert path.read_bytes() == CONTENT
    assert path.with_name(path.name + ".sha256").read_text() == f"{SHA256}  {path.name}\n"
    assert leftovers() == [path.name, path.name + ".sha256"]


def test_the_pinned_revision_is_asked_for_and_the_known_md5_is_checked(hub):
    fetch("vit_b")
    info = model_info("vit_b")
    assert {request[1] for request in hub.requests if request[0] == "HEAD"} == {
        f"/{info.repository}/resolve/{info.revision}/{info.filename}"
    }


def test_what_is_here_is_not_fetched_again_and_needs_no_network(hub, monkeypatch):
    first = fetch("vit_tiny")
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch("vit_tiny") == first
    assert hub.requests == []
    assert [model.cached for model in list_models() if model.name == "vit_tiny"] == [True]


def test_progress_ends_at_the_whole_and_never_runs_backwards(hub):
    calls = []
    fetch("vit_tiny", progress=lambda done, total: calls.append((done, total)))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert all(call[0] <= call[1] for call in calls)


def test_progress_is_called_in_the_thread_that_waits(hub):
    threads = set()
    fetch("vit_tiny", progress=lambda *_: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def test_an_exception_from_progress_ends_a_slow_transfer_at_once(hub):
    hub.faults.drip = 0.05

    def cancel(_done, _total):
        raise Cancelled("enough")

    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch("vit_tiny", progress=cancel)
    assert time.monotonic() - began < 5
    assert not target().exists()


# Network trouble -----------------------------------------------------------------------------


def unreachable(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def unknown_host(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://no-such-host.invalid")


def forbidden(hub, monkeypatch):
    hub.faults.refuse = {"HEAD": (403, ALWAYS)}


def forbidden_content(hub, monkeypatch):
    hub.faults.refuse = {"GET": (403, ALWAYS)}


def too_many(hub, monkeypatch):
    hub.faults.refuse = {"HEAD": (429, ALWAYS)}


def too_many_content(hub, monkeypatch):
    hub.faults.refuse = {"GET": (429, ALWAYS)}


def broken_server(hub, monkeypatch):
    hub.faults.refuse = {"HEAD": (503, ALWAYS)}


def broken_proxy(hub, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")


def login_page(hub, monkeypatch):
    hub.faults.portal = True


def gone(hub, monkeypatch):
    hub.files.clear()


def always_cut(hub, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.faults.cut = ALWAYS
    hub.faults.ignore_range = True


def slow_drip(hub, monkeypatch):
    hub.faults.drip = 0.05
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.5)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param(unreachable, "connection failed", id="FM-45-network-down"),
        pytest.param(unknown_host, "connection failed", id="FM-45-dns"),
        pytest.param(forbidden, "403", id="FM-45-403"),
        pytest.param(forbidden_content, "403", id="FM-45-403-content"),
        pytest.param(too_many, "429", id="FM-45-429"),
        pytest.param(too_many_content, "429", id="FM-45-429-content"),
        pytest.param(broken_server, "503", id="FM-45-503"),
        pytest.param(broken_proxy, "", id="FM-45-proxy"),
        pytest.param(login_page, "not a Hugging Face hub", id="FM-45-login-page"),
        pytest.param(gone, "404", id="FM-45-404"),
        pytest.param(always_cut, "cut", id="FM-45-drop-every-time"),
        pytest.param(slow_drip, "nothing came", id="FM-45-slow-drip"),
    ],
)
def test_trouble_ends_with_manual_steps(hub, monkeypatch, fresh_session, trouble, words):
    trouble(hub, monkeypatch)
    began = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        fetch("vit_tiny")
    assert time.monotonic() - began < 30
    message = str(caught.value)
    info = model_info("vit_tiny")
    url = f"{os.environ['HF_ENDPOINT']}/{info.repository}/resolve/{info.revision}/{info.filename}"
    assert words in message
    assert url in message
    assert str(target()) in message
    assert not target().exists()
    assert len(hub.requests) < 40  # retries have an end


@pytest.mark.parametrize(
    ("refuse", "cut"),
    [
        pytest.param({"HEAD": (429, 2)}, 0, id="FM-45-429-passes"),
        pytest.param({"GET": (429, 2)}, 0, id="FM-45-429-content-passes"),
        pytest.param({"HEAD": (503, 1)}, 0, id="FM-45-503-passes"),
        pytest.param({}, 2, id="FM-45-drop-at-half"),
    ],
)
def test_trouble_that_passes_is_survived(hub, refuse, cut):
    hub.faults.refuse, hub.faults.cut = refuse, cut
    assert fetch("vit_tiny").read_bytes() == CONTENT


def test_a_cut_transfer_goes_on_where_it_was_cut(hub, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.faults.cut = 1
    assert fetch("vit_tiny").read_bytes() == CONTENT
    offset = int(hub.transfers[1][2].removeprefix("bytes=").removesuffix("-"))
    assert 0 < len(CONTENT) // 2 - offset <= 1024


@pytest.mark.parametrize("name", ["vit_tiny", "vit_b"])
@pytest.mark.parametrize(
    "served",
    [
        pytest.param(PAGE, id="FM-45-web-page-instead"),
        pytest.param(CONTENT[: len(CONTENT) // 2], id="FM-45-short-file"),
        pytest.param(CONTENT + b"\0", id="FM-45-long-file"),
        pytest.param(b"", id="FM-45-empty-file"),
    ],
)
def test_content_of_another_length_is_never_accepted(hub, name, served):
    hub.faults.serve = served
    with pytest.raises((CheckpointError, DownloadError)):
        fetch(name)
    assert not target(name).exists()


def test_content_with_a_flipped_bit_is_never_accepted(hub):
    hub.faults.serve = CONTENT[:-2] + bytes([CONTENT[-2] ^ 1]) + CONTENT[-1:]
    with pytest.raises(CheckpointError, match="SHA-256"):
        fetch("vit_tiny")
    assert not target().exists()
    assert leftovers() == [target().name + ".bad"]
    hub.faults.serve = None
    assert fetch("vit_tiny").read_bytes() == CONTENT


# Offline, moved, changed ---------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_without_the_file_names_url_and_place(hub, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DownloadError, match="offline") as caught:
        fetch("vit_tiny")
    assert str(target()) in str(caught.value)
    assert hub.requests == []


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param({"moved_to": "somebody/else"}, id="FM-46-moved"),
        pytest.param({"etag": "0" * 64}, id="FM-46-changed"),
        pytest.param({"refuse": {"HEAD": (404, ALWAYS), "GET": (404, ALWAYS)}}, id="FM-46-gone"),
    ],
)
def test_a_fetched_file_outlives_its_source(hub, upstream):
    path = fetch("vit_tiny")
    for name, value in upstream.items():
        setattr(hub.faults, name, value)
    hub.requests.clear()
    assert fetch("vit_tiny") == path
    assert hub.requests == []


@pytest.mark.parametrize("offline", [pytest.param("1", id="FM-46-offline-variable")])
def test_the_offline_variable_uses_the_cache(hub, monkeypatch, offline):
    path = fetch("vit_tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    assert fetch("vit_tiny") == path


@pytest.mark.parametrize("moved", [pytest.param("somebody/else", id="FM-46-redirect")])
def test_a_moved_repository_is_followed_at_the_pinned_revision(hub, moved):
    info = model_info("vit_tiny")
    hub.files[moved, info.revision, info.filename] = CONTENT
    hub.faults.moved_to = moved
    assert fetch("vit_tiny").read_bytes() == CONTENT


@pytest.mark.parametrize("seen", [pytest.param(SHA256, id="FM-46-hash-changed")])
def test_another_hash_than_the_one_seen_before_is_refused(hub, seen):
    path = fetch("vit_tiny")
    path.unlink()
    info = model_info("vit_tiny")
    hub.files[info.repository, info.revision, info.filename] = CONTENT[::-1]
    with pytest.raises(CheckpointError, match=f"needed {seen}"):
        fetch("vit_tiny")
    assert not path.exists()


@pytest.mark.parametrize("md5", [pytest.param("0" * 32, id="FM-46-md5-changed")])
def test_another_md5_than_the_known_one_is_refused(hub, md5):
    info = model_info("vit_b")
    hub.files[info.repository, info.revision, info.filename] = CONTENT[::-1]
    with pytest.raises(CheckpointError, match="MD5"):
        fetch("vit_b")
    assert not target("vit_b").exists()
    assert leftovers() == [info.filename + ".bad"]


@pytest.mark.parametrize("commit", [pytest.param("f" * 40, id="FM-46-other-revision")])
def test_another_revision_than_the_pinned_one_is_refused(hub, commit):
    hub.faults.commit = commit
    with pytest.raises(DownloadError, match="instead of the pinned"):
        fetch("vit_tiny")


# Files that are here -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CONTENT[:-9], id="FM-33-truncated"),
        pytest.param(b"", id="FM-33-empty"),
        pytest.param(PAGE, id="FM-33-html"),
        pytest.param(CONTENT[:50] + b"\xff" + CONTENT[51:], id="FM-33-flipped"),
    ],
)
def test_a_damaged_file_is_set_aside_and_fetched_anew_the_next_time(hub, content):
    path = fetch("vit_tiny")
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"needed .*\.bad"):
        fetch("vit_tiny")
    assert not path.exists()
    assert path.with_name(path.name + ".bad").read_bytes() == content
    assert fetch("vit_tiny").read_bytes() == CONTENT


@pytest.mark.parametrize(("name", "content"), [("vit_tiny", CONTENT), ("vit_b", CONTENT[:-1])])
def test_a_file_brought_by_hand_is_checked_and_used(hub, name, content):
    path = target(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert fetch(name) == path
    assert cache.recorded_checksum(path) == hashlib.sha256(content).hexdigest()
    assert hub.transfers == []


@pytest.mark.parametrize("name", ["vit_tiny", "vit_b"])
def test_a_wrong_file_brought_by_hand_is_set_aside(hub, name):
    path = target(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"\.bad"):
        fetch(name)
    assert not path.exists()


def test_a_file_brought_by_hand_without_network_is_used_with_a_warning(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = target()
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    with pytest.warns(SamHQWarning, match="could not be compared"):
        assert fetch("vit_tiny") == path
    assert fetch("vit_tiny") == path  # from now on compared with its record: no warning


SCRIPT = """
import sys
from dataclasses import replace
from napari_samhq.checkpoints import fetch, registry
models = tuple(replace(m, megabytes=0.08) if m.name == "vit_tiny" else m for m in registry._MODELS)
registry._MODELS = models
print(fetch("vit_tiny"))
"""


@pytest.mark.parametrize("processes", [pytest.param(8, id="FM-47-download")])
def test_several_processes_end_with_one_valid_file_fetched_once(hub, processes):
    hub.faults.drip = 0
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * processes, outputs
    assert {output[0].strip() for output in outputs} == {str(target())}
    assert target().read_bytes() == CONTENT
    assert len(hub.transfers) == 1
