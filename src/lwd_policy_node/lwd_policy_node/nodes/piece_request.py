"""One call of the learner's service that a worker thread waits for while the executor spins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.task import Future

from lwd_msgs.srv import GetWeights
from lwd_policy_node.weights.pull import Unanswered
from lwd_policy_node.weights.refusal import Refusal, WeightsRefused

POLL_S = 0.05  # how soon a waiting pull notices a newer announcement


class PieceRequest:
    """One piece under way: asked on construction, waited for by the worker thread."""

    def __init__(
        self,
        client: Any,
        request: GetWeights.Request,
        timeout_s: float,
        checkpoint: Callable[[], None],
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._checkpoint = checkpoint
        self._done = threading.Event()
        self._future: Future = client.call_async(request)
        self._future.add_done_callback(lambda _: self._done.set())

    def wait(self) -> memoryview:
        """Return the bytes; see `weights.pull.Piece`."""
        deadline = time.monotonic() + self._timeout_s
        while not self._done.wait(POLL_S):
            self._checkpoint()
            if time.monotonic() > deadline:
                self._client.remove_pending_request(self._future)
                raise Unanswered
        answer = self._future.result()
        if not answer.ok:
            raise WeightsRefused(Refusal.UNREACHABLE, f'the learner says: {answer.message}')
        return memoryview(answer.data)
