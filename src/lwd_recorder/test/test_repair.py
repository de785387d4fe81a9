"""A damaged file is repaired to all that came before the damage, and nothing that was not verified."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from lwd_recorder.bag import read_bag
from lwd_recorder.bag.repair import repair_file, scan_file
from mcap.reader import make_reader
from mcap.records import ChunkIndex
from mcap.writer import Writer

Maker = Callable[..., SimpleNamespace]


@pytest.fixture
def bag(tmp_path: Path, make_bag: Maker) -> SimpleNamespace:
    made = make_bag(tmp_path / 'ep', count=120, chunk_size_bytes=8192)
    made.path = made.folder / 'ep_0.mcap'
    return made


def kept_of(path: Path) -> list[tuple[str, int, bytes]]:
    return [(one.topic, one.log_time_ns, one.data) for one in read_bag(path)]


def chunks_of(path: Path) -> list[ChunkIndex]:
    with path.open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return summary.chunk_indexes


def test_whole_file_is_whole(bag: SimpleNamespace) -> None:
    scan = scan_file(bag.path)
    assert scan.whole
    assert (scan.count, scan.lost_bytes, scan.damage) == (240, 0, '')


@pytest.mark.parametrize('kind', ['cut', 'flip', 'zeros', 'noise'])
def test_what_is_kept_is_a_prefix_of_what_was_written(
    bag: SimpleNamespace, tmp_path: Path, kind: str
) -> None:
    """Whatever happened to the file, no message is changed, none is left out before the last one kept."""
    data, whole = bag.path.read_bytes(), kept_of(bag.path)
    damaged, repaired = tmp_path / 'damaged.mcap', tmp_path / 'repaired.mcap'
    draw = random.Random(kind)
    for _ in range(8):
        at, wrong = draw.randrange(len(data)), bytearray(data)
        if kind == 'cut':
            del wrong[at:]
        elif kind == 'flip':
            wrong[at] ^= 1 << draw.randrange(8)
        elif kind == 'zeros':
            wrong[at:] = bytes(len(data) - at)
        else:
            wrong[at:] = draw.randbytes(len(data) - at)
        damaged.write_bytes(wrong)
        scan = repair_file(damaged, repaired)
        kept = kept_of(repaired)
        assert kept == whole[: scan.count]
        with repaired.open('rb') as file:
            indexed = list(make_reader(file, validate_crcs=True).iter_messages())
        assert len(indexed) == scan.count
        again = scan_file(repaired)
        assert again.whole
        assert scan.record is not None
        assert scan.record.size_bytes == again.size_bytes
        assert scan.verified_bytes <= scan.size_bytes
        repaired.unlink()
        assert damaged.read_bytes() == wrong, 'the original is never touched'


def test_a_flipped_bit_costs_what_comes_after_it_in_this_file(
    bag: SimpleNamespace, tmp_path: Path
) -> None:
    wrong = bytearray(bag.path.read_bytes())
    wrong[len(wrong) // 2] ^= 4
    (tmp_path / 'damaged.mcap').write_bytes(wrong)
    scan = scan_file(tmp_path / 'damaged.mcap')
    assert 60 < scan.count < 180
    assert 'CRC' in scan.damage or 'LZ4' in scan.damage
    assert scan.lost_until_ns == max(message[3] for message in bag.written)
    assert scan.lost_bytes > len(wrong) // 3


def test_a_wrong_index_is_made_anew_and_costs_nothing(
    bag: SimpleNamespace, tmp_path: Path
) -> None:
    """Indexes have no CRC: each is held to its chunk, or a reader that seeks would miss messages of a sound file."""
    data = bag.path.read_bytes()
    damaged, repaired = tmp_path / 'damaged.mcap', tmp_path / 'repaired.mcap'
    chunks = chunks_of(bag.path)
    for chunk in chunks[:: len(chunks) // 4]:
        start = chunk.chunk_start_offset + chunk.chunk_length
        for at in random.Random(start).sample(range(start, start + chunk.message_index_length), 6):
            wrong = bytearray(data)
            wrong[at] ^= 1 << at % 8
            damaged.write_bytes(wrong)
            scan = repair_file(damaged, repaired)
            assert not scan.whole
            if scan.count == 240:  # else a length was hit, and the way to the next record is lost
                assert kept_of(repaired) == kept_of(bag.path)
                assert scan_file(repaired).whole
            repaired.unlink()


def test_a_text_that_passes_the_end_of_its_record_is_damage(tmp_path: Path) -> None:
    """Metadata have no CRC. mcap gives what is left of the record, and a reader of the whole file goes astray."""
    path, repaired = tmp_path / 'x.mcap', tmp_path / 'repaired.mcap'
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start()
        writer.add_metadata('before', {'key': 'value'})
        writer.add_metadata('note', {'key': 'x' * 40})
        writer.add_metadata('behind', {'key': 'y' * 400})
        writer.finish()
    data = bytearray(path.read_bytes())
    at = data.index(b'x' * 40) - 4
    data[at : at + 4] = (255).to_bytes(4, 'little')
    path.write_bytes(data)
    scan = repair_file(path, repaired)
    assert 'passes the end of its record' in scan.damage
    assert scan_file(repaired).whole
    assert kept_of(repaired) == []
    with repaired.open('rb') as file:
        assert [one.name for one in make_reader(file).iter_metadata()] == ['before']


def test_a_chunk_whose_header_was_zeroed_leaves_no_hole(
    bag: SimpleNamespace, tmp_path: Path
) -> None:
    """From its CRC on: it says then that it has no CRC, and no records, which is a right chunk by itself."""
    data = bag.path.read_bytes()
    damaged, repaired = tmp_path / 'damaged.mcap', tmp_path / 'repaired.mcap'
    for chunk in chunks_of(bag.path)[1::5]:
        for field in range(9 + 16, 9 + 16 + 24):  # size, CRC, compression, length of the records
            at = chunk.chunk_start_offset + field
            damaged.write_bytes(data[:at] + bytes(512) + data[at + 512 :])
            kept = repair_file(damaged, repaired).count
            found = kept_of(repaired)
            assert len(found) == kept
            assert found == kept_of(bag.path)[:kept]
            repaired.unlink()


def test_no_mcap_file_at_all(tmp_path: Path) -> None:
    (tmp_path / 'x.mcap').write_bytes(b'not at all')
    scan = scan_file(tmp_path / 'x.mcap')
    assert (scan.whole, scan.count, scan.verified_bytes) == (False, 0, 0)
    assert 'does not begin' in scan.damage
