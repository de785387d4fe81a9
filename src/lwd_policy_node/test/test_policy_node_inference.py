"""From streams to chunks without ROS: which frames make an observation, when a plan is due, swaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simplejpeg
from lwd_policy_node.inference import (
    ChunkRejected,
    LoadedWeights,
    ObservationAssembler,
    Planner,
    PolicySlot,
)
from lwd_policy_node.inference.observation import (
    KEPT_S,
    NS,
    STATE_SPACING_S,
    StreamError,
    decode_images,
    zero_observation,
)
from lwd_policy_node.profile import load_profile
from lwd_policy_node.weights import Manifest

PROFILE = load_profile('g1_laptop')
TICK_NS = round(NS / 30)
CAMERAS = [camera.name for camera in PROFILE.cameras]


def _assembler() -> ObservationAssembler:
    return ObservationAssembler(PROFILE, late_after_s=0.5)


def _tick(assembler: ObservationAssembler, tick: int, cameras: list[str] = CAMERAS) -> None:
    stamp_ns = tick * TICK_NS
    position = [float(tick)] * len(PROFILE.state_names)
    if tick % 3 == 0:
        for camera in cameras:
            assembler.put_image(camera, stamp_ns, f'{camera}@{tick}'.encode())
    assembler.put_joint_state(stamp_ns, PROFILE.state_names, position)


def test_an_observation_is_one_instant() -> None:
    """Images and joint state of the same tick go together, however far the joints are ahead."""
    assembler = _assembler()
    for tick in range(9):
        _tick(assembler, tick)
    taken = assembler.take()
    assert taken is not None
    stamp_ns, jpegs, state = taken
    assert stamp_ns == 6 * TICK_NS
    assert jpegs == {name: f'{name}@6'.encode() for name in CAMERAS}
    positions, velocities = np.split(state, 2)
    assert (positions == 6.0).all()
    assert (velocities == 0.0).all()  # the driver sent none


def test_a_lost_frame_delays_and_never_mixes() -> None:
    """When one camera drops a frame the older complete instant stays the newest."""
    assembler = _assembler()
    for tick in range(4):
        _tick(assembler, tick)
    _tick(assembler, 6, CAMERAS[1:])
    assert assembler.newest_stamp_ns() == 3 * TICK_NS
    _tick(assembler, 9)
    assert assembler.newest_stamp_ns() == 9 * TICK_NS


def test_images_wait_for_the_joint_state_of_their_moment() -> None:
    """An image that overtakes its joint state is not paired with the one before."""
    assembler = _assembler()
    _tick(assembler, 0)
    for camera in CAMERAS:
        assembler.put_image(camera, 3 * TICK_NS, b'')
    assert assembler.newest_stamp_ns() == 0
    assembler.put_joint_state(3 * TICK_NS, PROFILE.state_names, [3.0] * 20)
    assert assembler.newest_stamp_ns() == 3 * TICK_NS


def test_cameras_that_run_free_meet_and_nothing_is_from_later() -> None:
    """Three cameras a third of a period apart: each frame makes an observation of the newest ones."""
    assembler = _assembler()
    period_ns = round(NS / PROFILE.cameras[0].rate_hz)
    taken = []
    for number in range(9):
        stamp_ns = number * period_ns // 3
        assembler.put_image(CAMERAS[number % 3], stamp_ns, str(number).encode())
        assembler.put_joint_state(stamp_ns - 1, PROFILE.state_names, [number - 0.5] * 20)
        assembler.put_joint_state(stamp_ns + 1, PROFILE.state_names, [number + 0.5] * 20)
        taken.append(assembler.take())
    assert taken[:5] == [None] * 5  # until every camera has shown its rate
    for number, found in enumerate(taken[5:], 5):
        assert found is not None
        stamp_ns, jpegs, state = found
        assert stamp_ns == number * period_ns // 3
        assert sorted(int(jpeg) for jpeg in jpegs.values()) == [number - 2, number - 1, number]
        assert state[0] == number - 0.5


def test_cameras_that_are_nearly_synchronous_stay_together() -> None:
    """A frame that is a little later than its partner goes with it, not with the one after."""
    assembler = _assembler()
    for number in range(3):
        for late, camera in enumerate(CAMERAS):
            stamp_ns = number * 3 * TICK_NS + late * 1_000_000
            assembler.put_image(camera, stamp_ns, str(number).encode())
            assembler.put_joint_state(stamp_ns, PROFILE.state_names, [0.0] * 20)
            found = assembler.take()
            if found is not None:
                assert len(set(found[1].values())) == 1
    assert found is not None and set(found[1].values()) == {b'2'}


MS = 1_000_000
G1 = load_profile('g1')


def _seen(states_hz: int, delays_ms: tuple[int, ...], seconds: float = 2.0) -> tuple[float, Any]:
    """Observations a second of free-running 30 Hz cameras, each message so late, and what is at fault at the end."""
    assembler = ObservationAssembler(G1, late_after_s=0.5)
    events: list[tuple[float, str, float]] = []
    for count in range(int(seconds * states_hz)):
        events.append((count * 1000 / states_hz + 1, '', count * 1000 / states_hz))
    for number, camera in enumerate(G1.cameras):
        for count in range(int(seconds * 30)):
            stamp_ms = count * 1000 / 30 + 3 * number
            events.append((stamp_ms + delays_ms[number], camera.name, stamp_ms))
    begin_ns = 1000 * NS
    stamps = set()
    position = [0.0] * len(G1.state_names)
    for now_ms, camera_name, stamp_ms in sorted(events):
        if now_ms > 1000 * seconds:
            break
        stamp_ns = begin_ns + round(stamp_ms * MS)
        if camera_name:
            assembler.put_image(camera_name, stamp_ns, b'')
            stamps.add(assembler.newest_stamp_ns())
        else:
            assembler.put_joint_state(stamp_ns, G1.state_names, position)
    faults = assembler.faults(begin_ns + round(seconds * NS))
    return len(stamps - {None}) / seconds, faults


@pytest.mark.parametrize(
    ('states_hz', 'delays_ms'),
    [
        (30, (140, 30, 30)),
        (30, (300, 30, 30)),
        (500, (140, 140, 140)),
        (1000, (80, 80, 80)),
        (1000, (300, 80, 30)),
    ],
)
def test_streams_meet_however_late_and_however_fast(
    states_hz: int, delays_ms: tuple[int, ...]
) -> None:
    """What is kept is a time, not a number of messages."""
    rate_hz, faults = _seen(states_hz, delays_ms)
    assert rate_hz > 0.75 * 30 and not faults


def test_streams_that_never_meet_are_named() -> None:
    """Cameras at 3 Hz, a third of a period apart: each is fresh, but never when the others are."""
    assembler = _assembler()
    for number in range(30):
        stamp_ns = number * NS // 9
        assembler.put_image(CAMERAS[number % 3], stamp_ns, b'')
        assembler.put_joint_state(stamp_ns, PROFILE.state_names, [0.0] * 20)
    assert assembler.newest_stamp_ns() is None
    (fault,) = assembler.faults(stamp_ns)
    assert fault.startswith('no instant at which all streams meet')
    assert 'camera hand_left 0.11 s' in fault


def test_a_fast_robot_is_seen_to_within_a_few_milliseconds() -> None:
    """1 kHz: the state of an instant is never from after it, and at most STATE_SPACING_S older than the newest."""
    assembler = _assembler()
    for number in range(1000):
        assembler.put_joint_state(number * MS, PROFILE.state_names, [float(number)] * 20)
        if number % 100 == 53:
            for camera in CAMERAS:
                assembler.put_image(camera, (number - 30) * MS, b'')
            if number > 200:
                taken = assembler.take()
                assert taken is not None
                assert 0 <= taken[0] / MS - taken[2][0] < STATE_SPACING_S * 1000
    assert len(assembler._states) < 1.1 * KEPT_S / (STATE_SPACING_S * 0.75)


def test_faults_name_the_stream() -> None:
    """A missing, a late and an unusable stream are each named with what was expected."""
    assembler = _assembler()
    _tick(assembler, 0, CAMERAS[:1])
    faults = '; '.join(assembler.faults(round(0.2 * NS)))
    assert 'camera hand_left: nothing received' in faults
    assert 'camera head' not in faults and 'joint_states' not in faults
    assert 'camera head: 0.90 s old, limit 0.333 s' in assembler.faults(round(0.9 * NS))
    assembler.put_joint_state(TICK_NS, PROFILE.state_names[1:], [0.0] * 19)
    assert f'no position for {PROFILE.state_names[0]}' in '; '.join(assembler.faults(TICK_NS))
    assembler.put_joint_state(2 * TICK_NS, PROFILE.state_names, [float('nan')] * 20)
    assert 'joint_states: a position or velocity is NaN or infinite' in assembler.faults(TICK_NS)


def test_what_comes_too_late_for_its_plan_to_be_executed_is_named() -> None:
    """By then the last steps of a chunk of 16, renewed every 9, are over: the arbiter would hold between plans."""
    usable_s = (PROFILE.horizon - PROFILE.replan_steps) / PROFILE.control_rate_hz
    late_ns = round((usable_s + 1.0 / PROFILE.cameras[0].rate_hz) * NS)
    assembler = _assembler()
    _tick(assembler, 0)
    assembler.put_joint_state(10 * TICK_NS, PROFILE.state_names, [0.0] * 20)
    assert not assembler.faults(late_ns)
    faults = assembler.faults(late_ns + 10 * MS)
    assert faults == [f'camera {name}: 0.34 s old, limit 0.333 s' for name in CAMERAS]


def test_joint_names_in_any_order() -> None:
    """Drivers order joints as they like; the state vector has the profile's order, velocities behind positions."""
    assembler = _assembler()
    for camera in CAMERAS:
        assembler.put_image(camera, 0, b'')
    names = [*reversed(PROFILE.state_names), 'a_wheel']
    positions = [float(i) for i in range(21)]
    assembler.put_joint_state(0, names, positions, [100.0 + i for i in positions])
    taken = assembler.take()
    assert taken is not None
    backwards = [float(i) for i in reversed(range(20))]
    assert list(taken[2]) == [*backwards, *(100.0 + i for i in backwards)]


def test_a_restarted_clock_is_followed() -> None:
    """After a restart of the simulator stamps begin again; old frames must not block new ones."""
    assembler = _assembler()
    for tick in range(300, 307):
        _tick(assembler, tick)
    for tick in range(4):
        _tick(assembler, tick)
    assert assembler.newest_stamp_ns() == 3 * TICK_NS


def test_images_that_do_not_fit_are_named() -> None:
    """A wrong size or a broken JPEG stops the policy with the camera's name, not a crash."""
    good = simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8))
    assert decode_images(PROFILE, dict.fromkeys(CAMERAS, good))['head'].shape == (64, 64, 3)
    large = simplejpeg.encode_jpeg(np.zeros((48, 64, 3), np.uint8))
    huge = bytearray(good)  # a damaged header: decoded, it would be 12 GB
    size_at = huge.find(b'\xff\xc0') + 5
    huge[size_at : size_at + 4] = b'\xff\xdc\xff\xdc'
    for bad, words in (
        (large, 'hand_left: 64x48'),
        (bytes(huge), 'hand_left: 65500x65500'),
        (b'no', 'hand_left: not a JPEG'),
    ):
        with pytest.raises(StreamError, match=words):
            decode_images(PROFILE, {**dict.fromkeys(CAMERAS, good), 'hand_left': bad})


class _Counting:
    """Each chunk holds the number of the call; remembers what was frozen."""

    config_hash = ''

    def __init__(self, value: float = 0.0) -> None:
        self.calls = 0
        self.frozen: Any = None
        self.value = value

    def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
        self.calls += 1
        self.frozen = frozen
        return np.arange(16.0)[:, None] + np.full((16, 16), 100.0 * self.calls + self.value)


def _at(tick: int) -> Any:
    return replace(zero_observation(PROFILE), stamp_ns=tick * TICK_NS)


def test_a_plan_every_replan_steps() -> None:
    """Plans follow the robot's clock, not the arrival of messages."""
    planner, policy = Planner(PROFILE), _Counting()
    planned = []
    for tick in range(0, 60, 3):
        if planner.due(tick * TICK_NS, 'a'):
            planner.plan(policy, 1, _at(tick), 'a')
            planned.append(tick)
    assert planned == [0, 9, 18, 27, 36, 45, 54]
    assert planner.due(57 * TICK_NS, 'b'), 'a new episode does not wait'
    assert planner.due(0, 'a'), 'a restarted clock does not wait'


def test_hand_back_plans_from_an_observation_after_it() -> None:
    """After a hand-back the first later observation is used, an earlier one does not spend that."""
    planner, policy = Planner(PROFILE), _Counting()
    planner.plan(policy, 1, _at(0), 'a')
    planner.replan_after(5 * TICK_NS)
    assert not planner.due(3 * TICK_NS, 'a')
    assert planner.due(6 * TICK_NS, 'a')
    planner.plan(policy, 1, _at(6), 'a')
    assert not planner.due(9 * TICK_NS, 'a')


def test_frozen_steps_continue_the_previous_chunk() -> None:
    """Real-time chunking hands over the steps due after the new observation, of the same weights."""
    planner, policy = Planner(PROFILE, frozen_steps=4), _Counting()
    first = planner.plan(policy, 1, _at(0), 'a')
    assert policy.frozen is None
    second = planner.plan(policy, 1, _at(9), 'a')
    assert second.frozen_steps == 4
    assert np.array_equal(policy.frozen, first.actions[9:13])
    assert planner.plan(policy, 2, _at(18), 'a').frozen_steps == 0, 'other weights'
    assert planner.plan(policy, 2, _at(33), 'a').frozen_steps == 0, 'too little left'


def test_a_plan_has_the_value_that_the_policy_sees_in_it() -> None:
    """NaN from a policy that says nothing of values."""

    class Silent:
        config_hash = ''

        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            return np.zeros((16, 16))

    assert Planner(PROFILE).plan(_Counting(0.25), 1, _at(0), 'a').value == 0.25
    assert np.isnan(Planner(PROFILE).plan(Silent(), 1, _at(0), 'a').value)


def test_bad_chunks_never_leave() -> None:
    """Non-finite targets, wrong shapes and failing inference are rejected with their reason."""
    planner = Planner(PROFILE)
    with pytest.raises(ChunkRejected, match=f'target of {PROFILE.joint_names[0]} is NaN'):
        planner.plan(_Counting(float('nan')), 1, _at(0), 'a')

    class Short(_Counting):
        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            return np.zeros((8, 16))

    class Failing(_Counting):
        def act(self, obs: Any, seed: int, frozen: Any = None) -> Any:
            raise RuntimeError('out of memory')

    with pytest.raises(ChunkRejected, match='shape'):
        planner.plan(Short(), 1, _at(0), 'a')
    with pytest.raises(ChunkRejected, match='out of memory'):
        planner.plan(Failing(), 1, _at(0), 'a')


def _weights(version: int) -> LoadedWeights:
    manifest = Manifest(0, version, 0, 'sft', 0, '', '', 0, '')
    return LoadedWeights(_Counting(), manifest)


def test_weights_swap_only_at_a_boundary() -> None:
    """The first weights are used at once; later ones wait for the end, or for the next episode."""
    slot = PolicySlot()
    slot.episode(runs=True, boundary=True)
    one, two, three, four = (_weights(version) for version in (1, 2, 3, 4))
    assert slot.offer(one) is one
    assert slot.offer(two) is None and slot.active is one
    assert slot.offer(three) is None and slot.standby is three, 'the newest wins'
    assert slot.episode(runs=True, boundary=False) is None, 'repeated RUNNING'
    assert slot.episode(runs=False, boundary=True) is three
    assert slot.offer(four) is four, 'between episodes'
    slot.episode(runs=True, boundary=True)
    slot.offer(_weights(5))
    assert slot.newest_version == 5 and slot.active is four
    missed_the_end = slot.episode(runs=True, boundary=True)
    assert missed_the_end is not None and missed_the_end.manifest.version == 5


def test_frozen_steps_never_continue_what_was_not_executed() -> None:
    """A plan made under a human's hands is not continued: after the hand-back it starts anew."""
    planner, policy = Planner(PROFILE, frozen_steps=4), _Counting()
    planner.plan(policy, 1, _at(0), 'a')
    planner.executing = False
    assert planner.plan(policy, 1, _at(9), 'a').frozen_steps == 0
    planner.replan_after(12 * TICK_NS)
    planner.executing = True
    assert planner.plan(policy, 1, _at(15), 'a').frozen_steps == 0
    assert planner.plan(policy, 1, _at(24), 'a').frozen_steps == 4
