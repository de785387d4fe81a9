from pathlib import Path

from setuptools import find_packages, setup

package_name = 'lwd_bringup'


def share(folder: str, pattern: str) -> tuple[str, list[str]]:
    return (
        f'share/{package_name}/{folder}',
        sorted(str(path) for path in Path(folder).glob(pattern)),
    )


setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test', 'test.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        share('launch', '*.launch.py'),
        share('config', '*.yaml'),
        share('config', '*.xml'),
        share('config/security', '*.xml'),
        share('rviz', '*.rviz'),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='LWD for ROS 2 maintainers',
    maintainer_email='maintainers@lwd-ros2.dev',
    description='Launch files, parameters, and the demo of the whole loop.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'demo = lwd_bringup.demo.cli:main',
            'soak = lwd_bringup.soak.cli:main',
        ],
    },
)
