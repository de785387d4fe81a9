from setuptools import find_packages, setup

package_name = 'lwd_sim'

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
    description='A MuJoCo AgiBot G1 with tasks and a scripted operator.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'make_data = lwd_sim.data.make_data:main',
            'sim_node = lwd_sim.nodes.sim_node:main',
            'strip = lwd_sim.data.strip:main',
            'urdf = lwd_sim.robot.urdf:main',
        ],
        'lwd.teleop_source': [
            'scripted = lwd_sim.nodes.scripted_source:ScriptedOperatorSource',
        ],
    },
)
