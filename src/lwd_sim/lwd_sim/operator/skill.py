"""How well the scripted operator works: from flawless to clumsy. Knobs only; the behaviour is in ``scripted``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skill:
    """Knobs of a scripted operator. All zero is the expert; probabilities are per episode."""

    aim_noise_m: float = 0.0
    """Standard deviation of a slowly wandering error of where the operator believes the item is, m."""
    grasp_error_m: float = 0.0
    """Standard deviation of an error of the grasp, drawn anew at each attempt, m."""
    goal_error_m: float = 0.0
    """Standard deviation of an error of where to let go, drawn once an episode, m."""
    joint_noise_rad: float = 0.0
    """Standard deviation of a slowly wandering error of each arm joint's goal, rad."""
    speed_low: float = 1.0
    """Pace is drawn once an episode between this share of full speed and 1."""
    hesitation: float = 0.0
    """Share of the time spent at a quarter of the pace (never a stop: a stop is invisible to a policy)."""
    wrong_item: float = 0.0
    """Probability of taking another item than the one named."""
    early_release: float = 0.0
    """Probability of letting go before the goal."""
    wander: float = 0.0
    """Probability that the hand goes to random places instead of working (play)."""

    @staticmethod
    def expert() -> Skill:
        """No errors: solves nearly every scene."""
        return Skill()

    @staticmethod
    def noisy() -> Skill:
        """A hurried person: somewhat more than half of the demonstrations succeed."""
        return Skill(
            aim_noise_m=0.004,
            grasp_error_m=0.017,
            goal_error_m=0.038,
            joint_noise_rad=0.012,
            speed_low=0.6,
            hesitation=0.15,
            wrong_item=0.15,
            early_release=0.25,
        )

    @staticmethod
    def play() -> Skill:
        """Aimless motion around the items, sometimes with one in the hand."""
        return Skill(aim_noise_m=0.015, joint_noise_rad=0.02, speed_low=0.6, wander=1.0)
