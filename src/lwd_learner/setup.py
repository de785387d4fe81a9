from setuptools import find_packages, setup

package_name = 'lwd_learner'

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
    description='Bags to replay, DIVL and QAM, evaluation, signed weights.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'pretrain_vision = lwd_learner.pretraining.command:main',
            'ingest = lwd_learner.ingest.command:main',
            'keys = lwd_learner.publish.keys_command:main',
            'fleet = lwd_learner.fleet.command:main',
            'pin = lwd_learner.publish.release_commands:pin',
            'promote = lwd_learner.publish.release_commands:promote',
            'rollback = lwd_learner.publish.release_commands:rollback',
            'publish = lwd_learner.publish.publish_command:main',
            'train = lwd_learner.training.train_command:main',
            'evaluate = lwd_learner.evaluation.command:main',
            'replay = lwd_learner.replay.command:main',
        ],
    },
)
