"""Who gets which version: trials, promotion, roll-back and pins, over restarts and from two processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.canary import AT_ONCE, CanaryPlan, Tally, Verdict, judge
from lwd_learner.publish.fleet_log import FleetLog, RobotReport
from lwd_learner.publish.releases import STATE_FILE, Releases
from lwd_policy_node.weights import ensure_key_pair, load_private_key, load_trusted_keys
from safetensors.numpy import save_file

FLEET = ('a', 'b', 'c', 'd')


def _open(home: Path, plan: CanaryPlan = AT_ONCE, keep: int = 5) -> Releases:
    private = ensure_key_pair(home / 'keys').private_path
    return Releases(
        Archive(home / 'published', keep),
        VersionCounter(private.with_suffix('.version')),
        load_private_key(private),
        plan=plan,
    )


def _publish(releases: Releases, home: Path, value: float, robots: tuple[str, ...] = FLEET) -> int:
    path = home / 'policy.safetensors'
    save_file({'bias': np.full(16, value, np.float32)}, path, {'lwd.config_hash': 'c'})
    return releases.publish(path, stage='sft', step=1, robots=robots)


def _offered(releases: Releases) -> list[tuple[int, tuple[str, ...]]]:
    return [(manifest.version, manifest.robots) for manifest in releases.offered()]


def test_without_a_plan_all_robots_get_each_version(tmp_path: Path) -> None:
    """The newest version is offered to all, signed, before and after a restart."""
    releases = _open(tmp_path)
    _publish(releases, tmp_path, 1.0)
    assert _publish(releases, tmp_path, 2.0) == 2
    for again in (releases, _open(tmp_path)):
        assert _offered(again) == [(2, ())]
    (manifest,) = releases.offered()
    manifest.verify(load_trusted_keys(tmp_path / 'keys'))
    assert manifest.parent == 1 and manifest.tensors[0].max_abs == 2.0


def test_a_trial_goes_to_some_and_then_to_all(tmp_path: Path) -> None:
    """The first version is for all; the next for a quarter; one published meanwhile waits."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
    assert _offered(releases) == [(1, ()), (2, ('a',))]
    releases.promote(2)
    assert _offered(releases) == [(2, ())]
    releases.next_in_line(FLEET)
    assert _offered(releases) == [(2, ()), (3, ('a',))]


def test_a_trial_taken_back_brings_the_old_bytes_under_a_new_number(tmp_path: Path) -> None:
    """Robots take what is newer only; what waited gets a new number too."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
    before = releases.offered()[0].sha256
    assert releases.take_back(2) == 4
    assert _offered(releases) == [(4, ())] and releases.offered()[0].sha256 == before
    releases.next_in_line(FLEET)
    assert _offered(releases) == [(4, ()), (5, ('a',))]
    assert releases.take_back(2) == 4 and _offered(releases) == [(4, ()), (5, ('a',))], (
        'a late verdict'
    )


def test_roll_back_goes_to_the_version_before_or_the_one_named(tmp_path: Path) -> None:
    """A version that is not kept is an error that names those that are."""
    releases = _open(tmp_path)
    shas = []
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
        shas.append(releases.offered()[0].sha256)
    assert releases.roll_back() == 4
    assert releases.offered()[0].sha256 == shas[1]
    releases.roll_back(1)
    assert releases.offered()[0].sha256 == shas[0]
    with pytest.raises(LookupError, match='version 9 is not kept; kept are: 1, 2, 3, 4, 5'):
        releases.roll_back(9)
    with pytest.raises(LookupError, match='use rollback'):
        releases.promote(2)


def _bytes_offered(releases: Releases) -> float:
    """The value that the stable version's tensors hold."""
    return releases.offered()[0].tensors[0].max_abs


def test_roll_back_does_not_bring_a_rejected_version(tmp_path: Path) -> None:
    """A trial that was taken back never was the fleet's: there is nothing before its first version."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0):
        _publish(releases, tmp_path, value)
    releases.roll_back()
    with pytest.raises(
        LookupError, match=r'before version 3: name one, `rollback N`; kept are: 1, 2, 3'
    ):
        releases.roll_back()
    assert _bytes_offered(releases) == 1.0


def test_roll_back_twice_goes_back_two_versions(tmp_path: Path) -> None:
    """Not to and fro; what came after a roll-back is gone back from to where that had led."""
    releases = _open(tmp_path)
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
    releases.roll_back()
    releases = _open(tmp_path)
    releases.roll_back()
    assert _bytes_offered(releases) == 1.0
    _publish(releases, tmp_path, 6.0)
    _publish(releases, tmp_path, 6.0)
    releases.roll_back()
    assert _bytes_offered(releases) == 1.0, 'the same bytes are nothing to go back to'


def test_roll_back_to_what_never_was_the_fleets_keeps_what_was(tmp_path: Path) -> None:
    """The next roll-back brings what all robots ran before it, the bytes of the last good version."""
    releases = _open(tmp_path, CanaryPlan(share=0.25), keep=9)
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
        if releases.state().trial:
            releases.promote(releases.state().trial)
    _publish(releases, tmp_path, 4.0)
    assert releases.take_back(4) == 5
    releases.roll_back(4)
    assert _bytes_offered(releases) == 4.0
    for value in (3.0, 2.0, 1.0):
        releases.roll_back()
        assert _bytes_offered(releases) == value


def test_roll_back_to_another_number_of_the_fleets_bytes_goes_back_to_them(tmp_path: Path) -> None:
    """What came after them is left, as if the number had been the one in the history."""
    releases = _open(tmp_path, keep=9)
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
    releases.roll_back(2)
    _publish(releases, tmp_path, 5.0)
    assert releases.roll_back(2) == 6, 'the fleet ran its bytes as version 4'
    releases.roll_back()
    assert _bytes_offered(releases) == 1.0


def test_roll_back_passes_over_versions_that_only_waited(tmp_path: Path) -> None:
    """And what the fleet ran before is kept, however many versions were superseded meanwhile."""
    releases = _open(tmp_path, CanaryPlan(share=0.25), keep=2)
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        _publish(releases, tmp_path, value)
    releases.promote(2)
    releases.next_in_line(FLEET)
    releases.promote(5)
    releases.roll_back()
    assert _bytes_offered(releases) == 2.0


def test_releases_of_before_the_history_still_open(tmp_path: Path) -> None:
    """What the fleet ran before is not known then; a version can be named."""
    releases = _open(tmp_path)
    for value in (1.0, 2.0):
        _publish(releases, tmp_path, value)
    (tmp_path / 'published' / 'releases.json').write_text(
        '{"stable": 2, "trial": 0, "robots": [], "waiting": 0, "pinned": 0}'
    )
    with pytest.raises(LookupError, match='name one'):
        releases.roll_back()
    assert releases.roll_back(1) == 3
    with pytest.raises(LookupError, match='name one'):
        releases.roll_back()  # it was left for being bad
    assert _bytes_offered(releases) == 1.0


def test_a_pin_holds_newer_versions_and_raises_the_floor(tmp_path: Path) -> None:
    """While pinned nothing newer is offered and the pinned version is not forgotten."""
    releases = _open(tmp_path, keep=2)
    _publish(releases, tmp_path, 1.0)
    assert releases.pin() == 1
    assert releases.offered()[0].floor == 1
    for value in (2.0, 3.0, 4.0):
        _publish(releases, tmp_path, value)
    assert _offered(_open(tmp_path)) == [(1, ())]
    with pytest.raises(LookupError, match='the fleet is pinned at version 1: `pin 4`'):
        releases.promote(4)
    assert releases.unpin() == 1
    releases.next_in_line(FLEET)
    assert _offered(releases) == [(4, ())]


def test_a_pin_takes_a_trial_off(tmp_path: Path) -> None:
    """The robots that try a version out run the others' bytes again; it may be tried anew afterwards."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0):
        _publish(releases, tmp_path, value)
    assert releases.pin() == 3
    assert _offered(releases) == [(3, ())] and releases.offered()[0].floor == 3
    assert _bytes_offered(releases) == 1.0
    releases.next_in_line(FLEET)
    assert _offered(releases) == [(3, ())]
    releases.unpin()
    releases.next_in_line(FLEET)
    assert _offered(releases) == [(3, ()), (4, ('a',))]
    assert releases.offered()[1].tensors[0].max_abs == 2.0
    assert releases.pin(4) == 4
    assert _offered(releases) == [(4, ())], 'the one on trial, by name, for all'


def test_robots_of_a_trial_take_nothing_older(tmp_path: Path) -> None:
    """To promote or to pin an older one would leave them behind."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
    releases.promote(2)
    releases.next_in_line(FLEET)
    for act in (releases.promote, releases.pin):
        with pytest.raises(
            LookupError, match='version 1 is older than version 3, which runs on a'
        ):
            act(1)
    with pytest.raises(LookupError, match='version 2 is older than version 3, which runs on a'):
        releases.promote(2)


def test_what_waits_never_comes_out_after_something_newer(tmp_path: Path) -> None:
    """It would get a new number, and older weights would replace better ones."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value)
    releases.promote(2)
    assert releases.state().waiting == 3, 'the learner offers it at its next look'
    _publish(releases, tmp_path, 4.0)
    assert _offered(releases) == [(2, ()), (4, ('a',))]
    assert releases.state().waiting == 0


def test_with_a_plan_a_version_waits_for_somebody_to_try_it_out(tmp_path: Path) -> None:
    """Nobody heard is no reason to give it to all, before or after a pin or a roll-back."""
    releases = _open(tmp_path, CanaryPlan(share=0.25))
    for value in (1.0, 2.0, 3.0):
        _publish(releases, tmp_path, value, robots=())
    assert _offered(releases) == [(1, ())], 'the first version is for all'
    releases.next_in_line(())
    assert releases.roll_back(1) == 4
    _publish(releases, tmp_path, 5.0, robots=())
    releases.pin()
    releases.unpin()
    releases.next_in_line(())
    assert _offered(releases) == [(4, ())]
    releases.next_in_line(FLEET)
    assert _offered(releases) == [(4, ()), (5, ('a',))]


def test_who_gets_which_version_is_on_the_disk_before_it_counts(
    tmp_path: Path, synced: set[int]
) -> None:
    """An empty file after a power cut would keep the learner from publishing at all."""
    _publish(_open(tmp_path), tmp_path, 1.0)
    assert (tmp_path / 'published' / STATE_FILE).stat().st_ino in synced


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    """The remedy is in the message."""
    releases = _open(tmp_path)
    (tmp_path / 'published' / 'releases.json').write_text('{"stable": 1}')
    with pytest.raises(ValueError, match='remove it'):
        releases.offered()


@pytest.mark.parametrize(
    ('trial', 'others', 'verdict'),
    [
        ((0, 0), (10, 20), Verdict.WAIT),
        ((0, 4), (4, 4), Verdict.WAIT),
        ((0, 8), (19, 20), Verdict.TAKE_BACK),
        ((12, 20), (12, 20), Verdict.PROMOTE),
        ((18, 19), (0, 20), Verdict.WAIT),
        ((10, 20), (12, 20), Verdict.WAIT),
        ((20, 20), (0, 0), Verdict.PROMOTE),
        ((30, 60), (36, 60), Verdict.TAKE_BACK),
    ],
)
def test_the_rule(trial: tuple[int, int], others: tuple[int, int], verdict: Verdict) -> None:
    """Few failures prove nothing, many do; as good as the others is good enough."""
    counts = [Tally(episodes, successes) for successes, episodes in (trial, others)]
    assert judge(*counts, CanaryPlan(episodes=20, margin=0.05))[0] is verdict


def test_a_version_as_good_as_the_others_is_seldom_taken_back() -> None:
    """Looking after every episode does not make the rule trigger-happy; a bad version does not pass."""
    rng = np.random.default_rng(0)
    plan = CanaryPlan(episodes=20, margin=0.05)

    def share_taken_back(rate: float) -> float:
        results = []
        for _ in range(200):
            trial, others, verdict = Tally(), Tally(), Verdict.WAIT
            while verdict is Verdict.WAIT:
                trial = Tally(trial.episodes + 1, trial.successes + int(rng.random() < rate))
                others = Tally(others.episodes + 3, others.successes + int(rng.binomial(3, 0.7)))
                verdict, _ = judge(trial, others, plan)
            results.append(verdict is Verdict.TAKE_BACK)
        return float(np.mean(results))

    assert share_taken_back(0.7) < 0.1
    assert share_taken_back(0.2) > 0.95


def _report(**changes: object) -> RobotReport:
    fields: dict[str, object] = dict.fromkeys(RobotReport.__slots__, 0)
    return RobotReport(**fields | {'robot_id': 'a'} | changes)  # type: ignore[arg-type]


def test_episodes_are_credited_to_the_version_that_ran_them(tmp_path: Path) -> None:
    """A swap comes with an episode's end; only roll-outs count, and of successes only those without help."""
    fleet = FleetLog(tmp_path / 'weights.jsonl')
    fleet.add_report(_report(policy_version=3))
    fleet.add_report(_report(policy_version=4, episodes=1, rollouts=1, unaided=1))
    fleet.add_report(_report(policy_version=4, episodes=2, rollouts=2, unaided=1, takeovers=1))
    fleet.add_report(_report(policy_version=4, episodes=3, rollouts=2, unaided=1, takeovers=1))
    fleet.add_report(_report(policy_version=4, episodes=4, rollouts=3, unaided=2, takeovers=9))
    fleet.add_report(_report(policy_version=4))  # the robot began to count anew
    fleet.add_report(_report(policy_version=4, episodes=1, rollouts=1, unaided=1))
    assert (fleet.tally(3), fleet.tally(4)) == (Tally(1, 1), Tally(3, 2))
