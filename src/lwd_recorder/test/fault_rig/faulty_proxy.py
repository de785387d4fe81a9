"""Stands between an uploader and a real S3 server and spoils what goes through, as servers and networks do."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_ETAG = re.compile(rb'(ETag>(?:&#34;|&quot;|"))[0-9a-f]{32}')
_HOP = frozenset({'transfer-encoding', 'connection', 'expect', 'keep-alive'})
FAULTS = (
    '500',  # an error instead of the answer; the server has not seen the request
    '503',
    'lost answer',  # the server did it, and the answer is an error
    'cut',  # the connection is reset in the middle of the request
    'half-open',  # the connection stays and nothing comes any more; the server has not seen the request
    'half-open after',  # the server did it, and nothing comes any more
    'slow',  # everything comes, late and in small pieces
    'wrong ETag',
    'flipped bit',  # in the body, on the way to the server
)


class FaultyProxy:
    """Forwards requests; spoils those whose number is in `spoil`."""

    def __init__(self, endpoint: str, hang_s: float = 0.8) -> None:
        """Listen on a free port of loopback.

        Args:
            endpoint: the real server, http://host:port.
            hang_s: how long a half-open connection stays.
        """
        self._target = urlsplit(endpoint)
        self._hang_s = hang_s
        self._lock = threading.Lock()
        self.fault = ''
        """One of FAULTS; empty = forward everything as it is."""
        self.spoil: set[int] = set()
        """Numbers of the requests to spoil, from 1."""
        self.hides_missing = False
        """Answer 403 for an object that is not there, as AWS does to those who may not list."""
        self.requests = 0
        """Requests so far."""
        self.sent: Counter[str] = Counter()
        """Bytes of PUT bodies that the server was given, by path."""
        self.puts: Counter[str] = Counter()
        """Successful PUT requests by path and query."""
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        """The proxy's own address."""
        return f'http://127.0.0.1:{self.port}'

    def up(self) -> None:
        """Listen (again, on the same port)."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(('127.0.0.1', self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, as a server that is not there."""
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self) -> str:
        """Count a request; return how it is spoiled."""
        with self._lock:
            self.requests += 1
            return self.fault if self.requests in self.spoil else ''

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the real server."""
        target = http.client.HTTPConnection(
            self._target.hostname or '', self._target.port, timeout=20
        )
        try:
            target.request(method, path, body=body or None, headers=headers)
            answer = target.getresponse()
            data = answer.read()
        finally:
            target.close()
        if method == 'PUT' and answer.status == 200:
            with self._lock:
                self.sent[urlsplit(path).path] += len(body)
                self.puts[path] += 1
        return answer.status, answer.getheaders(), data

    def hang(self) -> None:
        """Let a connection be half-open for a while."""
        time.sleep(self._hang_s)


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyProxy
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        fault = self.owner.next_fault()
        length = int(self.headers.get('Content-Length') or 0)
        if fault == 'cut':
            self.rfile.read(length // 2)
            self.close_hard()
            return
        body = self.rfile.read(length)
        if fault in ('500', '503'):
            self.answer(int(fault), [], b'')
            return
        if fault == 'half-open':
            self.owner.hang()
            self.close_hard()
            return
        if fault == 'flipped bit' and body:
            body = (
                body[: len(body) // 2]
                + bytes([body[len(body) // 2] ^ 4])
                + body[len(body) // 2 + 1 :]
            )
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        try:
            status, given, data = self.owner.forward(self.command, self.path, headers, body)
        except (http.client.HTTPException, OSError):  # the server hung up: so does the proxy
            self.close_hard()
            return
        if self.command == 'HEAD' and status == 404 and self.owner.hides_missing:
            status = 403
        if fault == 'half-open after':
            self.owner.hang()
            self.close_hard()
        elif fault == 'lost answer':
            self.answer(500, [], b'')
        else:
            if fault == 'wrong ETag':
                given = [(k, f'"{"0" * 32}"' if k.lower() == 'etag' else v) for k, v in given]
                data = _ETAG.sub(rb'\g<1>' + b'0' * 32, data)
            self.answer(status, given, data, slow=fault == 'slow')

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

    def answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, *, slow: bool = False
    ) -> None:
        """Send an answer; one to HEAD has its own Content-Length and no body."""
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        if 'content-length' not in names:
            self.send_header('Content-Length', str(len(data)))
        if slow:
            time.sleep(0.1)
        self.end_headers()
        if self.command == 'HEAD':
            return
        for start in range(0, len(data), 100 if slow else max(1, len(data))):
            self.wfile.write(data[start : start + (100 if slow else len(data))])
            if slow:
                time.sleep(0.02)

    def close_hard(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def proxied(endpoint: str) -> Iterator[FaultyProxy]:
    """A proxy for a while."""
    proxy = FaultyProxy(endpoint)
    try:
        yield proxy
    finally:
        proxy.down()
