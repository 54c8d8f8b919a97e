"""A web server of a test's own: with or without parts, cutting, silent, or leading elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, how, and what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    etag: str = '"one"'
    parts: bool = True
    lengths: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes to close the connection, one entry a request."""
    shift: int = 0
    """How far beside the asked one a part begins."""
    silent: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def at(self, path: str) -> str:
        return f"{self.url}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    site: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site, path, span = self.site, self.path.lstrip("/"), self.headers.get("Range")
        site.asked.append((path, span))
        if site.silent:
            site.closing.wait()
        elif path in site.redirects:
            self.answer(302, b"", {"Location": site.redirects[path]})
        elif path not in site.files:
            self.answer(404, b"not here", {})
        else:
            self.give(site, site.files[path], span)

    def give(self, site: Site, content: bytes, span: str | None) -> None:
        headers = {"ETag": site.etag} if site.etag else {}
        first, status = 0, 200
        if span and site.parts and self.headers.get("If-Range") == site.etag:
            first, status = int(span.removeprefix("bytes=").rstrip("-")) + site.shift, 206
            if first >= len(content):
                self.answer(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
                return
            last = len(content) - 1
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        rest = content[first:]
        cut = site.cuts.pop(0) if site.cuts else len(rest)
        self.answer(status, rest, headers, cut)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.site.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """The site at an address of this machine, as long as the block lasts."""
    handler = type("OneHandler", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            server.shutdown()
            thread.join()
