"""One plain bag as an episode's samples, by a mapping. The bag is read once for the vectors and once per camera."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from lwd_recorder.bag import FileRecord
from lwd_recorder.manifest import file_record
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from lwd_learner.interop.errors import InteropError
from lwd_learner.interop.frames import Picture, RawEpisode, Samples
from lwd_learner.interop.labels import Label
from lwd_learner.interop.mapping import NEXT_STATE, ImportMapping
from lwd_learner.interop.rosbag.messages import PICTURES, VECTORS, Vector

DATA_SUFFIXES = ('.mcap', '.db3')
Read = TypeVar('Read')


def bag_id(robot_id: str, bag: Path, files: tuple[FileRecord, ...]) -> str:
    """The id of a bag's episode: of its name and its bytes, the same whenever the same bag is imported."""
    word = re.sub(r'[^A-Za-z0-9]+', '-', bag.resolve().name).strip('-')[:60] or 'bag'
    data = next(file for file in files if file.name.endswith(DATA_SUFFIXES))
    return f'{robot_id}-{word}-{data.sha256[:8]}'


def bag_files(bag: Path) -> tuple[FileRecord, ...]:
    """Size and hash of every file of a bag.

    Raises:
        InteropError: no folder with metadata.yaml and data.
    """
    if not (bag / 'metadata.yaml').is_file():
        raise InteropError(
            f'{bag} is no bag: it has no metadata.yaml; give the folder of the bag (ros2 bag reindex makes one)'
        )
    paths = sorted(p for p in bag.iterdir() if p.suffix in DATA_SUFFIXES)
    if not paths:
        if packed := sorted(p.name for p in bag.glob('*.zstd')):
            raise InteropError(
                f'{bag}: {packed[0]} is compressed as a whole; unpack it (zstd -d --rm {packed[0]}) and write the '
                'metadata anew (ros2 bag reindex)'
            )
        raise InteropError(f'{bag} holds no {" or ".join(DATA_SUFFIXES)}')
    return tuple(file_record(path) for path in [bag / 'metadata.yaml', *paths])


def raw_bag(
    bag: Path, mapping: ImportMapping, label: Label, files: tuple[FileRecord, ...]
) -> RawEpisode:
    """One bag as its samples.

    Raises:
        InteropError: a topic is missing or of a type that is not understood, or there is no verdict.
    """
    outcome = label.outcome or mapping.outcome.outcome
    if not outcome:
        raise InteropError(
            f'no verdict for {bag.name}: give outcome in the mapping, --outcome, or a label file'
        )
    instruction = label.instruction or mapping.instruction
    if not instruction:
        raise InteropError(
            f'no instruction for {bag.name}: give it in the mapping, or in a label file'
        )
    topics = {mapping.state.source}
    if mapping.action.source != NEXT_STATE:
        topics.add(mapping.action.source)
    vectors = _vectors(bag, topics, mapping.stamps)
    state, velocity = vectors[mapping.state.source]
    action = None
    if mapping.action.source != NEXT_STATE:
        action, _ = vectors[mapping.action.source]
    return RawEpisode(
        episode_id=bag_id(mapping.robot_id, bag, files),
        instruction=instruction,
        task=label.task or mapping.task,
        outcome=outcome,
        files=files,
        state=state,
        velocity=velocity if mapping.state.velocity == 'message' else None,
        action=action,
        pictures={
            camera: _pictures(bag, topic, mapping.stamps)
            for camera, topic in mapping.cameras.items()
        },
    )


def _messages(
    bag: Path, topics: set[str], readers: Mapping[str, Any], stamps: str
) -> Iterator[tuple[str, int, Any]]:
    """Topic, stamp in ns and what `readers` makes of each message, by type."""
    store = get_typestore(Stores.ROS2_JAZZY)
    try:
        with AnyReader([bag], default_typestore=store) as reader:
            types = {c.topic: c.msgtype for c in reader.connections}
            for topic in sorted(topics):
                if topic not in types:
                    raise InteropError(
                        f'{bag.name} has no topic {topic}; it has {", ".join(sorted(types)) or "none"}'
                    )
                if types[topic] not in readers:
                    raise InteropError(
                        f'{bag.name}: {topic} is of type {types[topic]}; understood are {", ".join(readers)}'
                    )
            wanted = [c for c in reader.connections if c.topic in topics]
            for connection, received_ns, data in reader.messages(connections=wanted):
                message = reader.deserialize(data, connection.msgtype)
                stamp = received_ns
                if stamps == 'header' and hasattr(message, 'header'):
                    header = message.header.stamp
                    stamp = int(header.sec) * 1_000_000_000 + int(header.nanosec) or received_ns
                yield connection.topic, stamp, readers[connection.msgtype](message)
    except InteropError:
        raise
    except (AnyReaderError, OSError, LookupError, ValueError, TypeError, AssertionError) as error:
        raise InteropError(
            f'{bag.name} cannot be read: {type(error).__name__}: {error}; check it with ros2 bag info'
        ) from error


def _vectors(
    bag: Path, topics: set[str], stamps: str
) -> dict[str, tuple[Samples, Samples | None]]:
    """Per topic its samples, and velocities where messages have them."""
    found: dict[str, list[tuple[int, Vector]]] = {topic: [] for topic in topics}
    for topic, stamp, vector in _messages(bag, topics, VECTORS, stamps):
        found[topic].append((stamp, vector))
    return {topic: _samples(messages) for topic, messages in found.items()}


def _samples(messages: list[tuple[int, Vector]]) -> tuple[Samples, Samples | None]:
    """One row per message; a column that a message does not name keeps its last value, and is NaN before it has one."""
    messages = sorted(messages, key=lambda entry: entry[0])
    columns = list(dict.fromkeys(name for _, (names, _, _) in messages for name in names))
    number = {name: i for i, name in enumerate(columns)}
    values = np.full((len(messages), len(columns)), np.nan)
    rates = np.full((len(messages), len(columns)), np.nan)
    heard = np.zeros((len(messages), len(columns)), np.bool_)
    for row, (_, (names, of, velocity)) in enumerate(messages):
        if row:
            values[row], rates[row] = values[row - 1], rates[row - 1]
        at = [number[name] for name in names]
        heard[row, at] = True
        values[row, at] = of
        rates[row, at] = velocity if len(velocity) else np.nan
    stamps: npt.NDArray[np.int64] = np.array([stamp for stamp, _ in messages], np.int64)
    measured = None if np.isnan(rates).all() else Samples(stamps, rates, columns, heard)
    return Samples(stamps, values, columns, heard), measured


def _pictures(bag: Path, topic: str, stamps: str) -> Iterator[tuple[int, Picture]]:
    for _, stamp, picture in _messages(bag, {topic}, PICTURES, stamps):
        yield stamp, picture
