"""A learner that only publishes, good versions on a clock and bad ones when ordered.

``python -m lwd_bringup.soak.learner_process HOME PERIOD_S MEGABYTES``; an order is a file in HOME/orders, named as a
checkpoint fault. What is bad stands in HOME/bad.jsonl before any robot hears of it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lwd_learner.publish import Publisher
from lwd_policy_node.stop_signal import StopSignal
from lwd_policy_node.weights.wire import manifest_to_message

from lwd_bringup.soak.faults import Fault
from lwd_bringup.soak.light_policy import save_light
from lwd_bringup.soak.options import BUCKET

LOOK_S = 0.2
AHEAD = 100_000  # an unsigned version is numbered far beyond what the learner will reach


class SoakLearner:
    """Publishes through the real Publisher."""

    def __init__(self, home: Path, megabytes: float) -> None:
        self._home = home
        self._megabytes = megabytes
        self._publisher = Publisher(
            home / 'train', home / 'keys' / 'learner.ed25519', uris=(f's3://{BUCKET}/weights',)
        )
        self._locate = self._publisher.releases._locate

    def run(self, period_s: float, stop: StopSignal) -> None:
        """Publish until `stop`; what cannot be uploaded while the store is away is left out."""
        with self._publisher:
            due_s = time.monotonic()
            while not stop.wait(LOOK_S):
                try:
                    for order in sorted((self._home / 'orders').glob('a*')):
                        order.unlink()
                        self._publish_bad(Fault(order.name))
                    if time.monotonic() >= due_s:
                        due_s += period_s
                        self._publish()
                except OSError as error:
                    print(error, file=sys.stderr, flush=True)

    def _publish(self, *, nan: bool = False) -> int:
        path = save_light(
            self._home / 'policy.safetensors', self._megabytes, time.time_ns() % 2**32, nan=nan
        )
        return self._publisher.publish(path, stage='online', step=0, check=not nan)

    def _publish_bad(self, fault: Fault) -> None:
        newest = self._publisher.newest
        if newest is None:
            return
        if fault is Fault.UNSIGNED:
            forged = replace(newest, version=newest.version + AHEAD, signature=b'', key_id='')
            self._note(forged.version, fault)
            self._publisher._announcement.publish(manifest_to_message(forged))
            return
        self._publisher.releases._locate = lambda version, path: self._spoil(version, path, fault)
        try:
            self._publish(nan=fault is Fault.NAN)
        finally:
            self._publisher.releases._locate = self._locate

    def _spoil(self, version: int, path: Path, fault: Fault) -> Sequence[str]:
        """Called between signing and announcing."""
        self._note(version, fault)
        if fault is Fault.CORRUPT:
            for file in (path, path.with_name(path.name + '.delta')):
                if file.is_file():
                    with file.open('r+b') as out:
                        out.seek(-9, 2)
                        out.write(b'\xff')
        return self._locate(version, path)

    def _note(self, version: int, fault: Fault) -> None:
        with (self._home / 'bad.jsonl').open('a') as file:
            file.write(json.dumps({'version': version, 'fault': fault}) + '\n')


def main() -> int:
    """Run until a signal."""
    stop = StopSignal()
    SoakLearner(Path(sys.argv[1]), float(sys.argv[3])).run(float(sys.argv[2]), stop)
    return 0


if __name__ == '__main__':
    sys.exit(main())
