"""Reading the HTML by which things show themselves in notebooks."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image

_VOID = {"img", "br"}


class Card(HTMLParser):
    """The text and the pictures of a piece of HTML; it must be well formed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.pictures, self.tags = "", [], set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in _VOID:
            self._open.append(tag)
        source = dict(attrs).get("src")
        if source:
            assert source.startswith("data:image/png;base64,")
            data = base64.b64decode(source.split(",", 1)[1], validate=True)
            self.pictures.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
