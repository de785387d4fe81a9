"""What a package imports of ours it declares, and no package needs itself."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from xml.etree import ElementTree

import pytest

SRC = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in SRC.glob('*/package.xml'))
OURS = {package.name for package in PACKAGES}


def declared(package: Path, *kinds: str) -> set[str]:
    """Packages of ours that package.xml names as dependencies of these kinds."""
    root = ElementTree.parse(package / 'package.xml').getroot()
    return {str(element.text) for kind in kinds for element in root.iter(kind)} & OURS


def imported(folder: Path) -> set[str]:
    """Packages of ours that the Python files below a folder import."""
    names = set()
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split('.')[0])
            elif isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
    return names & OURS


@pytest.mark.parametrize('package', PACKAGES, ids=lambda package: package.name)
def test_imports_are_declared(package: Path) -> None:
    needed = declared(package, 'depend', 'exec_depend')
    assert imported(package / package.name) - {package.name} <= needed
    in_tests = needed | declared(package, 'test_depend')
    assert imported(package / 'test') - {package.name} <= in_tests


def test_packages_can_be_ordered() -> None:
    kinds = ('depend', 'build_depend', 'exec_depend', 'test_depend')
    order = TopologicalSorter({p.name: declared(p, *kinds) for p in PACKAGES})
    assert set(order.static_order()) == OURS
