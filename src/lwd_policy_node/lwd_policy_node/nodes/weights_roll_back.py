"""weights/roll_back: an operator takes this robot back to its former weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_srvs.srv import Trigger

from lwd_policy_node.inference import LoadedWeights, PolicySlot
from lwd_policy_node.weights import WeightsStore

REASON = 'the operator asked for it'


class RollBackService:
    """Answers at once; the weights client's worker goes back."""

    def __init__(
        self,
        node: Node,
        slot: PolicySlot,
        store: WeightsStore,
        go_back: Callable[[LoadedWeights, str], None],
    ) -> None:
        """Serve on behalf of `node`; `go_back` is told the weights to leave, and why."""
        self._node = node
        self._slot = slot
        self._store = store
        self._go_back = go_back
        self._service = node.create_service(Trigger, 'weights/roll_back', self._answer)

    def close(self) -> None:
        """Withdraw the service."""
        self._node.destroy_service(self._service)

    def _answer(self, _request: Any, response: Any) -> Any:
        active = self._slot.active
        held = 0 if active is None else active.manifest.version
        older = [m.version for m in self._store.last_good() if m.version < held]
        if active is None or not older:
            response.message = f'nothing to go back to: version {held} is in use, none is older'
            return response
        self._go_back(active, REASON)
        response.success = True
        response.message = f'going back from version {held} to {older[0]}'
        return response
