"""Published files over HTTP, with ranges, so that a robot's cut pull is resumed. Reads only, no listing."""

from __future__ import annotations

import logging
import re
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lwd_learner.publish.archive import POLICY_FILE, Archive

CONNECTIONS = 32  # at the same time; more are told to come again
SILENCE_S = 30.0  # a robot that takes nothing for so long is given up
PATH = re.compile(rf'^/v(\d{{6,12}})/{re.escape(POLICY_FILE)}(\.delta)?$')
RANGE = re.compile(r'^bytes=(\d{1,15})-(\d{0,15})$')

_log = logging.getLogger(__name__)


class FileServer:
    """Serves an archive from threads of its own until `close`."""

    def __init__(self, archive: Archive, host: str, port: int) -> None:
        """Listen at once.

        Raises:
            OSError: the address cannot be used.
        """
        slots = threading.BoundedSemaphore(CONNECTIONS)

        class Handler(_Handler):
            pass

        Handler.archive, Handler.slots = archive, slots
        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._host = host
        self._thread = threading.Thread(
            target=self._server.serve_forever, name='weights-http', daemon=True
        )
        self._thread.start()

    def uri(self, version: int) -> str:
        """Return where a version's file is."""
        return f'http://{self._host}:{self._server.server_port}/v{version:06d}/{POLICY_FILE}'

    def close(self) -> None:
        """Stop listening; transfers under way are cut."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    archive: Archive
    slots: threading.BoundedSemaphore
    timeout = SILENCE_S

    def do_GET(self) -> None:
        """Send a file, or the rest of it."""
        if not self.slots.acquire(blocking=False):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, 'busy with other robots')
            return
        try:
            self._send()
        except OSError as error:
            _log.info('transfer to %s cut: %s', self.client_address[0], error)
        finally:
            self.slots.release()

    def _send(self) -> None:
        wanted = PATH.match(self.path)
        if wanted is None or int(wanted[1]) not in self.archive.versions():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        version = int(wanted[1])
        path: Path = (
            self.archive.delta_path(version) if wanted[2] else self.archive.policy_path(version)
        )
        try:
            file = path.open('rb')
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = path.stat().st_size
            asked = RANGE.match(self.headers.get('Range', ''))
            begin = int(asked[1]) if asked else 0
            end = min(int(asked[2]) + 1 if asked and asked[2] else size, size)
            if begin >= end:
                self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                return
            self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
            if asked:
                self.send_header('Content-Range', f'bytes {begin}-{end - 1}/{size}')
            self.send_header('Content-Type', 'application/octet-stream')
            self.send_header('Accept-Ranges', 'bytes')
            self.send_header('Content-Length', str(end - begin))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file, begin, end - begin)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on stderr."""
        _log.debug(format, *args)
