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
    for name in ('lwd/get_weights', 'lwd/get_weights/*'):
        assert _who('services', 'reply', name) == ['/lwd/learner learner']


def test_what_serves_all_robots_names_none() -> None:
    """The policy is read once for each robot, and the last reading of an enclave counts."""
    shared = [enclave for enclave in ROOT.iter('enclave') if enclave.get('path') != '/ROBOT']
    assert [enclave.get('path') for enclave in shared] == ['/lwd/learner', '/lwd/operator']
    assert not any('ROBOT' in ElementTree.tostring(enclave, 'unicode') for enclave in shared)


def test_only_the_arbiter_commands_joints() -> None:
    assert _who('topics', 'publish', 'joint_command') == ['/ROBOT arbiter_node']


def test_the_recorder_and_the_learner_command_nothing() -> None:
    for topic in ('action_chunk', 'teleop/command', 'joint_command'):
        writers = _who('topics', 'publish', topic)
        assert len(writers) == 1 and not {'recorder_node', 'learner'} & set(writers[0].split())


def test_every_wish_has_one_reader_of_the_arbiter() -> None:
    for topic in ('action_chunk', 'teleop/command', 'joint_states'):
        assert '/ROBOT arbiter_node' in _who('topics', 'subscribe', topic)
