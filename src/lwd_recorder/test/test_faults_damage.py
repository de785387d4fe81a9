"""Truncated and bit-flipped chunks, before an episode is closed and while it waits for the store."""

from __future__ import annotations

import io
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_rig.account import delivered, drain, recorded, without_hole
from fault_rig.ledger import Ledger
from fault_rig.victim import RecordPlan, finish, start
from lwd_recorder.recording.recovery import recover_bag
from lwd_recorder.spool import Spool, State
from lwd_recorder.store import FolderStore
from mcap.exceptions import McapError
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader

pytestmark = [pytest.mark.faults]

FRAMES = 60
WHOLE = FRAMES + 2


def plan(home: Path, episodes: list[str]) -> RecordPlan:
    return RecordPlan(
        str(home / 'spool'), str(home / 'ledger'), ['a'], episodes, frames=FRAMES,
        config={'max_file_s': 0.0},
    )  # fmt: skip


def before(path: Path, damage: int) -> int:
    """Return how many of the first messages are in chunks that end before a byte of a file."""
    messages: list[tuple[str, str, bytes]] = []
    channels: dict[int, Channel] = {}
    schemas: dict[int, Schema] = {}
    reader = StreamReader(io.BytesIO(path.read_bytes()[:damage]), validate_crcs=True)
    try:
        for record in reader.records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                channel = channels[record.channel_id]
                messages.append((channel.topic, schemas[channel.schema_id].name, record.data))
    except (McapError, struct.error, ValueError):  # the file ends in the middle of a record
        pass
    return without_hole(messages, 'a', 3000)


def spoil(path: Path, dice: random.Random, kind: str) -> int:
    """Damage a file; return the first byte that is wrong."""
    data = bytearray(path.read_bytes())
    at = dice.randrange(8, len(data) - 8)
    if kind == 'truncated':
        path.write_bytes(data[:at])
    elif kind == 'flipped':
        data[at] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
    else:  # a sector that was never written
        end = min(len(data), at + 512)
        data[at:end] = bytes(end - at)
        path.write_bytes(data)
    return at


@pytest.fixture(scope='module')
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp('closed')
    assert finish(start(plan(home, ['a']))) == 0
    yield home


@pytest.mark.parametrize('kind', ['truncated', 'flipped', 'zeroed'])
def test_damage_while_it_waits_is_never_delivered_as_whole(
    closed: Path, tmp_path: Path, kind: str
) -> None:
    """It is quarantined with the reason; repaired, it arrives once, says so, and all before the damage is in it."""
    dice = random.Random(kind)
    for trial in range(15):
        home = tmp_path / str(trial)
        shutil.copytree(closed, home)
        path = home / 'spool' / 'episodes' / 'a' / 'a_0.mcap'
        whole = path.read_bytes()
        at = spoil(path, dice, kind)
        damaged = path.read_bytes()
        if damaged == whole:
            continue
        due = before(path, at)
        store = FolderStore(home / 'store')
        drain(home / 'spool', store)
        assert delivered(store) == {}
        spool = Spool(home / 'spool')
        [entry] = spool.entries()
        assert entry.state is State.QUARANTINED
        assert 'sha256' in entry.reason
        assert (spool.quarantine_folder('a') / 'a_0.mcap').read_bytes() == damaged
        spool.take_back('a')
        spool.recover_episode('a', recover_bag)
        [entry] = spool.entries()
        kept = [path.read_bytes() for path in spool.originals('a').glob('a_0.mcap*')]
        if entry.state is State.QUARANTINED:  # nothing before the damage
            assert due == 0, entry.reason
            assert (spool.quarantine_folder('a') / 'a_0.mcap').read_bytes() == damaged
        else:
            drain(home / 'spool', store)
            [manifest] = delivered(store).values()
            assert manifest.recovered
            assert manifest.outcome == 'success', 'its verdict was known'
            count = recorded(store, manifest, 3000)
            assert count >= due
            if manifest.lost is not None and manifest.lost.bytes:
                assert damaged in kept, 'the damaged original is not kept'
        spool.close()
        shutil.rmtree(home)


@pytest.mark.parametrize('kind', ['truncated', 'flipped', 'zeroed'])
def test_damage_of_an_episode_that_was_left_open(closed: Path, tmp_path: Path, kind: str) -> None:
    """A crash and a bad sector together: the next recorder makes of it what can be verified."""
    dice = random.Random(f'open {kind}')
    for trial in range(8):
        home = tmp_path / str(trial)
        shutil.copytree(closed, home)
        folder = home / 'spool' / 'episodes' / 'a'
        for name in ('manifest.json', 'metadata.yaml'):
            (folder / name).unlink()
        at = spoil(folder / 'a_0.mcap', dice, kind)
        due = before(folder / 'a_0.mcap', at)
        spool = Spool(home / 'spool')
        spool._journal._database.execute("UPDATE episodes SET state = 'open'")
        spool.close()
        assert finish(start(plan(home, []))) == 0
        store = FolderStore(home / 'store')
        drain(home / 'spool', store)
        found = delivered(store)
        if due:
            assert recorded(store, found['a'], 3000) >= due
        spool = Spool(home / 'spool')
        [entry] = spool.entries()
        assert entry.state in (State.DELETED, State.QUARANTINED)
        spool.close()
        assert Ledger(home / 'ledger', ['a']).closed('a')
        shutil.rmtree(home)
