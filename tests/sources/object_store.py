"""An S3 server on loopback that holds what a test gives it, and fails as it is told to."""

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from mmlib.runtime import stores

BUCKET = "clips"
WRITTEN = "Sun, 29 Nov 2026 12:00:00 GMT"
# What becomes of an answer: its connection ends midway, or falls silent there, or it is short, and
# says so.
CUT, STALLED, SHORT = 0, 1, 2
_CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}


class Fault(NamedTuple):
    """What becomes of the next `times` requests for a key: a status, or CUT, STALLED or SHORT."""

    status: int
    times: int


class ObjectStore(ThreadingHTTPServer):
    """One bucket: `held` maps keys to bytes, `faults` keys ("" = the listing) to what fails.

    `asked` counts requests by method and key.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.held: dict[str, bytes] = {}
        self.faults: dict[str, Fault] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no fault of the store."""

    def fault(self, method: str, key: str) -> int | None:
        """Count a request; the status that it fails with, if it does."""
        self.asked[method, key] += 1
        planned = self.faults.get(key)
        if planned is None or not planned.times:
            return None
        self.faults[key] = planned._replace(times=planned.times - 1)
        return planned.status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *values: object) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        store = cast(ObjectStore, self.server)
        address = urlsplit(self.path)
        bucket, _, key = unquote(address.path).lstrip("/").partition("/")
        status = store.fault(self.command, key)
        if status in _CODES:
            self._fail(status, with_body)
        elif bucket != BUCKET:
            self._fail(404, with_body, "NoSuchBucket")
        elif not key:
            self._send(200, self._listing(store, parse_qs(address.query)), with_body)
        elif key not in store.held:
            self._fail(404, with_body)
        else:
            self._object(store.held[key], with_body, status)

    def _object(self, body: bytes, with_body: bool, fault: int | None) -> None:
        code, etag = 200, hashlib.md5(body).hexdigest()
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            body, code = body[int(first) : int(last or len(body)) + 1], 206
        if with_body and fault == SHORT:
            body = body[: len(body) // 2]
        self._send(code, body, with_body, fault, etag)

    def _listing(self, store: ObjectStore, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        # Few a page, so that there are several.
        most, after = 3, query.get("continuation-token", [""])[0]
        keys = sorted(key for key in store.held if key.startswith(prefix) and key > after)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-29T12:00:00.000Z"
            f"</LastModified><Size>{len(store.held[key])}</Size></Contents>"
            for key in keys[:most]
        )
        more = len(keys) > most
        last = escape(keys[most - 1]) if more else ""
        token = f"<NextContinuationToken>{last}</NextContinuationToken>"
        return (
            f"<ListBucketResult><Name>{BUCKET}</Name><KeyCount>{len(keys[:most])}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token if more else ''}{entries}"
            "</ListBucketResult>"
        ).encode()

    def _fail(self, status: int, with_body: bool, code: str | None = None) -> None:
        text = f"<Error><Code>{code or _CODES[status]}</Code><Message>told to</Message></Error>"
        self._send(status, text.encode(), with_body)

    def _send(
        self,
        status: int,
        body: bytes,
        with_body: bool,
        fault: int | None = None,
        etag: str | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", WRITTEN)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.send_header("x-amz-bucket-region", "us-east-1")
        self.end_headers()
        self.close_connection = fault in (CUT, STALLED)
        if with_body:
            self.wfile.write(body[: len(body) // 2] if self.close_connection else body)
        if with_body and fault == STALLED:
            cast(ObjectStore, self.server).over.wait()


@contextlib.contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A running store to which s3:// addresses lead."""
    store = ObjectStore()
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.server_address[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    stores.forget()
    thread = threading.Thread(target=store.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.over.set()
        store.shutdown()
        store.server_close()
        stores.forget()
