"""What this computer lacks: no robot, no weights and no policy are at fault for it."""


class InstallationError(RuntimeError):
    """Something is not installed, or broken; the message names it and the remedy."""
