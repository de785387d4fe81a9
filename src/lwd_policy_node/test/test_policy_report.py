"""What RViz shows of the policy: who moves the robot, with what, and what it is worth."""

from __future__ import annotations

import math

from lwd_policy_node.nodes.policy_report import label

from lwd_msgs.msg import ControlMode


def test_the_label_shows_a_value_only_if_there_is_one() -> None:
    """A learner that ships no value head sends NaN."""
    known = (ControlMode.POLICY, 7, 'tidy up')
    assert label('g1_01', *known, 0.834) == 'g1_01: policy, v7, value 0.83\ntidy up'
    assert label('g1_01', *known, math.nan) == 'g1_01: policy, v7\ntidy up'
    assert label('g1_01', ControlMode.ESTOP, 0, '', math.inf) == 'g1_01: e-stop, no weights\n'
