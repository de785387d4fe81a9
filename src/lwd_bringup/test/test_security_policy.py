"""The SROS 2 policy: well-formed, and as narrow as SECURITY.md says."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

POLICY = Path(__file__).parents[1] / 'config' / 'security' / 'policy.xml'
ROOT = ElementTree.parse(POLICY).getroot()


def _who(kind: str, access: str, name: str) -> list[str]:
    """Nodes that may do that, as enclave node."""
    found = []
    for enclave in ROOT.iter('enclave'):
        for profile in enclave.iter('profile'):
            for group in profile:
                names = [(entry.text or '').lstrip('/') for entry in group]
                if group.get(access) == 'ALLOW' and group.tag == kind and name in names:
                    found.append(f'{enclave.get("path")} {profile.get("node")}')
    return found


def test_only_the_learner_announces_and_serves_weights() -> None:
    assert _who('topics', 'publish', 'lwd/weights') == ['/lwd/learner learner']
    assert _who('services', 'reply', 'lwd/get_weights') == ['/lwd/learner learner']


def test_only_the_arbiter_commands_joints() -> None:
    assert _who('topics', 'publish', 'joint_command') == ['/ROBOT arbiter_node']


def test_the_recorder_and_the_learner_command_nothing() -> None:
    for topic in ('action_chunk', 'teleop/command', 'joint_command'):
        writers = _who('topics', 'publish', topic)
        assert len(writers) == 1 and not {'recorder_node', 'learner'} & set(writers[0].split())


def test_every_wish_has_one_reader_of_the_arbiter() -> None:
    for topic in ('action_chunk', 'teleop/command', 'joint_states'):
        assert '/ROBOT arbiter_node' in _who('topics', 'subscribe', topic)
