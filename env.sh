# Source this: `source env.sh`. ROS 2 (a sourced install, or the project's wheels), the virtual environment, our packages.
_lwd_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")" && pwd)"
if [ ! -f "$_lwd_root/.venv/bin/activate" ]; then
  echo "env.sh: no environment in $_lwd_root/.venv yet: run 'make setup' there first" >&2
  unset _lwd_root
  return 1 2>/dev/null || exit 1
fi
_lwd_ros=sourced
if [ -z "${ROS_DISTRO:-}" ] || [ "${LWD_ROS:-}" = wheels ]; then _lwd_ros=wheels; fi
if [ "$_lwd_ros" = wheels ] && [ ! -e "$_lwd_root/.venv/bin/ros2" ]; then
  echo "env.sh: $_lwd_root was set up for a sourced ROS 2, and none is: source ROS 2 first, or run 'make setup' again to have the wheels" >&2
  unset _lwd_root _lwd_ros
  return 1 2>/dev/null || exit 1
elif [ "$_lwd_ros" = sourced ] && [ -e "$_lwd_root/.venv/bin/ros2" ]; then
  echo "env.sh: $_lwd_root was set up with ROS 2 from wheels, which would hide the sourced ROS 2 $ROS_DISTRO: run 'make setup' again, or open a shell without ROS" >&2
  unset _lwd_root _lwd_ros
  return 1 2>/dev/null || exit 1
fi
. "$_lwd_root/.venv/bin/activate"
if [ "$_lwd_ros" = wheels ]; then  # no ROS install sourced: the wheels are the ROS install
  export AMENT_PREFIX_PATH="$VIRTUAL_ENV" CMAKE_PREFIX_PATH="$VIRTUAL_ENV" ROS_DISTRO=jazzy LWD_ROS=wheels
  export ROS_VERSION=2 ROS_PYTHON_VERSION=3
  # Fast DDS as it comes finds a new node on this machine only after seconds.
  export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$_lwd_root/tools/ros2_wheels/src/ros2_wheels/fastdds_localhost.xml}"
fi
if [ -n "${BASH_VERSION:-}" ] && [ -f "$_lwd_root/install/local_setup.bash" ]; then
  . "$_lwd_root/install/local_setup.bash"
elif [ -f "$_lwd_root/install/local_setup.sh" ]; then
  COLCON_CURRENT_PREFIX="$_lwd_root/install" . "$_lwd_root/install/local_setup.sh"
fi
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
export RMW_IMPLEMENTATION="${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}"
export LWD_HOME="${LWD_HOME:-$_lwd_root/runs}"
# Threads of a computation that wait for each other sleep: beside a robot or a simulator, waiting by spinning takes the very core that is waited for.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
unset _lwd_root _lwd_ros
