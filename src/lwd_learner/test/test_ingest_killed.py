"""kill -9 of the real ingest, again and again: the replay is that of one clean run, row for row."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lwd_learner.ingest import Ingest
from lwd_learner.replay import Replay
from lwd_learner.replay.growable import GrowableArray
from lwd_learner.replay.low_dimensional import Column
from lwd_recorder.store import FolderStore

START = (sys.executable, '-m', 'lwd_learner.ingest.command')


def rows_of(replay: Replay) -> dict[str, dict[str, object]]:
    """Everything that a replay holds, by episode; row numbers counted from its first."""
    out = {}
    for dataset in ('offline', 'online'):
        index = replay.index(dataset)
        columns = {
            name: value.data
            for name, value in vars(index).items()
            if isinstance(value, GrowableArray | Column) and name not in ('episode',)
        }
        for episode in replay.episodes(dataset):
            part = slice(episode.start, episode.stop)
            rows = replay.global_rows(dataset, np.arange(episode.start, episode.stop))
            found: dict[str, object] = {name: c[part].copy() for name, c in columns.items()}
            for name in ('limit', 'image_row', 'camera_row'):
                found[name] = columns[name][part] - episode.start
            for name, words in (('task', replay.tasks), ('instruction', replay.instructions)):
                found[name] = np.array([words[code] for code in columns[name][part]])
            found['jpegs'] = replay.jpegs(rows)
            found['facts'] = dataset, episode.kind, episode.outcome, episode.robot_id, episode.seed
            assert episode.episode_id not in out
            out[episode.episode_id] = found
    return out


@pytest.mark.parametrize(
    ('seed', 'kills'),
    [(1, 3), pytest.param(2, 60, marks=pytest.mark.long)],
    ids=['a few', 'many'],
)
def test_killed_at_any_moment_the_replay_is_that_of_one_clean_run(
    tmp_path: Path, store, send, resend, profile, hand_made, seed, kills
):
    """Bags keep coming, manifests come twice and out of order, one bag is damaged; each run is killed but the last."""
    rng = random.Random(seed)
    sent = []
    arguments = [
        *('--store', store.uri, '--replay', str(tmp_path / 'replay')),
        *('--journal', str(tmp_path / 'ingest.jsonl'), '--json'),
    ]
    took_s = 0.5
    for kill in range(kills):
        for number in range(rng.randint(1, 3)):
            made = hand_made(
                episode_id=f'e-{kill:03d}-{number}',
                kind=rng.choice(['rollout', 'demonstration', 'play']),
                outcome=rng.choice(['success', 'failure', 'aborted']),
                task=rng.choice(['restock', 'correct']),
            )
            sent.append(send(made))
        if kill == 1:
            bag = store.root / sent[-1].key_prefix / f'{sent[-1].episode_id}_0.mcap'
            bag.write_bytes(bag.read_bytes()[:-1] + b'x')
            damaged = sent.pop()
        for manifest in rng.sample(sent, min(len(sent), 3)):
            resend(store, manifest)
        process = subprocess.Popen([*START, *arguments, '--follow'], stdout=subprocess.PIPE)
        try:
            if rng.random() < 0.3:  # a moment after a result was told
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(rng.random() * 0.02)
            else:  # at any time of the work, which begins when the lock is taken
                wait_for_lock(tmp_path / 'replay', process)
                time.sleep(rng.random() * took_s)
        finally:
            process.kill()
            process.wait()
    subprocess.run([*START, *arguments], stdout=subprocess.PIPE, check=True, timeout=120)
    mended = FolderStore(tmp_path / 'mended')  # the clean run sees each good bag once
    for manifest in sent:
        shutil.copytree(store.root / manifest.key_prefix, mended.root / manifest.key_prefix)
    clean = Replay.create(tmp_path / 'clean', profile)
    assert all(
        result.quarantined is None
        for result in Ingest(mended, clean, profile, tmp_path / 'clean.jsonl').poll()
    )
    got, wanted = rows_of(Replay.open(tmp_path / 'replay')), rows_of(clean)
    assert got.keys() == wanted.keys() == {manifest.episode_id for manifest in sent}
    for episode_id, columns in wanted.items():
        for name, value in columns.items():
            np.testing.assert_array_equal(got[episode_id][name], value, f'{episode_id} {name}')
    assert (store.root / 'quarantine' / damaged.episode_id / 'manifest.json').is_file()


def wait_for_lock(replay: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the process has opened the replay for writing."""
    locked = replay / 'ingest.lock'
    while process.poll() is None:
        for descriptor in Path(f'/proc/{process.pid}/fd').iterdir():
            try:
                if descriptor.readlink() == locked:
                    return
            except OSError:
                continue
        time.sleep(0.005)
    raise AssertionError(f'ingest ended by itself: {process.returncode}')
