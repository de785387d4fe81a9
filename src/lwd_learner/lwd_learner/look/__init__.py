"""What a person looks at before believing a replay: lint's findings, and strips of an episode's pictures and values."""

from lwd_learner.look.findings import Finding, Level
from lwd_learner.look.lint import LintConfig, lint

__all__ = ['Finding', 'Level', 'LintConfig', 'lint']
