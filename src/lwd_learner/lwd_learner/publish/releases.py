"""Which version which robot shall run: publish, try out, promote, roll back, pin. No rclpy.

Kept in ``<run>/published/releases.json``, so that a command and a running learner agree on it: every
change is made under a lock on the folder, and the learner announces what stands there. Robots accept
only what is signed and newer, so going back means the old file under a new number.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lwd_policy_node.weights import Manifest
from lwd_policy_node.weights.checks import CONFIG_HASH_KEY
from lwd_policy_node.weights.statistics import check_finite, measure
from lwd_policy_node.weights.tensors import read_header
from lwd_recorder.durable import write_atomically

from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.bfloat16 import Precision, write_bfloat16
from lwd_learner.publish.canary import AT_ONCE, CanaryPlan

STATE_FILE = 'releases.json'
LOCK_FILE = 'lock'
FORMER_KEPT = 2  # so many versions to go back to are never forgotten

Locate = Callable[[int, Path], Sequence[str]]
"""(version, its file) -> URIs where robots can have it; called once the file is in place."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """What stands in releases.json."""

    stable: int = 0
    """Version for all robots; 0 = none yet."""
    trial: int = 0
    """Version that some robots try out; 0 = none."""
    robots: tuple[str, ...] = ()
    """Those robots."""
    waiting: int = 0
    """Newest version published since, which waits for the trial to end or the pin to be lifted."""
    pinned: int = 0
    """Version that the fleet is held at; 0 = none."""
    history: tuple[int, ...] | None = None
    """Versions that all robots ran before and that no roll-back to an older one left, oldest first, as far as they
    are kept; None = the file is from before there was this list."""


class Releases:
    """Published versions, and who gets which."""

    def __init__(
        self,
        archive: Archive,
        counter: VersionCounter,
        key: Ed25519PrivateKey,
        *,
        plan: CanaryPlan = AT_ONCE,
        precision: Precision = 'as_trained',
        locate: Locate = lambda _version, _path: (),
    ) -> None:
        """Work on the archive's folder.

        Args:
            archive: published versions.
            counter: gives the numbers.
            key: signs.
            plan: how new versions are tried out.
            precision: of the published matrices.
            locate: brings a file to where robots can have it besides the service.
        """
        self._archive = archive
        self._counter = counter
        self._key = key
        self._plan = plan
        self._precision = precision
        self._locate = locate

    def state(self) -> ReleaseState:
        """Read what stands on disk.

        Raises:
            ValueError: it is damaged.
        """
        path = self._archive.folder / STATE_FILE
        try:
            body = json.loads(path.read_text())
            listed = body.get('history')
            history = None if listed is None else tuple(map(int, listed))
            return ReleaseState(**body | {'robots': tuple(body['robots']), 'history': history})
        except FileNotFoundError:
            return ReleaseState(stable=max(self._archive.versions(), default=0))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path} is damaged ({error}): remove it to offer the newest version'
            ) from error

    def offered(self) -> list[Manifest]:
        """Return what robots shall be told: the stable version's manifest, then that on trial."""
        state = self.state()
        kept = self._archive.versions()
        return [self._archive.manifest(v) for v in (state.stable, state.trial) if v in kept]

    def sha256(self, version: int) -> str:
        """Return the hash of a kept version's file."""
        return self._archive.manifest(version).sha256

    def numbers(self, sha256: str) -> list[int]:
        """Return the kept versions with these bytes: what waits may go out under a higher number than its own."""
        with self._locked():  # none is forgotten meanwhile
            return [v for v in self._archive.versions() if self.sha256(v) == sha256]

    def publish(
        self,
        policy: Path,
        *,
        stage: str,
        step: int,
        replay_version: str = '',
        parent: int | None = None,
        check: bool = True,
        robots: Sequence[str] = (),
    ) -> int:
        """Copy and sign a policy and decide who gets it; return its version.

        `robots` are the robots there are, for a trial. The rest: see `Publisher.publish`.
        """
        header = read_header(policy)
        config_hash = header.metadata.get(CONFIG_HASH_KEY, '')
        if not config_hash:
            raise ValueError(
                f'{policy}: no {CONFIG_HASH_KEY} in the metadata: save it with Policy.save'
            )
        with self._as_published(policy) as file, self._locked():
            tensors = (check_finite if check else measure)(file, read_header(file))
            self._write(self.state())  # so that what is about to come does not count as released
            newest = max(self._archive.versions(), default=0)
            manifest = Manifest(
                published_ns=0,
                version=0,
                parent=newest if parent is None else parent,
                stage=stage,
                step=step,
                config_hash=config_hash,
                replay_version=replay_version,
                size_bytes=0,
                sha256='',
                tensors=tensors,
            )
            version = self._admit(file, manifest)
            self._direct(version, robots)
        _log.info('published version %d (%s)', version, stage)
        return version

    def promote(self, version: int) -> int:
        """Give a kept version to all robots; return it.

        Raises:
            LookupError: it is not kept, robots would refuse it because it is not newer, or the
                fleet is pinned.
        """
        with self._locked():
            state = self.state()
            self._must_be_kept(version)
            self._must_be_newest(version, state)
            if state.pinned:
                raise LookupError(
                    f'the fleet is pinned at version {state.pinned}: `pin {version}` holds it at '
                    f'{version} instead, `pin --off` lets it go on'
                )
            self._offer(version, ())
            self._write(self._moved_on(state, version))
        return version

    def roll_back(self, to: int | None = None) -> int:
        """Publish a former version's file under a new number, for all robots; return that.

        What was published meanwhile waits no longer.

        Args:
            to: a kept version, one that never was for all robots too; None: the stable one during a
                trial, else the last of other bytes that all robots ran before it and that no roll-back
                to something older has left.

        Raises:
            LookupError: there is none.
        """
        with self._locked():
            state = self.state()
            if to is None:
                to = state.stable if state.trial else self._former(state)
            self._must_be_kept(to)
            version = self._copy(to)
            pinned = version if state.pinned else 0
            self._offer(version, (), floor=pinned)
            history = self._history_at(state, to)
            self._write(ReleaseState(stable=version, pinned=pinned, history=history))
        _log.info('version %d is version %d again', version, to)
        return version

    def take_back(self, trial: int) -> int:
        """End a trial: all robots get the stable version's file under a new number; return what all have.

        What was published meanwhile goes on waiting. Of a trial that has ended already nothing is
        left to take back.
        """
        with self._locked():
            state = self.state()
            if state.trial != trial:
                return state.stable
            version = self._copy(state.stable)
            self._offer(version, ())
            self._write(replace(state, stable=version, trial=0, robots=()))
        _log.info('version %d is version %d again', version, state.stable)
        return version

    def pin(self, version: int | None = None) -> int:
        """Hold the fleet at a version (None: the stable one); return it.

        Newer ones wait, one on trial too: its robots, and all others, get the stable version's file
        under a new number, which is the one pinned. Robots that have heard of a pin take no older
        version any more.

        Raises:
            LookupError: it is not kept, or older than what robots have.
        """
        with self._locked():
            state = self.state()
            version = state.stable if version is None else version
            self._must_be_kept(version)
            if version != state.stable:
                self._must_be_newest(version, state)
                state = self._moved_on(state, version)
            elif state.trial:
                version = self._copy(version)
                waiting = state.waiting or state.trial
                state = replace(state, stable=version, trial=0, robots=(), waiting=waiting)
            self._offer(version, (), floor=version)
            self._write(replace(state, pinned=version))
        return version

    def unpin(self) -> int:
        """Let the fleet go on; return what all have. The learner offers what waits at its next look."""
        with self._locked():
            state = self.state()
            self._write(replace(state, pinned=0))
        return state.stable

    def next_in_line(self, robots: Sequence[str]) -> None:
        """Offer the version that waits, unless it has to go on waiting; `robots` are those there are."""
        with self._locked():
            state = self.state()
            if state.waiting and not self._must_wait(state, robots):
                self._direct(state.waiting, robots)

    def _must_wait(self, state: ReleaseState, robots: Sequence[str]) -> bool:
        """Whether a pin or a trial holds a new version, or nobody is there to try it out."""
        untried = self._plan.share > 0.0 and not robots
        return bool(
            state.pinned or state.trial or (untried and state.stable in self._archive.versions())
        )

    def _direct(self, version: int, robots: Sequence[str]) -> None:
        """Decide who gets a new version, or the one that waited."""
        state = self.state()
        if self._must_wait(state, robots):
            self._write(replace(state, waiting=version))
            return
        if version < state.stable:  # it waited while the fleet was taken back
            version = self._copy(version)
        first = self._plan.choose(list(robots))
        if first and state.stable in self._archive.versions():
            self._offer(version, first)
            self._write(replace(state, trial=version, robots=first, waiting=0))
        else:
            self._offer(version, ())
            self._write(self._moved_on(state, version))

    def _copy(self, version: int) -> int:
        """Admit a kept version's file under a new number; return that."""
        return self._admit(self._archive.policy_path(version), self._archive.manifest(version))

    def _admit(self, policy: Path, like: Manifest) -> int:
        staged = self._archive.stage(policy, like.parent)
        newest = max(self._archive.versions(), default=0)
        version = self._counter.next(at_least=newest + 1)
        manifest = replace(
            like,
            version=version,
            published_ns=time.time_ns(),
            size_bytes=staged.size_bytes,
            sha256=staged.sha256,
            delta_bytes=staged.delta_bytes,
            uris=(),
            robots=(),
            floor=0,
        )
        state = self.state()
        needed = (
            state.stable,
            state.trial,
            state.waiting,
            state.pinned,
            *(state.history or ())[-FORMER_KEPT:],
        )
        self._archive.admit(manifest.signed(self._key), staged, needed)
        uris = tuple(self._locate(version, self._archive.policy_path(version)))
        self._archive.rewrite(replace(manifest, uris=uris).signed(self._key))
        return version

    def _offer(self, version: int, robots: tuple[str, ...], floor: int = 0) -> None:
        """Sign a version again for these robots; it counts as published from now on."""
        manifest = self._archive.manifest(version)
        changed = replace(
            manifest,
            published_ns=time.time_ns(),
            robots=robots,
            floor=max(floor, manifest.floor),
        )
        self._archive.rewrite(changed.signed(self._key))

    def _moved_on(self, state: ReleaseState, version: int) -> ReleaseState:
        """Return the state once all robots get `version`: nothing older waits."""
        kept = self._archive.versions()
        ran = (*(state.history or ()), state.stable)
        return replace(
            state,
            stable=version,
            trial=0,
            robots=(),
            waiting=state.waiting if state.waiting > version else 0,
            history=tuple(v for v in ran if v in kept and v != version),
        )

    def _history_at(self, state: ReleaseState, to: int) -> tuple[int, ...] | None:
        """Return what all robots ran before they ran `to`; what never was the fleet's comes after all that was."""
        if state.history is None:
            return None  # nobody knows which of the two it is: whoever goes back once more has to name the aim
        kept = self._archive.versions()
        ran = tuple(v for v in (*state.history, state.stable) if v in kept)
        if to in ran:
            return ran[: ran.index(to)]
        aim = self.sha256(to)
        same = [i for i, v in enumerate(ran) if self.sha256(v) == aim]
        return ran[: same[-1]] if same else ran

    def _former(self, state: ReleaseState) -> int:
        """Return the version to go back to from the stable one."""
        kept = self._archive.versions()
        self._must_be_kept(state.stable)
        bad = self.sha256(state.stable)
        for version in reversed(state.history or ()):
            if version in kept and self.sha256(version) != bad:
                return version
        raise LookupError(
            f'no version is known that all robots ran before version {state.stable}: name one, '
            f'`rollback N`; {self._kept_names()}'
        )

    def _must_be_kept(self, version: int) -> None:
        if version not in self._archive.versions():
            raise LookupError(f'version {version} is not kept; {self._kept_names()}')

    def _must_be_newest(self, version: int, state: ReleaseState) -> None:
        """Robots would refuse what is older than that which they have."""
        newest = state.trial or state.stable
        if version < newest:
            who = ', '.join(state.robots) or 'all robots'
            raise LookupError(
                f'version {version} is older than version {newest}, which runs on {who}: '
                f'use rollback to go back to it'
            )

    def _kept_names(self) -> str:
        return f'kept are: {", ".join(map(str, self._archive.versions())) or "none"}'

    def _write(self, state: ReleaseState) -> None:
        path = self._archive.folder / STATE_FILE
        write_atomically(path, f'{json.dumps(asdict(state))}\n'.encode())

    @contextmanager
    def _as_published(self, policy: Path) -> Iterator[Path]:
        """The file to publish: `policy` itself, or for a while its half."""
        if self._precision == 'as_trained':
            yield policy
            return
        half = self._archive.folder / f'staging-half-{os.getpid()}-{policy.name}'
        try:
            write_bfloat16(policy, half)
            yield half
        finally:
            half.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._archive.folder / LOCK_FILE).open('w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
