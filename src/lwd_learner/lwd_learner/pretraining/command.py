"""``ros2 run lwd_learner pretrain_vision``: make the vision tower that the package ships."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from lwd_policy_node.policy import Policy, preset
from lwd_policy_node.policy.pretrained import save_vision, shipped_path
from lwd_policy_node.profile import load_profile
from lwd_sim.data.glimpses import collect, refuse_unnamed
from lwd_sim.rendering.gl_backend import RenderingUnavailableError, check_opengl
from lwd_sim.tasks import refuse_unknown
from rich.console import Console
from rich.progress import Progress

from lwd_learner.pretraining.vision import Fit, VisionPretraining


@dataclass(frozen=True, slots=True)
class Options:
    """Pre-train a policy's vision tower on rendered scenes; needed again when cameras, scenes or the tower change."""

    tasks: tuple[str, ...] = ('restock', 'handover')
    """Whose scenes."""
    scenes: int = 10_000
    """Scenes of each task."""
    frames: int = 2
    """Glimpses of each scene."""
    steps: int = 6000
    """Training steps."""
    preset: str = 'tiny'
    """Size of the policy."""
    profile: str = 'g1_laptop'
    """Robot profile: a known name or a path to a YAML."""
    out: Path | None = None
    """File to write; by default the one in the package."""
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Processes that render."""
    threads: int = 0
    """torch threads; 0 for one per core."""


def main() -> None:
    """Render, train, save, and say how well it finds things."""
    options = tyro.cli(Options, prog='pretrain_vision')
    console = Console()
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    out = options.out or shipped_path(options.preset)
    try:
        refuse_unknown(options.tasks)
        refuse_unnamed(options.profile, options.tasks)
        check_opengl()
    except (ValueError, RenderingUnavailableError) as refused:
        console.print(
            f'pretrain_vision: {refused.args[0]}', style='red', markup=False, soft_wrap=True
        )
        sys.exit(1)
    with Progress(console=console) as progress:
        glimpses = {}
        for task in options.tasks:
            bar = progress.add_task(f'scenes of {task}', total=options.scenes)
            glimpses[task] = collect(
                options.profile,
                task,
                options.scenes,
                frames=options.frames,
                workers=options.workers,
                advance=functools.partial(progress.advance, bar),
            )
        policy = Policy(preset(options.preset, load_profile(options.profile)))
        training = VisionPretraining(policy, glimpses, Fit(steps=options.steps))
        bar = progress.add_task('training', total=options.steps)
        training.run(lambda step, loss: progress.update(bar, completed=step))
    errors = training.errors_m()
    for task, error in errors.items():
        console.print(
            f'{task}: the named item is found to {100 * error:.1f} cm (median, new scenes)'
        )
    save_vision(policy, out, {f'error_m.{task}': f'{error:.4f}' for task, error in errors.items()})
    console.print(f'written to {out}', markup=False, soft_wrap=True)
    sys.exit(0)


if __name__ == '__main__':
    main()
