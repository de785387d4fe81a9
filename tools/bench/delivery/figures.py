"""How fast an episode gets into S3, beside `dd` into the same server, and what SIGKILL costs."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from lwd_recorder.delivery import deliver
from lwd_recorder.manifest import EpisodeManifest
from lwd_recorder.spool import Spool
from lwd_recorder.store import StoreOptions, open_store
from lwd_recorder.store.loopback import serving

from tools.bench.delivery.episode import closed_episode
from tools.bench.delivery.relay import CountingRelay
from tools.bench.figure import Figure

_REPEATS = 3
_KILLS = 3
_KILLED_CAP = 100e6  # so that a kill falls into the middle


def delivery_figures() -> list[Figure]:
    """Measure; `BENCH_UPLOAD_MB` (1000) is the size of the episode.

    Raises:
        ValueError: it is less than 64, or there is too little room on the disk of runs/.
        FileNotFoundError: SeaweedFS or dd is not installed.
        TimeoutError: the server or an uploader did not do its part.
    """
    size_mb = float(os.environ.get('BENCH_UPLOAD_MB', '1000'))
    if not size_mb >= 64:
        raise ValueError(f'BENCH_UPLOAD_MB must be 64 or more, not {size_mb:g}')
    runs = Path('runs')
    runs.mkdir(exist_ok=True)
    needed = size_mb * 1e6 * (2 * _REPEATS + _KILLS + 2) + (3 << 30)
    free = shutil.disk_usage(runs).free
    if free < needed:
        raise ValueError(
            f'{free / 1e9:.0f} GB free at {runs.resolve()}, {needed / 1e9:.0f} GB needed'
        )
    with (
        tempfile.TemporaryDirectory(prefix='bench-delivery-', dir=runs.resolve()) as home,
        serving(Path(home, 'server'), 'episodes') as uri,
    ):
        spool = Path(home, 'spool')
        manifest = closed_episode(spool, 'bench', round(size_mb * 1e6))
        ours, dd = _speeds(spool / 'episodes' / 'bench', manifest, uri)
        again = _sent_again(spool, manifest, uri)
    what = f'upload of {manifest.size_bytes / 1e6:.0f} MB to SeaweedFS'
    return [
        Figure(f'{what} by dd', dd, 'MB/s', 0, 'higher'),
        Figure(f'{what}, verified', ours, 'MB/s', 0, 'higher'),
        Figure(f'{what}: share of dd', ours / dd, '', 0.7, 'higher'),
        Figure('sent again after SIGKILL, most of 3', again, 'parts', 1.0, 'lower'),
    ]


def _speeds(folder: Path, manifest: EpisodeManifest, uri: str) -> tuple[float, float]:
    """Upload in turn; return the medians, MB/s."""
    ours, dd = [], []
    for number in range(_REPEATS):
        delivery = deliver(open_store(f'{uri}/ours-{number}'), folder)
        ours.append(delivery.sent_bytes / delivery.elapsed_s / 1e6)
        dd.append(_dd(sorted(folder.glob('*.mcap')), uri, number))
    return statistics.median(ours), statistics.median(dd)


def _dd(paths: list[Path], uri: str, number: int) -> float:
    """Pipe files by dd into plain PUTs: nothing is hashed, compared or resumed; MB/s."""
    bucket = urlsplit(uri).netloc
    client = boto3.client('s3')
    total, began_s = 0, time.perf_counter()
    for path in paths:
        place = {'Bucket': bucket, 'Key': f'dd-{number}/{path.name}'}
        url = urlsplit(client.generate_presigned_url('put_object', Params=place))
        with subprocess.Popen(
            ['dd', f'if={path}', 'bs=16M', 'status=none'], stdout=subprocess.PIPE
        ) as dd:
            server = http.client.HTTPConnection(url.hostname or '', url.port, blocksize=1 << 20)
            size = path.stat().st_size
            server.request(
                'PUT',
                f'{url.path}?{url.query}',
                body=dd.stdout,
                headers={'Content-Length': str(size)},
            )
            answer = server.getresponse()
            said = answer.read()
            server.close()
        if answer.status != 200:
            raise ValueError(f'the server refused what dd sent: {answer.status} {said[:300]!r}')
        total += size
    return total / (time.perf_counter() - began_s) / 1e6


def _sent_again(spool: Path, manifest: EpisodeManifest, uri: str) -> float:
    """Kill uploads in their middle and finish them; return the most that was sent twice, parts."""
    target = urlsplit(os.environ['AWS_ENDPOINT_URL'])
    worst = 0.0
    for number in range(_KILLS):
        root = spool.with_name(f'spool-{number}')
        shutil.copytree(spool, root)
        relay = CountingRelay(target.hostname or '', target.port or 80)
        environment = os.environ | {'AWS_ENDPOINT_URL': relay.url}
        store = f'{uri}/killed-{number}'
        process = _uploader(root, store, environment)
        _wait_for(relay, manifest.size_bytes * (number + 1) / (_KILLS + 2), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if _uploader(root, store, environment).wait(600) != 0:
            raise TimeoutError('the second uploader failed; its message is above')
        left = Spool(root)
        states = [str(entry.state) for entry in left.entries()]
        left.close()
        if states != ['deleted']:
            raise TimeoutError(f'the episode is {states} after its upload')
        relay.close()
        extra = max(0, relay.sent_bytes - manifest.size_bytes)
        worst = max(worst, extra / StoreOptions().part_bytes)
        shutil.rmtree(root)
    return worst


def _uploader(root: Path, store: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, '-m', 'lwd_recorder.command.bag', 'upload', str(root), '--store', store,
        '--max-bytes-per-s', str(_KILLED_CAP),
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def _wait_for(relay: CountingRelay, count: float, process: subprocess.Popen[bytes]) -> None:
    give_up_s = time.monotonic() + 120
    while relay.sent_bytes < count:
        if process.poll() is not None or time.monotonic() > give_up_s:
            raise TimeoutError('the uploader left before it was to be killed')
        time.sleep(0.005)
