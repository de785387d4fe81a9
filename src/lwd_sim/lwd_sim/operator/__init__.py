"""The scripted operator: demonstrations of any skill, and a teleoperator who takes over when a policy is stuck."""

from lwd_sim.operator.scripted import Operator
from lwd_sim.operator.skill import Skill
from lwd_sim.operator.takeover import Patience, TakeoverMonitor

__all__ = ['Operator', 'Patience', 'Skill', 'TakeoverMonitor']
