"""Where launch descriptions come from."""

from launch._subset import reject_unknown
from launch.launch_description_sources.python_launch_file import (
    AnyLaunchDescriptionSource,
    InvalidLaunchFileError,
    InvalidPythonLaunchFileError,
    PythonLaunchDescriptionSource,
    get_launch_description_from_any_launch_file,
    get_launch_description_from_python_launch_file,
)

__all__ = [
    'AnyLaunchDescriptionSource',
    'InvalidLaunchFileError',
    'InvalidPythonLaunchFileError',
    'PythonLaunchDescriptionSource',
    'get_launch_description_from_any_launch_file',
    'get_launch_description_from_python_launch_file',
]
__getattr__ = reject_unknown('launch.launch_description_sources', __all__)
