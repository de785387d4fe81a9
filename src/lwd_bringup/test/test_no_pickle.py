"""No pickle anywhere: reading a file of ours, or of a stranger, never runs code that stands in it."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from lwd_learner.publish.archive import Archive, VersionCounter
from lwd_learner.publish.releases import Releases
from lwd_policy_node.policy import Policy
from lwd_policy_node.weights import WeightsRefused, ensure_key_pair, load_private_key

ROOT = Path(__file__).parents[3]
MODULES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal'}
YAML = {'load', 'full_load', 'unsafe_load', 'load_all', 'unsafe_load_all'}


def _sources() -> list[Path]:
    files = [*ROOT.glob('src/**/*.py'), *ROOT.glob('tools/**/*.py')]
    return [path for path in files if path != Path(__file__)]


def _faults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or '']
        else:
            names = []
        for name in names:
            if name.partition('.')[0] in MODULES:
                yield node.lineno, f'imports {name}'
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        options = {word.arg: word.value for word in node.keywords}
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ''
        call = f'{owner}.{node.func.attr}'
        safe = options.get('weights_only')
        if call == 'torch.load' and not (isinstance(safe, ast.Constant) and safe.value is True):
            yield node.lineno, 'torch.load without weights_only=True'
        if owner in ('np', 'numpy') and 'allow_pickle' in options:
            allowed = options['allow_pickle']
            if not (isinstance(allowed, ast.Constant) and allowed.value is False):
                yield node.lineno, f'{call} with allow_pickle'
        if owner == 'yaml' and node.func.attr in YAML:
            yield node.lineno, f'{call}: use yaml.safe_load'
        if call in ('builtins.eval', 'builtins.exec'):
            yield node.lineno, call


def test_nothing_of_ours_reads_pickle_or_unsafe_yaml() -> None:
    """Every Python file of the packages and tools, by its syntax tree."""
    found = [
        f'{path.relative_to(ROOT)}:{line}: {fault}'
        for path in _sources()
        for line, fault in _faults(ast.parse(path.read_text()))
    ]
    assert not found, '\n'.join(found)


def test_the_search_finds_what_it_is_for() -> None:
    """Each forbidden form is seen, its safe form is not."""
    bad = (
        'import pickle', 'from dill import loads', 'torch.load(p)', 'torch.load(p, weights_only=False)',
        'np.load(p, allow_pickle=True)', 'yaml.load(t)',
    )  # fmt: skip
    good = (
        'torch.load(p, weights_only=True)',
        'np.load(p, allow_pickle=False)',
        'yaml.safe_load(t)',
    )
    assert all(list(_faults(ast.parse(code))) for code in bad)
    assert not any(list(_faults(ast.parse(code))) for code in good)


class _Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, (str(self.mark), 'w'))  # type: ignore[return-value]


def test_a_pickle_in_place_of_weights_is_refused_unread(tmp_path: Path) -> None:
    """Neither the robot's loader nor the learner's publisher runs what it holds."""
    mark, path = tmp_path / 'ran', tmp_path / 'policy.safetensors'
    path.write_bytes(pickle.dumps(_Bomb(mark)))
    with pytest.raises(Exception, match=r'(?i)header|safetensor'):
        Policy.load(path)
    private = ensure_key_pair(tmp_path / 'keys').private_path
    releases = Releases(
        Archive(tmp_path / 'published'),
        VersionCounter(private.with_suffix('.version')),
        load_private_key(private),
    )
    with pytest.raises(WeightsRefused, match='malformed'):
        releases.publish(path, stage='sft', step=0)
    assert not mark.exists()
