"""Makes an episode out of what a killed recorder left behind: repaired files, metadata.yaml, a manifest that says so.

What an episode is and how it ended stands in the Episode messages of its own bag; one without an end is aborted. Safe
to run again after any interruption: a file is replaced only when its repaired version is durable, and an original
with bytes that are in no repaired file is kept aside first.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from lwd_recorder.bag.measure import StreamMeasure
from lwd_recorder.bag.metadata import (
    FileExtent,
    OfferedQos,
    TopicMetadata,
    as_yaml_text,
    bag_information,
)
from lwd_recorder.bag.records import TopicRecord
from lwd_recorder.bag.repair import FileScan, TopicScan, repair_file, scan_file
from lwd_recorder.bag.schema import SchemaError, type_hash
from lwd_recorder.bag.verified import MAGIC
from lwd_recorder.bag.writer import METADATA_NAME
from lwd_recorder.durable import fsync_folder, write_atomically
from lwd_recorder.manifest import (
    EpisodeManifest,
    LossRecord,
    ManifestError,
    ManifestUnreadableError,
    file_record,
)
from lwd_recorder.recording.told import ENDED_BY, LABEL_FIELDS, Told
from lwd_recorder.spool import UnrecoverableError

_SPLIT = re.compile(r'_(\d+)\.mcap$')
_NS = 1_000_000_000


def recover_bag(
    folder: Path,
    aside: Path,
    profile: str,
    *,
    periodic: Collection[str] = (),
    wall_s: Callable[[], float] = time.time,
) -> EpisodeManifest:
    """Repair an episode's folder in place and write its manifest.

    Args:
        folder: the bag of an episode, named after it, never closed or damaged.
        aside: folder for originals with bytes that are in no repaired file; made when needed.
        profile: robot profile's name, for the manifest.
        periodic: absolute names of the topics that have a steady rate.
        wall_s: wall clock, s since the epoch; the end of an episode that has none is its last file's mtime.

    Raises:
        UnrecoverableError: nothing can be verified, or no Episode message says what it is.
        OSError: the disk does not give or take the bytes; run it again.
        ManifestUnreadableError: nor an earlier manifest, which has the label; run it again.
        ManifestError: what the Episode message said does not make a manifest.
    """
    for leftover in folder.glob('.*.part'):  # copies of an interrupted repair
        leftover.unlink()
    paths = sorted(folder.glob('*.mcap'), key=_split_number)
    if not paths:
        raise UnrecoverableError('it has no .mcap file')
    changed_s = max(path.stat().st_mtime for path in paths)
    told = Told(folder.name)
    found = [_recover_file(path, aside, told) for path in paths]
    scans = [scan for scan in found if scan.count]
    if not scans:
        reasons = '; '.join(f'{scan.path.name}: {scan.damage or "no message"}' for scan in found)
        raise UnrecoverableError(f'no message in it can be verified ({reasons})')
    end_ns = max(scan.end_ns for scan in scans)
    known, earlier = _label_of(folder)
    label = known or told.label(profile, end_ns, min(changed_s, wall_s()))
    for scan in found:
        if not scan.count:
            _set_aside(scan.path, aside)
            scan.path.unlink()
    fsync_folder(folder)
    _write_metadata(folder, scans, str(label['robot_id']))
    started_ns, ended_ns = (round(label[name] * _NS) for name in ('started_s', 'ended_s'))
    manifest = EpisodeManifest(
        **label,
        committed_wall_s=0.0,
        files=tuple(file_record(folder / name) for name in _names(scans)),
        topics=_measured(scans, started_ns, ended_ns, periodic),
        policy_versions=tuple(sorted(told.facts.policy_versions)),
        takeovers=told.facts.takeovers,
        human_s=round(told.facts.human_ns / _NS, 6),
        recovered=True,
        lost=_loss(found, end_ns),
        notes=(*earlier, *_notes(found, aside, ended_by=str(label['ended_by']))),
    )
    manifest.save(folder)
    return manifest


def _label_of(folder: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return label and notes of an earlier manifest of the same folder: it was closed, and damaged later."""
    try:
        known = EpisodeManifest.load(folder)
    except ManifestUnreadableError:
        raise
    except ManifestError:
        return None, ()
    return {name: getattr(known, name) for name in LABEL_FIELDS}, known.notes


def _recover_file(path: Path, aside: Path, told: Told) -> FileScan:
    """Put a finished file in the place of one that is not; return what the original held."""
    if _looks_finished(path):
        scan = scan_file(path)
        if scan.whole:
            return _told_again(path, aside, told)
    target = path.with_name(f'.{path.name}.part')
    scan = repair_file(path, target, told.take)
    if not scan.count:
        target.unlink()
        return scan
    if scan.lost_bytes:
        _set_aside(path, aside)
    target.replace(path)
    fsync_folder(path.parent)
    return scan


def _told_again(path: Path, aside: Path, told: Told) -> FileScan:
    """A file that is whole, or was repaired before an earlier recovery was interrupted: then the original counts."""
    scan = scan_file(path, told.take)
    original = aside / path.name
    if original.is_file() and not original.samefile(path):
        return replace(scan_file(original), path=path)
    return scan


def _set_aside(path: Path, aside: Path) -> None:
    """Give a file a second name in the folder of originals, durably."""
    aside.mkdir(parents=True, exist_ok=True)
    target, number = aside / path.name, 1
    while target.exists() and not target.samefile(path):  # of an earlier repair
        number += 1
        target = aside / f'{path.name}.{number}'
    if not target.exists():
        os.link(path, target)
    fsync_folder(aside)
    fsync_folder(aside.parent)


def _looks_finished(path: Path) -> bool:
    with path.open('rb') as file:
        file.seek(-min(len(MAGIC), path.stat().st_size), os.SEEK_END)
        return file.read() == MAGIC


def _names(scans: Sequence[FileScan]) -> list[str]:
    return [*(scan.path.name for scan in scans), METADATA_NAME]


def _split_number(path: Path) -> tuple[int, str]:
    match = _SPLIT.search(path.name)
    return (int(match.group(1)) if match else -1, path.name)


def _measured(
    scans: Sequence[FileScan], started_ns: int, ended_ns: int, periodic: Collection[str]
) -> dict[str, TopicRecord]:
    measures: dict[str, tuple[str, StreamMeasure]] = {}
    for scan in scans:
        for name, topic in scan.topics.items():
            fresh = StreamMeasure(started_ns, periodic=name in periodic)
            _, measure = measures.setdefault(name, (topic.type_name, fresh))
            for stamp_ns, log_ns in zip(topic.stamps_ns, topic.logs_ns, strict=True):
                measure.add(stamp_ns, log_ns)
    for _, measure in measures.values():
        measure.end(ended_ns)
    return {name: measure.record(type_name) for name, (type_name, measure) in measures.items()}


def _loss(found: Sequence[FileScan], end_ns: int) -> LossRecord:
    damaged = [scan for scan in found if scan.lost_bytes]
    until_ns = max((scan.lost_until_ns for scan in damaged), default=0)
    topics = {name for scan in damaged for name in scan.topics}
    return LossRecord(
        bytes=sum(scan.lost_bytes for scan in damaged),
        seconds=max(0, until_ns - end_ns) / _NS,
        topics=tuple(sorted(topics)),
    )


def _notes(found: Sequence[FileScan], aside: Path, *, ended_by: str) -> list[str]:
    notes = ['not closed by its recorder; repaired to the longest verified prefix of each file']
    if ended_by == ENDED_BY:
        notes.append('no end was recorded; the end is that of the last message')
    for scan in found:
        if scan.lost_bytes:
            notes.append(
                f'{scan.path.name}: {scan.lost_bytes} of {scan.size_bytes} bytes lost '
                f'({scan.damage or "not finished"}); the original is kept as {aside / scan.path.name}'
            )
    return notes


def _write_metadata(folder: Path, scans: Sequence[FileScan], robot_id: str) -> None:
    counts: dict[str, int] = {}
    first: dict[str, TopicScan] = {}
    for scan in scans:
        for name, topic in scan.topics.items():
            counts[name] = counts.get(name, 0) + len(topic.stamps_ns)
            first.setdefault(name, topic)
    information = bag_information(
        files=[FileExtent(s.path.name, s.start_ns, s.end_ns, s.count) for s in scans],
        topics=[
            TopicMetadata(name, of.type_name, _hash(of.type_name), _qos(of.qos), counts[name])
            for name, of in first.items()
        ],
        custom_data={'episode_id': folder.name, 'robot_id': robot_id},
        ros_distro=os.environ.get('ROS_DISTRO', 'jazzy'),
    )
    text = as_yaml_text({'rosbag2_bagfile_information': information})
    write_atomically(folder / METADATA_NAME, text.encode())


def _hash(type_name: str) -> str:
    try:
        return type_hash(type_name)
    except SchemaError:
        return ''


def _qos(text: str) -> OfferedQos:
    """Read back what a channel says of its publisher; the default where it says nothing that is understood."""
    try:
        [profile] = yaml.safe_load(text)
        lifespan_s = float(profile['lifespan']['sec']) + profile['lifespan']['nsec'] * 1e-9
        return OfferedQos(
            reliability=str(profile['reliability']),
            durability=str(profile['durability']),
            depth=int(profile['depth']),
            lifespan_s=None if lifespan_s > 1e9 else lifespan_s,
        )
    except (yaml.YAMLError, TypeError, ValueError, KeyError):
        return OfferedQos()
