"""Where published files can be had besides the service: this file system, our HTTP server, an S3 store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from lwd_policy_node.weights.checks import file_sha256
from lwd_recorder.store import StoreError, open_store

from lwd_learner.publish.archive import POLICY_FILE, Archive
from lwd_learner.publish.http_server import FileServer

FILE = 'file'


class Locations:
    """Brings files to the places named, and says their URIs."""

    def __init__(self, places: tuple[str, ...], archive: Archive) -> None:
        """Check the places; nothing is opened yet.

        Args:
            places: ``file``, ``http://host:port`` or ``s3://bucket/prefix``, best first.
            archive: what is served.

        Raises:
            ValueError: a place is none of these.
        """
        for place in places:
            address = urlsplit(place)
            whole = address.netloc and (address.scheme != 'http' or address.port is not None)
            if place != FILE and not (address.scheme in ('http', 's3') and whole):
                raise ValueError(
                    f'{place!r} is no place for weights: file, http://host:port or '
                    f's3://bucket/prefix'
                )
        self._places = places
        self._archive = archive
        self._servers: dict[str, FileServer] = {}

    def open(self) -> None:
        """Start to listen where HTTP is asked for.

        Raises:
            OSError: the address cannot be used.
        """
        for place in self._places:
            address = urlsplit(place)
            if address.scheme == 'http' and place not in self._servers:
                self._servers[place] = FileServer(
                    self._archive, address.hostname or '127.0.0.1', address.port or 0
                )

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def of(self, version: int, path: Path) -> tuple[str, ...]:
        """Bring a version's file and its difference to every place; return its URIs.

        Raises:
            OSError: a store does not take it.
        """
        return tuple(self._bring(place, version, path) for place in self._places)

    def _bring(self, place: str, version: int, path: Path) -> str:
        if place == FILE:
            return path.resolve().as_uri()
        if place.startswith('http:'):
            server = self._servers.get(place)
            if server is not None:
                return server.uri(version)
            return f'{place.rstrip("/")}/v{version:06d}/{POLICY_FILE}'
        store = open_store(place)
        key = f'v{version:06d}/{POLICY_FILE}'
        try:
            store.put_file(path, key, file_sha256(path))
            delta = self._archive.delta_path(version)
            if delta.is_file():
                store.put_file(delta, f'v{version:06d}/{delta.name}', file_sha256(delta))
        except StoreError as error:
            raise OSError(f'weights cannot be uploaded: {error}') from error
        return f'{store.uri}/{key}'
