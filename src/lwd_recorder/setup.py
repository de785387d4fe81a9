from setuptools import find_packages, setup

package_name = 'lwd_recorder'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test', 'test.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    package_data={package_name: ['**/*.yaml', '**/*.xml', '**/py.typed']},
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='LWD for ROS 2 maintainers',
    maintainer_email='maintainers@lwd-ros2.dev',
    description='One durable MCAP bag per episode, a spool, and its upload.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'bag = lwd_recorder.command.bag:main',
            'recorder_node = lwd_recorder.nodes.recorder_node:main',
            'uploader_node = lwd_recorder.nodes.uploader_node:main',
        ],
    },
)
