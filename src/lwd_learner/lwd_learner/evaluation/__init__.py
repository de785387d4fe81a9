"""Evaluation: a policy on simulated tasks with fixed seeds, in process, without ROS."""

from lwd_learner.evaluation.evaluate import EvaluationError, Evaluator, Result, evaluate
from lwd_learner.evaluation.wilson import wilson

__all__ = ['EvaluationError', 'Evaluator', 'Result', 'evaluate', 'wilson']
