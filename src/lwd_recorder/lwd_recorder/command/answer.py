"""What a verb prints: text for people, JSON for scripts, and an exit code that says the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def say(document: Mapping[str, Any], text: str, *, as_json: bool) -> int:
    """Print what was done; the exit code is 0."""
    print(json.dumps(document, indent=2) if as_json else text)
    return 0


def refuse(path: object, text: str, *, as_json: bool) -> int:
    """Print why it was not done; the exit code is 1."""
    if as_json:
        print(json.dumps({'path': str(path), 'error': text}))
    else:
        print(text, file=sys.stderr)
    return 1
