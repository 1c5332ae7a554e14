"""A web site on loopback whose videos answer as their ids say, for tests of the network code."""

import contextlib
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from mmlib.media.encode import encode
from tests.samples import numbered, tone

SECONDS, FPS = 8.0, 8.0


class VideoSite(ThreadingHTTPServer):
    """Answers /<id>.mp4 with the behaviour that begins the id: `ok`, `s404`, `reset`, `stall`, ...

    `plans[id]` are the behaviours of its next visits, which go before; a visit begins with the
    request that asks for no range. `visits` has the time of each visit by id.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.media = encode(numbered(round(SECONDS * FPS)), tone(SECONDS), fps=FPS)
        self.plans: dict[str, list[str]] = {}
        self.visits: dict[str, list[float]] = defaultdict(list)
        self.now: dict[str, str] = {}
        self.cookies: set[str | None] = set()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """The template of a video's address."""
        return f"http://127.0.0.1:{self.server_address[1]}/{{id}}.mp4"

    @property
    def times(self) -> list[float]:
        """When visits began, all of them."""
        return sorted(time for times in self.visits.values() for time in times)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no fault of the site."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *values: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        site = cast(VideoSite, self.server)
        video = self.path.strip("/").removesuffix(".mp4")
        wanted = self.headers.get("Range")
        site.cookies.add(self.headers.get("Cookie"))
        if wanted is None:
            site.visits[video].append(time.monotonic())
            plan = site.plans.get(video)
            site.now[video] = plan.pop(0) if plan else video.rstrip("_").split("-")[0]
        behaviour = site.now[video]
        # A behaviour "cut403" shows itself only when the section is asked for.
        if behaviour.startswith("cut"):
            behaviour = "ok" if wanted is None else "s" + behaviour[3:]
        if behaviour.startswith("s") and behaviour[1:4].isdecimal():
            self._refuse(int(behaviour[1:4]), behaviour[5:])
        else:
            self._send(site.media, wanted, behaviour)

    def _refuse(self, status: int, retry_after: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()

    def _send(self, media: bytes, wanted: str | None, behaviour: str) -> None:
        begin = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        body = media[begin:]
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(media) - 1}/{len(media)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self._write(body, "ok" if wanted is None else behaviour)

    def _write(self, body: bytes, behaviour: str) -> None:
        half = len(body) // 2
        if behaviour == "slow":
            for begin in range(0, len(body), 4096):
                self.wfile.write(body[begin : begin + 4096])
                time.sleep(0.02)
            return
        self.wfile.write(body if behaviour == "ok" else body[:half])
        self.wfile.flush()
        self.close_connection = behaviour != "ok"
        if behaviour == "stall":
            cast(VideoSite, self.server).closing.wait()
        elif behaviour == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()


@contextlib.contextmanager
def video_site() -> Iterator[VideoSite]:
    """A site that is served until the block ends."""
    with VideoSite() as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            site.shutdown()
            thread.join()
