"""Start the processes that share updates, and what each of them does: ``--num-workers``."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import tyro
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from lwd_learner.child_process import end_with_parent
from lwd_learner.training.accelerate import share_of_threads
from lwd_learner.training.checkpoint import load_learner
from lwd_learner.training.config import TrainConfig
from lwd_learner.training.learner import Learner
from lwd_learner.training.new_policy import resumed_policy
from lwd_learner.training.ranks import Ranks

HOST = '127.0.0.1'
START = timedelta(minutes=5)
"""How long a process may take to come."""
WAIT = timedelta(days=30)
"""How long members may wait for the next order: robots may be switched off for a while."""
RANK, COUNT, PORT = 'LWD_TRAIN_RANK', 'LWD_TRAIN_COUNT', 'LWD_TRAIN_PORT'

log = logging.getLogger('train')


class WorkerGoneError(RuntimeError):
    """A process that shared the updates has ended; the message names it."""


class Team(Ranks):
    """The leader's side: the members are processes of its own."""

    def __init__(self, config: TrainConfig) -> None:
        """Start `num_workers` - 1 members and wait until they are there.

        Raises:
            ValueError: there are not so many GPUs, or a batch cannot be divided.
            WorkerGoneError: a member ended, or did not come.
        """
        check_team(config)
        super().__init__(0, config.num_workers)
        store = TCPStore(HOST, 0, self.count, is_master=True, wait_for_workers=False)
        self._members = [self._start(config, rank, store.port) for rank in range(1, self.count)]
        self._wait_for_members(store)
        _join(config, store, 0, self.count)
        log.info('%d processes share every update', self.count)

    def blame(self, error: RuntimeError) -> None:
        """Say who is to blame for what an exchange between processes raised; wait a little for it to end.

        Raises:
            WorkerGoneError: a member has ended.
        """
        give_up_s = time.monotonic() + 5.0
        while time.monotonic() < give_up_s:
            for rank, member in enumerate(self._members, 1):
                if (code := member.poll()) is not None:
                    raise WorkerGoneError(
                        f'worker {rank} of {self.count} has ended (exit code {code}); what it said stands above. Go on '
                        'from the last checkpoint with --resume'
                    ) from error
            time.sleep(0.1)

    def close(self) -> None:
        """Let the members leave; end them where one is gone, or the leader left an update that they are still in."""
        ready = not self.updating and all(member.poll() is None for member in self._members)
        if ready:
            self.end()
        for member in self._members:
            if self.updating:
                member.kill()
            try:
                member.wait(30.0 if ready else 0.1)
            except subprocess.TimeoutExpired:
                member.kill()
                member.wait()
        if ready or not torch.cuda.is_available():  # NCCL would wait for who is gone
            dist.destroy_process_group()

    def _wait_for_members(self, store: TCPStore) -> None:
        give_up_s = time.monotonic() + START.total_seconds()
        keys = [_here(rank) for rank in range(1, self.count)]
        while not store.check(keys):
            for rank, member in enumerate(self._members, 1):
                code = member.poll()
                if code is None and time.monotonic() < give_up_s:
                    continue
                what = (
                    f'ended at its start (exit code {code})'
                    if code is not None
                    else 'did not come'
                )
                for other in self._members:
                    other.kill()
                raise WorkerGoneError(
                    f'worker {rank} of {self.count} {what}; what it said stands above. Is its GPU free? Begin again '
                    'with fewer --num-workers, or when it is'
                )
            time.sleep(0.05)

    def _start(self, config: TrainConfig, rank: int, port: int) -> subprocess.Popen[bytes]:
        environment = {RANK: str(rank), COUNT: str(self.count), PORT: str(port)}
        return subprocess.Popen(
            [sys.executable, '-m', 'lwd_learner.training.team', *arguments(config)],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent(),
        )


def check_team(config: TrainConfig) -> None:
    """Raise ValueError if there are not so many GPUs, or a batch cannot be divided."""
    count, rl = config.num_workers, config.rl
    if config.device == 'cuda' and torch.cuda.device_count() < count:
        raise ValueError(
            f'num_workers {count}: this machine has {torch.cuda.device_count()} GPUs; every worker needs its own'
        )
    for name in ('batch_size', 'clone_batch_size', 'actor_batch_size'):
        if getattr(rl, name) % count:
            raise ValueError(
                f'rl.{name} is {getattr(rl, name)}: it must be a multiple of num_workers, {count}'
            )


def _here(rank: int) -> str:
    return f'here/{rank}'


def _join(config: TrainConfig, store: TCPStore, rank: int, count: int) -> None:
    backend = 'cpu:gloo,cuda:nccl' if config.device == 'cuda' else 'gloo'
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')
    store.set_timeout(START)
    if config.device == 'cuda':
        torch.cuda.set_device(rank)
    store.set(_here(rank), '')
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=WAIT)


def arguments(config: Any, prefix: str = '') -> list[str]:
    """The command line that gives this configuration, every field of it."""
    out: list[str] = []
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f'{prefix}{field.name}'.replace('_', '-')
        if dataclasses.is_dataclass(value):
            out += arguments(value, f'{name}.')
        else:
            values = value if isinstance(value, tuple) else (value,)
            out += [f'--{name}', *map(str, values)]
    return out


def member(config: TrainConfig, rank: int, count: int, port: int) -> Learner | None:
    """Do what the leader orders until it says that it is over; answers what it has trained."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the leader's to answer
    torch.set_num_threads(share_of_threads(config.threads, count))
    store = TCPStore(HOST, port, count, is_master=False)
    _join(config, store, rank, count)
    ranks = Ranks(rank, count)
    learner: Learner | None = None
    while (order := ranks.next_order()) is not None:
        if order.begin is not None:
            policy = resumed_policy(order.begin / 'policy.safetensors', config)
            learner = Learner(policy, config, ranks)
            load_learner(order.begin, learner)
        elif learner is not None and order.batch is not None:
            learner.update(order.batch, order.clone, order.tau_base, order.progress)
    dist.destroy_process_group()
    return learner


def main() -> None:
    """Be a member, as `Team` started it."""
    logging.basicConfig(level=logging.ERROR)  # the leader tells
    config = tyro.cli(TrainConfig, config=(tyro.conf.FlagConversionOff,))
    rank, count, port = (int(os.environ[name]) for name in (RANK, COUNT, PORT))
    member(config, rank, count, port)


if __name__ == '__main__':
    main()
