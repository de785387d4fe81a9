"""policy_node: camera images, joint state and instruction in, action chunks out; weights by air.

A lifecycle node. configure: streams, weights of this robot's disk, one inference with them. activate: plan, and
beat. deactivate: neither, so that the arbiter holds. With `autostart` it configures and activates itself.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock, ClockType
from rclpy.executors import Executor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from lwd_policy_node.nodes import qos
from lwd_policy_node.nodes.parameters import declare, robot_of
from lwd_policy_node.nodes.policy_parameters import PARAMETERS
from lwd_policy_node.nodes.policy_runtime import PolicyRuntime
from lwd_policy_node.nodes.process import Leaving, StartError, run_node, spin
from lwd_policy_node.stop_signal import StopSignal
from lwd_policy_node.weights.checks import Load

DIAGNOSTICS_PERIOD_S = 1.0
Result = TransitionCallbackReturn


def torch_loader() -> Load:
    """Import the policy model, which takes seconds, and return what loads it for one thread."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from lwd_policy_node.policy import Policy

    return lambda path: Policy.load(path, threads=1)


class PolicyNode(LifecycleNode):
    """The life cycle around a `PolicyRuntime`."""

    def __init__(self, loader: Callable[[], Load] = torch_loader) -> None:
        """Declare parameters; nothing else happens before `on_configure`."""
        super().__init__('policy_node')
        self._loader = loader
        self._values = declare(self, PARAMETERS)
        self._robot_id = robot_of(self, self._values['robot_id'])
        self._runtime: PolicyRuntime | None = None
        self._leaving: Leaving = lambda: False
        self._state = 'unconfigured'
        self._fault = ''
        self._out = self.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self.create_timer(
            DIAGNOSTICS_PERIOD_S, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

        # rclpy lets a transition that is not possible now end the process.
        answer = self._service_change_state.callback

        def change_state(
            asked: ChangeState.Request, reply: ChangeState.Response
        ) -> ChangeState.Response:
            try:
                return answer(asked, reply)
            except rclpy_implementation.RCLError as error:
                self.get_logger().warning(f'refused a change of state: {error}')
                return ChangeState.Response(success=False)

        self._service_change_state.callback = change_state

    def run(self, executor: Executor, stopping: StopSignal) -> None:
        """Work until the process is asked to leave.

        Raises:
            StartError: the node was to start by itself, and its configuration does not permit it.
        """
        self._leaving = stopping.is_set
        if self._values['autostart']:
            for trigger in (self.trigger_configure, self.trigger_activate):
                if trigger() != Result.SUCCESS:
                    if stopping.is_set():
                        return
                    raise StartError(self._fault)
        spin(self, executor, stopping)

    def destroy_node(self) -> None:
        """Stop the threads, then the node."""
        self._close()
        super().destroy_node()

    # Transitions --------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, bring back the last good weights and run them once."""
        self._fault = ''
        try:
            self._runtime = PolicyRuntime(self, self._robot_id, self._values, self._loader)
            self._runtime.await_warm(self._leaving)
        except StartError as error:
            self._fault = str(error)
        except Exception as error:  # rclpy would drop it without a word
            self._fault = f'{type(error).__name__}: {error}'
            self.get_logger().error(traceback.format_exc())
        if self._fault:
            self.get_logger().error(f'not configured: {self._fault}')
            self._close()
            return Result.FAILURE
        # A full collection of torch's objects would stop every thread, the heartbeat's too, for .2 s.
        gc.collect()
        gc.freeze()
        self._state = 'inactive'
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish chunks from now on."""
        result = super().on_activate(state)
        self._runtime.start()
        self._state = 'active'
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish no more chunks; weights are still taken."""
        self._runtime.stop()
        self._state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to where `on_configure` began."""
        self._close()
        self._state = 'unconfigured'
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop everything for good; the process stays until a signal."""
        self._close()
        self._state = 'finalized'
        return super().on_shutdown(state)

    def _close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None

    def _diagnose(self) -> None:
        """Once a second."""
        name = f'{self._robot_id}/policy_node: lifecycle'
        status = DiagnosticStatus(name=name, hardware_id=self._robot_id, message=self._state)
        status.level = DiagnosticStatus.OK if self._state == 'active' else DiagnosticStatus.WARN
        if self._fault:
            status.level = DiagnosticStatus.ERROR
            status.message = f'not configured: {self._fault}'
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._out.publish(message)
        if self._runtime is not None:
            self._runtime.diagnose()


def main(args: Sequence[str] | None = None, loader: Callable[[], Load] = torch_loader) -> int:
    """Run policy_node until a signal; end the process with the exit code."""
    code = run_node(lambda: PolicyNode(loader), args, run=PolicyNode.run)
    sys.stdout.flush()
    sys.stderr.flush()
    # Torn down in the ordinary way, torch takes seconds: longer than launch waits on a busy machine.
    os._exit(code)


if __name__ == '__main__':
    sys.exit(main())
