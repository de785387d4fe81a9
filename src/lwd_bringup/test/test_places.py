"""LWD_HOME and LWD_STORE mean one thing to every command: unset and empty are the same, and `~` is one's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from lwd_bringup.demo.options import DemoOptions
from lwd_bringup.soak.options import SoakOptions
from lwd_learner.fleet.command import FleetCommand
from lwd_learner.ingest.command import IngestCommand
from lwd_learner.publish.keys_command import KeysCommand
from lwd_learner.publish.release_commands import PinCommand
from lwd_learner.replay.place import default_replay
from lwd_learner.training.config import TrainConfig
from lwd_policy_node.places import default_spool, default_store, lwd_home
from lwd_sim.data.make_data import Options as MakeDataOptions


@pytest.mark.parametrize(
    ('given', 'home', 'store'),
    [
        ({}, '/root_of/.lwd', '/root_of/.lwd/store'),
        ({'LWD_HOME': '', 'LWD_STORE': ''}, '/root_of/.lwd', '/root_of/.lwd/store'),
        ({'LWD_HOME': '~/runs'}, '/root_of/runs', '/root_of/runs/store'),
        ({'LWD_HOME': '/d', 'LWD_STORE': 's3://b/p'}, '/d', 's3://b/p'),
    ],
)
def test_every_command_has_its_defaults_in_the_same_place(
    monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], home: str, store: str
) -> None:
    for name in ('LWD_HOME', 'LWD_STORE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', '/root_of')
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    root, train = Path(home), TrainConfig()
    assert lwd_home() == root
    assert DemoOptions().home == root / 'demo'
    assert SoakOptions().home == root / 'soak'
    assert KeysCommand().dir == root / 'keys'
    assert PinCommand().key == train.private_key == root / 'keys' / 'learner.ed25519'
    assert train.run_dir == PinCommand().run_dir == root / 'train'
    assert FleetCommand().journal == IngestCommand().journal == root / 'train' / 'ingest.jsonl'
    assert default_replay() == str(root / 'train' / 'replay')
    assert default_spool('g1_01') == root / 'robots' / 'g1_01' / 'spool'
    stores = [default_store(), train.store, IngestCommand().store, MakeDataOptions().out]
    assert {*stores} == {store}
