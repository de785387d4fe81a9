"""Bags to buffer to SFT to an online round: every episode goes through a store and ingest, and only once."""

from __future__ import annotations

from bench.methods.buffer import offline_store, take_in
from bench.methods.config import CompareConfig
from bench.methods.learning import sft
from bench.methods.rounds import act_round, grown_replay, robot_world


def test_an_online_round_grows_a_copy_of_the_buffer_and_nothing_is_made_twice(tmp_path):
    config = CompareConfig(
        folder=tmp_path, tasks=('restock',), demonstrations=4, sft_steps=2, round_episodes=1
    )
    store = offline_store(config, 'restock')
    buffer = tmp_path / 'buffer'
    replay = take_in(store, buffer, config.profile)
    assert len(replay.episodes('offline')) == 4
    policy = sft(config, store, buffer, 0, tmp_path / 'sft')
    written = policy.stat().st_mtime_ns
    assert sft(config, store, buffer, 0, tmp_path / 'sft').stat().st_mtime_ns == written
    world = robot_world(config)
    of_method = tmp_path / 'method'
    acted = act_round(config, world, policy, 'restock', 0, 1, of_method / 'store')
    assert act_round(config, world, policy, 'restock', 0, 1, of_method / 'store') == acted
    world.close()
    for _ in range(2):
        grown = grown_replay(config, buffer, of_method, of_method / 'store')
        assert [len(grown.episodes(name)) for name in ('offline', 'online')] == [4, 1]
    assert grown.episodes('online')[0].policy_version == 1
    assert not take_in(store, buffer, config.profile).episodes('online')
