"""Functions that actions and substitutions share."""

from launch._subset import reject_unknown
from launch.utilities.substitution_lists import (
    normalize_to_list_of_substitutions,
    perform_substitutions,
)

__all__ = ['normalize_to_list_of_substitutions', 'perform_substitutions']
__getattr__ = reject_unknown('launch.utilities', __all__)
