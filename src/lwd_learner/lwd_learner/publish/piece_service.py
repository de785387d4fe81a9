"""/lwd/get_weights: pieces of published files, for many robots at once.

DDS brings every answer of a service to all of its clients, so sixteen robots on one service would each
receive the bytes of all. A robot's first request therefore opens a service of its own below this
one; it goes when the robot has been silent for a while. What is under way is bounded by two pieces a
robot.
"""

from __future__ import annotations

import array
import logging
import re
import time
from typing import Any

from lwd_policy_node.nodes import qos
from lwd_policy_node.weights.wire import PIECES_SERVICE
from rclpy.node import Node

from lwd_learner.publish.archive import Archive
from lwd_msgs.srv import GetWeights

PIECE_LIMIT_BYTES = (
    4 << 20
)  # asked for at most; 1 MiB was fastest here, 1.6 times as fast as 4 MiB
OWN_LIMIT = 64  # services of single robots at the same time; more robots share the common one
OWN_IDLE_S = 600.0  # a robot between two versions keeps its own
ROBOT_NAME = re.compile(r'^[A-Za-z][A-Za-z0-9_]{0,63}$')


# An answer beyond the last so many is lost if it has not arrived yet.
SHARED_QOS = qos.reliable(OWN_LIMIT)  # all robots may ask at once, mostly for their own only
OWN_QOS = qos.reliable(4)

_log = logging.getLogger(__name__)


class PieceService:
    """Answers on behalf of `node`; all callbacks run in its executor's thread."""

    def __init__(self, node: Node, archive: Archive) -> None:
        self._node = node
        self._archive = archive
        self._own: dict[str, tuple[Any, float]] = {}  # robot -> (service, monotonic s of last use)
        node.create_service(GetWeights, PIECES_SERVICE, self._on_shared, qos_profile=SHARED_QOS)
        node.create_timer(OWN_IDLE_S / 10, self._close_idle)

    def _on_shared(self, request: Any, response: Any) -> Any:
        robot = request.robot_id
        if robot and robot not in self._own and ROBOT_NAME.match(robot):
            if len(self._own) < OWN_LIMIT:
                service = self._node.create_service(
                    GetWeights, f'{PIECES_SERVICE}/{robot}', self._on_own, qos_profile=OWN_QOS
                )
                self._own[robot] = service, time.monotonic()
            else:
                _log.warning(
                    '%s shares %s: %d robots have their own', robot, PIECES_SERVICE, OWN_LIMIT
                )
        return self._answer(request, response)

    def _on_own(self, request: Any, response: Any) -> Any:
        if request.robot_id in self._own:
            service, _ = self._own[request.robot_id]
            self._own[request.robot_id] = service, time.monotonic()
        return self._answer(request, response)

    def _close_idle(self) -> None:
        since_s = time.monotonic() - OWN_IDLE_S
        for robot in [robot for robot, (_, used_s) in self._own.items() if used_s < since_s]:
            service, _ = self._own.pop(robot)
            self._node.destroy_service(service)

    def _answer(self, request: Any, response: Any) -> Any:
        try:
            data = self._archive.bytes_of(request.version, request.delta)
        except LookupError as error:
            response.message = str(error.args[0])
            return response
        except OSError as error:  # made room for a newer one at this very moment
            response.message = f'version {request.version} cannot be read: {error}'
            return response
        response.size_bytes = len(data)
        if request.offset > len(data):
            response.message = (
                f'offset {request.offset} is beyond the {len(data)} bytes of version '
                f'{request.version}'
            )
            return response
        length = min(request.length, PIECE_LIMIT_BYTES)
        piece = array.array('B')
        with memoryview(data) as view:
            piece.frombytes(view[request.offset : request.offset + length])
        response.data = piece
        response.ok = True
        return response
