"""The clear error for names of ROS 2's launch API that this subset does not provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def reject_unknown(module: str, known: Iterable[str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package of the subset.

    Args:
        module: Dotted name of the package, as users write it.
        known: The public names that the package provides.

    Returns:
        A function that raises ImportError naming the missing name, for every public name.
    """
    names = ', '.join(sorted(known))

    def __getattr__(name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        raise ImportError(
            f"'{module}' of ros2_wheels does not provide '{name}'. This is a subset of ROS 2's "
            f'launch for machines without a ROS 2 install; it provides: {names}',
            name=name,
        )

    return __getattr__
