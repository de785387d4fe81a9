"""Publish signed weights to robots: `Publisher` for `train`; commands `publish` and `keys`."""

from lwd_learner.publish.publisher import Publisher

__all__ = ['Publisher']
