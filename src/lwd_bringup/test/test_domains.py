"""Tests and benchmarks over DDS have a ROS domain each: what one leaves behind must not be heard by another."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[3]
MARKS = ('ROS_DOMAIN_ID', 'DOMAIN', 'domain_id', 'make_bench(', 'make_driver(', 'make_stage(')
DOMAINS = range(102, 233)  # of these; those below are for people and the demo


def numbers(text: str) -> set[int]:
    """Every number in a file that may be a domain, as number or as text."""
    constants = {
        node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)
    }
    found = {int(value) for value in constants if str(value).isdecimal()}
    return found & set(DOMAINS)


def test_no_two_files_share_a_domain() -> None:
    users: defaultdict[int, list[str]] = defaultdict(list)
    files = [*ROOT.glob('src/*/test/test_*.py'), *ROOT.glob('tools/*/test/test_*.py')]
    files += ROOT.glob('tools/bench/**/*.py')
    for path in files:
        text = path.read_text()
        if path != Path(__file__) and any(mark in text for mark in MARKS):
            for number in numbers(text):
                users[number].append(path.name)
    assert len(users) > 30
    shared = {number: names for number, names in users.items() if len(names) > 1}
    free = sorted(set(DOMAINS) - set(users))
    assert not shared, f'give one of the two another number; free are {free}'
