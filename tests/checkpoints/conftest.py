from __future__ import annotations

import hashlib
import time
import types
from dataclasses import replace

import pytest

from napari_samhq.checkpoints import registry
from support.fake_hub import FakeHub

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 300  # begins as a .pth file does; never parsed here


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serve small files in place of the published ones, with a fresh cache folder."""
    tiny = registry.model_info("vit_tiny")
    big = registry.model_info("vit_b")
    models = [
        replace(tiny, megabytes=len(CONTENT) / 1e6),
        replace(
            big,
            megabytes=len(CONTENT[:-1]) / 1e6,
            md5=hashlib.md5(CONTENT[:-1], usedforsecurity=False).hexdigest(),
        ),
    ]
    others = [model for model in registry._MODELS if model.name not in {"vit_tiny", "vit_b"}]
    monkeypatch.setattr(registry, "_MODELS", (*models, *others))
    files = {
        (model.repository, model.revision, model.filename): content
        for model, content in zip(models, (CONTENT, CONTENT[:-1]), strict=True)
    }
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv(registry_cache_variable(), str(tmp_path / "cache"))
    _hurry(monkeypatch)
    with FakeHub(files) as fake:
        monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
        yield fake


def registry_cache_variable() -> str:
    from napari_samhq.checkpoints.cache import VARIABLE

    return VARIABLE


def _hurry(monkeypatch):
    """Let the hub library wait for hundredths of the seconds that it wants to wait."""
    import huggingface_hub.file_download as transfer
    import huggingface_hub.utils._http as http

    quick = types.SimpleNamespace(**vars(time))
    quick.sleep = lambda seconds: time.sleep(seconds / 100)
    monkeypatch.setattr(transfer, "time", quick)
    monkeypatch.setattr(http, "time", quick)


@pytest.fixture
def fresh_session():
    """Make the hub library read proxies from the environment anew, before and after."""
    from huggingface_hub.utils import close_session

    close_session()
    yield
    close_session()
