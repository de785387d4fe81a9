"""Read a data set with LeRobot's own loader and write what it gives to a file. Runs in LeRobot's environment.

Usage: python read_with_lerobot.py ROOT OUT.npz BACKEND
"""

import json
import os
import sys

os.environ['HF_HUB_OFFLINE'] = (
    '1'  # a data set that LeRobot does not find whole, it would look for on the hub
)

import lerobot
import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main() -> None:
    root, out, backend = sys.argv[1:]
    data = LeRobotDataset('local/export', root=root, video_backend=backend)
    cameras = data.meta.camera_keys
    columns: dict[str, list] = {}
    tasks = []
    for i in range(len(data)):
        item = data[i]
        tasks.append(item.pop('task'))
        for key, value in item.items():
            if key in cameras:  # (3, h, w) in [0, 1]
                value = (value * 255).round().to(torch.uint8).permute(1, 2, 0)
            columns.setdefault(key, []).append(value.numpy())
    # what training asks for: a chunk of actions and the picture before, per row
    fps = data.meta.fps
    chunked = LeRobotDataset(
        'local/export',
        root=root,
        video_backend=backend,
        delta_timestamps={'action': [k / fps for k in range(4)], cameras[0]: [-1 / fps, 0.0]},
    )
    loader = torch.utils.data.DataLoader(chunked, batch_size=8, shuffle=False)
    batch = next(iter(loader))
    facts = {
        'lerobot': lerobot.__version__,
        'backend': backend,
        'frames': data.num_frames,
        'episodes': data.num_episodes,
        'fps': fps,
        'cameras': cameras,
        'robot_type': data.meta.robot_type,
        'names': data.meta.features['action']['names'],
        'tasks': tasks,
        'from_to': [[e['dataset_from_index'], e['dataset_to_index']] for e in data.meta.episodes],
        'chunk': list(batch['action'].shape),
        'history': list(batch[cameras[0]].shape),
        'padded': batch['action_is_pad'].sum().item(),
        'mean': {
            k: np.asarray(v['mean']).reshape(-1).tolist() for k, v in data.meta.stats.items()
        },
    }
    np.savez(out, facts=json.dumps(facts), **{k: np.stack(v) for k, v in columns.items()})


main()
