"""Runs recorder_node against a robot's streams and measures it from outside: /proc, and the bags that it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lwd_recorder.manifest import EpisodeManifest

from tools.bench.recording.bag_stamps import image_stamps
from tools.bench.recording.robot_streams import CAMERAS

DOMAIN = 191
LARGE_IMAGES = Path(__file__).parents[3] / 'src/lwd_bringup/config/fastdds_raw_images.xml'
"""Fast DDS profile of processes that publish raw images: its shared memory holds many."""
_ROBOT = 'bench'
_TICK_S = 1.0 / os.sysconf('SC_CLK_TCK')
_PAGE = os.sysconf('SC_PAGE_SIZE')


@dataclass(slots=True)
class Outcome:
    """What one run was like."""

    cores: float = 0.0
    """CPU time of the recorder by wall time, within the first episode."""
    memory_mb: list[float] = field(default_factory=list)
    """Resident memory of the recorder, once a second."""
    published: list[int] = field(default_factory=list)
    """Images of each episode."""
    recorded: list[int] = field(default_factory=list)
    """Those of them that are in its bag."""
    first_frame_s: list[float] = field(default_factory=list)
    """From each episode's start to the first frame of any camera in its bag."""
    between: int = 0
    """Images from the first start to the last end that are in no bag."""
    size_bytes: list[int] = field(default_factory=list)
    """Bytes of each bag."""

    @property
    def lost(self) -> int:
        """Images of episodes that are not in their bags."""
        return sum(self.published) - sum(self.recorded)


def record(home: Path, *, raw: bool, episodes: list[float]) -> Outcome:
    """Record episodes of these lengths, s, back to back.

    Args:
        home: a folder on a disk with enough room; the bags stay in it.
        raw: three raw streams, else three of JPEG.
        episodes: their lengths, s.

    Raises:
        TimeoutError: a process did not do its part.
    """
    environment = os.environ | {'ROS_DOMAIN_ID': str(DOMAIN), 'LWD_HOME': str(home)}
    suffix = 'image_raw' if raw else 'image/compressed'
    topics = ', '.join(f'camera/{camera}/{suffix}' for camera in CAMERAS)
    large = {'FASTRTPS_DEFAULT_PROFILES_FILE': str(LARGE_IMAGES)} if raw else {}
    recorder = _start(
        'lwd_recorder.nodes.recorder_node', environment, subprocess.DEVNULL,
        '-p', f'cameras:=[{topics}]',
    )  # fmt: skip
    plan = json.dumps({'raw': raw, 'episodes': episodes})
    streams = _start(
        'tools.bench.recording.robot_streams', environment | large, subprocess.PIPE, plan
    )
    outcome = Outcome()
    try:
        said = _watch(recorder, streams, outcome, 240.0 + 2.0 * sum(episodes))
    finally:
        for process in (streams, recorder):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    _compare(home, said['published'], outcome)
    return outcome


def _start(
    module: str, environment: dict[str, str], out: int, *arguments: str
) -> subprocess.Popen[bytes]:
    before = arguments if out == subprocess.PIPE else ()
    after = () if out == subprocess.PIPE else arguments
    return subprocess.Popen(
        [sys.executable, '-m', module, *before, '--ros-args', '-r', f'__ns:=/{_ROBOT}', *after],
        env=environment,
        stdout=out,
    )


def _watch(
    recorder: subprocess.Popen[bytes],
    streams: subprocess.Popen[bytes],
    outcome: Outcome,
    limit_s: float,
) -> dict:
    """Follow what the robot says; measure the recorder meanwhile."""
    lines: list[tuple[float, float, dict]] = []
    assert streams.stdout is not None
    reader = threading.Thread(
        target=_read, args=(streams.stdout, recorder.pid, lines), daemon=True
    )
    reader.start()
    give_up_s = time.monotonic() + limit_s
    while reader.is_alive():
        if time.monotonic() > give_up_s or recorder.poll() is not None:
            raise TimeoutError('the recorder or the robot did not do its part; see its messages')
        if any('began' in said for _, _, said in lines):
            outcome.memory_mb.append(_memory_mb(recorder.pid))
        reader.join(1.0)
    began = [one for one in lines if 'began' in one[2] or 'ended' in one[2]]
    if not lines or 'published' not in lines[-1][2]:
        raise TimeoutError('the robot left before its plan was done')
    outcome.memory_mb = outcome.memory_mb or [_memory_mb(recorder.pid)]
    (start_s, start_cpu_s, _), (end_s, end_cpu_s, _) = began[:2]
    outcome.cores = (end_cpu_s - start_cpu_s) / (end_s - start_s)
    return lines[-1][2]


def _read(out: IO[bytes], pid: int, lines: list[tuple[float, float, dict]]) -> None:
    for line in out:
        lines.append((time.monotonic(), _cpu_s(pid), json.loads(line)))


def _compare(home: Path, published: list[dict], outcome: Outcome) -> None:
    stamps: dict[str, set[int]] = {}
    total = 0
    for episode in published:
        folder = home / 'robots' / _ROBOT / 'spool' / 'episodes' / episode['id']
        manifest = EpisodeManifest.load(folder)
        found = image_stamps(folder)
        inside = [
            (one, topic)
            for topic, several in found.items()
            for one in several
            if episode['started_ns'] <= one.stamp_ns <= episode['ended_ns']
        ]
        for one, topic in inside:
            stamps.setdefault(topic, set()).add(one.stamp_ns)
        total += episode['images']
        outcome.published.append(episode['images'])
        outcome.recorded.append(len({(one.stamp_ns, topic) for one, topic in inside}))
        first_ns = min((one.log_ns for one, _ in inside), default=episode['ended_ns'])
        outcome.first_frame_s.append((first_ns - episode['started_ns']) / 1e9)
        outcome.size_bytes.append(manifest.size_bytes)
    outcome.between = total - sum(map(len, stamps.values()))


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far, all threads, s."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _memory_mb(pid: int) -> float:
    """Resident memory of a process, shared segments included, MB."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * _PAGE / 1e6
