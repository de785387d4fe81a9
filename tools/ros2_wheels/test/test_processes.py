"""Processes: output, end, respawn, event handlers, exit codes of the launch."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest


def test_output_is_prefixed_and_start_and_end_are_told(ros2, launch_file):
    result = ros2(
        'launch',
        launch_file("""
        ExecuteProcess(cmd=['sh', '-c', 'echo one; printf two; echo err >&2'], output='screen'),
    """),
    )
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert re.match(r'\[INFO\] \[launch\]: All log files can be found below /', lines[0])
    assert lines[1] == '[INFO] [launch]: Default logging verbosity is set to INFO'
    pid = re.fullmatch(r'\[INFO\] \[sh-1\]: process started with pid \[(\d+)\]', lines[2])[1]
    assert {'[sh-1] one', '[sh-1] two', '[sh-1] err'} == set(lines[3:6])
    assert lines[6] == f'[INFO] [sh-1]: process has finished cleanly [pid {pid}]'


@pytest.mark.parametrize(
    ('output', 'on_screen', 'in_log'),
    [
        ("'screen'", {'o', 'e'}, set()),
        ("'log'", {'e'}, {'o', 'e'}),
        ("'both'", {'o', 'e'}, {'o', 'e'}),
        ("{'stdout': 'screen', 'stderr': 'log'}", {'o'}, {'e'}),
    ],
)
def test_output_goes_where_it_is_wanted(
    ros2, launch_file, own_log_directory, output, on_screen, in_log
):
    result = ros2(
        'launch',
        launch_file(f"ExecuteProcess(cmd=['sh', '-c', 'echo o; echo e >&2'], output={output}),"),
    )
    log = (own_log_directory / 'latest/launch.log').read_text()
    assert set(re.findall(r'^\[sh-1\] (.)$', result.stdout, re.M)) == on_screen
    assert set(re.findall(r'^\d+\.\d{7} \[sh-1\] (.)$', log, re.M)) == in_log
    assert 'process has finished cleanly' in log


def test_own_log_files(ros2, launch_file, own_log_directory):
    ros2(
        'launch',
        launch_file("ExecuteProcess(cmd=['sh', '-c', 'echo o; echo e >&2'], output='own_log'),"),
    )
    folder = own_log_directory / 'latest'
    assert (folder / 'sh-1-stdout.log').read_text() == '[sh-1] o\n'
    assert (folder / 'sh-1-stderr.log').read_text() == '[sh-1] e\n'
    assert len((folder / 'sh-1.log').read_text().splitlines()) == 2


def test_process_that_dies_is_told_and_the_launch_still_ends_with_0(ros2, launch_file):
    result = ros2('launch', launch_file("ExecuteProcess(cmd=['sh', '-c', 'exit 3']),"))
    assert re.search(
        r"\[ERROR\] \[sh-1\]: process has died \[pid \d+, exit code 3, cmd 'sh -c exit 3'\]\.",
        result.stdout,
    )
    assert result.returncode == 0


def test_command_that_is_not_there_is_named(ros2, launch_file):
    result = ros2('launch', launch_file("ExecuteProcess(cmd=['no_such_command']),"))
    assert 'exception occurred while executing process' in result.stdout
    assert 'no_such_command' in result.stdout


def test_missing_executable_of_a_package_ends_the_launch_with_1(ros2, launch_file, prefix):
    result = ros2(
        'launch',
        launch_file("""
            ExecuteProcess(cmd=['sleep', '1000']),
            TimerAction(period=0.3, actions=[Node(package='probe_pkg', executable='nope')]),
        """),
    )
    assert result.returncode == 1
    assert (
        '[ERROR] [launch]: Caught exception in launch (see debug for traceback): '
        "executable 'nope' not found on the libexec directory" in result.stdout
    )
    assert "sending signal 'SIGINT' to process[sleep-1]" in result.stdout


def test_name_prefix_environment_and_working_directory(ros2, launch_file, tmp_path):
    result = ros2(
        'launch',
        launch_file(f"""
        SetEnvironmentVariable('A', '1'),
        ExecuteProcess(cmd=['sh', '-c', 'echo $A $B $PWD'], name='shell', output='screen',
                       prefix='env B=2', additional_env={{'A': '3'}}, cwd={str(tmp_path)!r}),
        ExecuteProcess(cmd=['echo $A', '&& echo x'], shell=True, output='screen', name='raw'),
    """),
    )
    assert f'[shell-1] 3 2 {tmp_path}\n' in result.stdout
    assert '[raw-2] 1\n[raw-2] x\n' in result.stdout


def test_launch_prefix_goes_before_executables_that_the_filter_matches(ros2, launch_file):
    path = launch_file("""
        ExecuteProcess(cmd=['sh', '-c', 'echo sh $P'], output='screen'),
        ExecuteProcess(cmd=['bash', '-c', 'echo bash $P'], output='screen'),
    """)
    result = ros2('launch', '--launch-prefix', 'env P=1', '--launch-prefix-filter', 'sh', path)
    assert '[env-1] sh 1\n' in result.stdout
    assert '[bash-2] bash\n' in result.stdout


def test_respawn_runs_a_process_again_until_its_retries_are_used_up(ros2, launch_file, tmp_path):
    result = ros2(
        'launch',
        launch_file("""
        ExecuteProcess(cmd=['sh', '-c', 'echo again; exit 1'], output='screen', respawn=True,
                       respawn_delay=0.05, respawn_max_retries=2),
    """),
    )
    assert result.stdout.count('[sh-1] again') == 3
    assert result.stdout.count('process started with pid') == 3


def test_killed_process_is_respawned_without_what_it_left_behind(start, launch_file, is_running):
    path = launch_file("""
        ExecuteProcess(cmd=['bash', '-c', 'sleep 1000 & echo child $!; wait'], output='screen',
                       respawn=True, respawn_delay=0.1, sigterm_timeout='0.3'),
    """)
    launched = start('launch', path)
    child = int(launched.wait_for(r'child (\d+)')[1])
    pid = int(launched.wait_for(r'started with pid \[(\d+)\]')[1])
    os.kill(pid, signal.SIGKILL)
    second = int(launched.wait_for(r'started with pid \[(\d+)\]', count=2)[1])
    launched.wait_for(r'child (\d+)', count=2)
    assert f'process has died [pid {pid}, exit code -9' in launched.text
    assert not is_running(child)
    launched.interrupt()
    assert launched.finish() == 0
    assert not is_running(second)


def test_on_exit_shutdown_ends_the_whole_launch(ros2, launch_file):
    result = ros2(
        'launch',
        launch_file("""
        ExecuteProcess(cmd=['sleep', '1000'], name='other'),
        ExecuteProcess(cmd=['sh', '-c', 'exit 1'], on_exit=Shutdown(reason='gone')),
    """),
    )
    assert '[INFO] [launch]: process[sh-2] was required: shutting down launched system' in (
        result.stdout
    )
    assert "sending signal 'SIGINT' to process[other-1]" in result.stdout
    assert result.returncode == 0


def test_event_handlers_of_start_exit_and_shutdown(ros2, launch_file):
    result = ros2(
        'launch',
        launch_file("""
        RegisterEventHandler(OnProcessExit(on_exit=lambda event, context: LogInfo(
            msg=f'{event.process_name} ended with {event.returncode}'))),
        *(lambda first: [
            RegisterEventHandler(OnProcessStart(target_action=first,
                                                on_start=[LogInfo(msg='first started')])),
            RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[
                ExecuteProcess(cmd=['sh', '-c', 'echo second runs'], output='screen')])),
            RegisterEventHandler(OnShutdown(on_shutdown=[LogInfo(
                msg=['shutdown: ', LocalSubstitution('event.reason')])])),
            first,
        ])(ExecuteProcess(cmd=['sh', '-c', 'exit 4'])),
    """),
    )
    for line in ('first started', 'sh-1 ended with 4', 'sh-2 ended with 0', 'shutdown: idle'):
        assert f'[INFO] [launch.user]: {line}\n' in result.stdout
    assert '[sh-2] second runs\n' in result.stdout


def test_timer_defers_actions_and_is_cancelled_by_shutdown(ros2, launch_file):
    result = ros2(
        'launch',
        launch_file("""
        TimerAction(period=0.4, actions=[LogInfo(msg='late'), EmitEvent(event=ShutdownEvent(reason='x'))]),
        TimerAction(period='0.1', actions=[LogInfo(msg='early')]),
        TimerAction(period=1000.0, actions=[LogInfo(msg='never')]),
    """),
    )
    said = re.findall(r'launch.user\]: (\w+)', result.stdout)
    assert said == ['early', 'late']
    assert result.returncode == 0


def test_exception_in_a_launch_file_ends_the_launch_with_1_and_debug_shows_the_traceback(
    ros2, launch_file
):
    path = launch_file('OpaqueFunction(function=lambda context: 1 / 0),')
    result = ros2('launch', path)
    assert result.returncode == 1
    assert (
        'Caught exception in launch (see debug for traceback): division by zero' in result.stdout
    )
    assert 'Traceback' not in result.stdout
    assert 'Traceback' in ros2('launch', '--debug', path).stdout


def test_emulate_tty_gives_the_process_a_terminal(ros2, launch_file):
    path = launch_file(
        "ExecuteProcess(cmd=['sh', '-c', 'test -t 1 && echo tty || echo pipe'], output='screen'),"
    )
    assert '[sh-1] pipe\n' in ros2('launch', path).stdout
    assert '[sh-1] tty\n' in ros2('launch', path, 'emulate_tty:=true').stdout


def test_an_action_runs_one_process_only(ros2, launch_file):
    result = ros2('launch', launch_file("*[ExecuteProcess(cmd=['true'])] * 2,"))
    assert result.returncode == 1
    assert 'executed more than once' in result.stdout


def test_launch_file_of_a_package_is_found_by_name(ros2, launch_file, prefix: Path):
    launch_file("LogInfo(msg='found'),", 'p.launch.py', prefix / 'share/probe_pkg/launch')
    assert 'found' in ros2('launch', 'probe_pkg', 'p.launch.py').stdout
    result = ros2('launch', 'probe_pkg', 'q.launch.py')
    assert result.returncode == 1
    assert "file 'q.launch.py' was not found in the share directory of package 'probe_pkg'" in (
        result.stderr
    )
    assert "Package 'no_pkg' not found" in ros2('launch', 'no_pkg', 'q.launch.py').stderr


def test_log_folder_that_cannot_be_made_is_named(ros2, launch_file, monkeypatch):
    monkeypatch.setenv('ROS_LOG_DIR', '/proc/none')
    result = ros2('launch', launch_file("LogInfo(msg='x'),"))
    assert result.returncode == 1
    assert 'cannot make the log folder /proc/none/' in result.stderr
    assert 'Traceback' not in result.stderr
