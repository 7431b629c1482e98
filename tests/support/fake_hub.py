"""A small Hugging Face hub on this machine, with faults on request.

As in the real one, a ``HEAD`` of a file answers with a redirect to a second server (the content
network), and says commit, SHA-256 and size in its own headers; the second server serves bytes,
whole or from an offset.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
PAGE = b"<!DOCTYPE html><html><body>Please log in to use this network.</body></html>"


@dataclass
class Faults:
    """What goes wrong, and how often (a large number: always)."""

    refuse: dict[str, tuple[int, int]] = field(default_factory=dict)  # method: status, how often
    cut: int = 0  # connections to cut after half of what is left
    ignore_range: bool = False
    drip: float = 0.0  # seconds between single bytes
    serve: bytes | None = None  # in place of the file
    etag: str | None = None  # in place of its SHA-256
    commit: str | None = None
    portal: bool = False  # a login page answers everything
    moved_to: str | None = None


class FakeHub:
    """Serve files by (repository, revision, name); use as a context manager."""

    def __init__(self, files: dict[tuple[str, str, str], bytes]) -> None:
        self.files = files
        self.faults = Faults()
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Range
        self._lock = threading.Lock()
        self._hub = self._server(_HubHandler)
        self._content = self._server(_ContentHandler)
        self.endpoint = f"http://127.0.0.1:{self._hub.server_port}"
        self.content_endpoint = f"http://127.0.0.1:{self._content.server_port}"

    def _server(self, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.fake = self  # type: ignore[attr-defined]
        return server

    def __enter__(self) -> FakeHub:
        for server in (self._hub, self._content):
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._hub, self._content):
            server.shutdown()
            server.server_close()

    @property
    def transfers(self) -> list[tuple[str, str, str | None]]:
        """Requests for content; the hub library asks for a thing or two of its own as well."""
        return [request for request in self.requests if re.fullmatch("/[0-9a-f]{64}", request[1])]

    def next_fault(self, method: str) -> int | None:
        """Return the status to refuse a request with, if it is to be refused."""
        with self._lock:
            status, left = self.faults.refuse.get(method, (0, 0))
            if left <= 0:
                return None
            self.faults.refuse[method] = (status, left - 1)
            return status

    def next_cut(self) -> bool:
        with self._lock:
            self.faults.cut -= 1
            return self.faults.cut >= 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> FakeHub:
        return self.server.fake  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: Any) -> None:
        pass

    def note(self) -> bool:
        """Record the request; answer it here when it is to be refused."""
        self.fake.requests.append((self.command, self.path, self.headers.get("Range")))
        status = self.fake.next_fault(self.command)
        if status is not None:
            self.answer(status, b"no")
            return True
        if self.fake.faults.portal:
            self.answer(200, PAGE, {"Content-Type": "text/html"})
            return True
        return False

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _HubHandler(_Handler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.note():
            return
        match = _RESOLVE.fullmatch(self.path)
        faults = self.fake.faults
        if match and faults.moved_to and match["repository"] != faults.moved_to:
            moved = self.path.replace(match["repository"], faults.moved_to, 1)
            self.answer(307, headers={"Location": moved})
            return
        key = (match["repository"], match["revision"], match["file"]) if match else None
        if key not in self.fake.files:
            self.answer(404, headers={"X-Error-Code": "EntryNotFound"})
            return
        body = self.fake.files[key]
        digest = hashlib.sha256(body).hexdigest()
        self.answer(
            302,
            headers={
                "Location": f"{self.fake.content_endpoint}/{digest}",
                "X-Repo-Commit": faults.commit or key[1],
                "X-Linked-ETag": f'"{faults.etag or digest}"',
                "X-Linked-Size": str(len(body)),
            },
        )


class _ContentHandler(_Handler):
    def do_GET(self) -> None:
        if self.note():
            return
        faults = self.fake.faults
        wanted = self.path.strip("/")
        bodies = {hashlib.sha256(body).hexdigest(): body for body in self.fake.files.values()}
        body = bodies[wanted] if faults.serve is None else faults.serve
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and not faults.ignore_range else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        try:
            self._send(body[start:])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client left, as some tests make it do

    def _send(self, body: bytes) -> None:
        faults = self.fake.faults
        if faults.drip:
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(faults.drip)
        elif self.fake.next_cut():
            self.wfile.write(body[: (len(body) + 1) // 2])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(body)
