"""Counts what goes over the wire to a server: a TCP relay on loopback."""

from __future__ import annotations

import socket
import threading


class CountingRelay:
    """Passes connections on; `sent_bytes` is what clients sent, headers included."""

    def __init__(self, host: str, port: int) -> None:
        """Listen on a free port of loopback for what goes to host:port."""
        self._target = host, port
        self._lock = threading.Lock()
        self.sent_bytes = 0
        """Bytes from clients to the server so far."""
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        """Where it listens."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._target)
            for one, other, counted in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._pass, args=(one, other, counted), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(1 << 18):
                if counted:
                    with self._lock:
                        self.sent_bytes += len(data)
                sink.sendall(data)
        except OSError:  # a killed client resets its connections
            pass
        finally:
            source.close()
            sink.close()
