"""Where a human's commands come from: sources behind one protocol, found by entry point."""

from lwd_policy_node.teleop.source import SourceError, TeleopSource, known_sources, load_source

__all__ = ['SourceError', 'TeleopSource', 'known_sources', 'load_source']
