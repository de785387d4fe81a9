from setuptools import find_packages, setup

package_name = 'lwd_policy_node'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test', 'test.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    package_data={package_name: ['**/*.yaml', '**/*.xml', '**/py.typed', '**/*.safetensors']},
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='LWD for ROS 2 maintainers',
    maintainer_email='maintainers@lwd-ros2.dev',
    description='Everything that decides a motion: policy, arbiter, teleoperation, episodes, robot profile.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'arbiter_node = lwd_policy_node.nodes.arbiter_node:main',
            'episode_node = lwd_policy_node.nodes.episode_node:main',
            'policy_node = lwd_policy_node.nodes.policy_node:main',
            'teleop_node = lwd_policy_node.nodes.teleop_node:main',
        ],
        'lwd.teleop_source': [
            'gamepad = lwd_policy_node.nodes.gamepad_source:GamepadSource',
            'keyboard = lwd_policy_node.nodes.keyboard_source:KeyboardSource',
            'leader_arm = lwd_policy_node.nodes.leader_source:LeaderArmSource',
            'none = lwd_policy_node.teleop.none_source:NoneSource',
        ],
    },
)
