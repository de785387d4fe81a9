"""Complete ROS 2 message definitions for bags, so that a bag decodes where our packages are not installed.

A `ros2msg` schema is the type's .msg text followed by the text of every type it uses, each after a rule of 80 `=` and a
line `MSG: <package>/<Name>` (https://mcap.dev/spec/registry#ros2msg). The texts come from the ament index:
`<prefix>/share/<package>/msg/<Name>.msg` for each prefix in AMENT_PREFIX_PATH.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path

_RULE = '=' * 80
_TYPE_NAME = re.compile(r'^([a-z][a-z0-9_]*)/msg/([A-Za-z][A-Za-z0-9_]*)$')
_FIELD_TYPE = re.compile(r'^\s*([A-Za-z][A-Za-z0-9_/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]')
_PRIMITIVES = frozenset(
    [
        'bool',
        'byte',
        'char',
        'float32',
        'float64',
        'int8',
        'uint8',
        'int16',
        'uint16',
        'int32',
        'uint32',
        'int64',
        'uint64',
        'string',
        'wstring',
    ]
)


class SchemaError(Exception):
    """A message type's definition cannot be found."""


@lru_cache(maxsize=512)
def message_definition(type_name: str) -> str:
    """Return the complete `ros2msg` definition of a type, nested types included.

    Args:
        type_name: e.g. `sensor_msgs/msg/JointState`.

    Raises:
        SchemaError: the name is malformed, or a definition is not in the ament index.
    """
    parts = [_msg_file(type_name).read_text(encoding='utf-8')]
    seen = {type_name}
    pending = _nested_types(parts[0], type_name)
    while pending:
        nested = pending.pop(0)
        if nested in seen:
            continue
        seen.add(nested)
        text = _msg_file(nested).read_text(encoding='utf-8')
        package, name = _split(nested)
        parts.append(f'{_RULE}\nMSG: {package}/{name}\n{text}')
        pending += _nested_types(text, nested)
    return '\n'.join(part.rstrip('\n') for part in parts) + '\n'


@lru_cache(maxsize=512)
def type_hash(type_name: str) -> str:
    """Return the type's REP-2016 hash (`RIHS01_...`), or an empty string where the installation has none."""
    description = _msg_file(type_name).with_suffix('.json')
    if not description.is_file():
        return ''
    for entry in json.loads(description.read_text(encoding='utf-8')).get('type_hashes', []):
        if entry.get('type_name') == type_name:
            return str(entry['hash_string'])
    return ''


def _split(type_name: str) -> tuple[str, str]:
    match = _TYPE_NAME.match(type_name)
    if match is None:
        raise SchemaError(f'{type_name!r} is not a message type; write it as package/msg/Name')
    return match.group(1), match.group(2)


def _msg_file(type_name: str) -> Path:
    package, name = _split(type_name)
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in prefixes:
        path = Path(prefix) / 'share' / package / 'msg' / f'{name}.msg'
        if path.is_file():
            return path
    raise SchemaError(
        f'no definition of {type_name}: share/{package}/msg/{name}.msg is in none of the {len(prefixes)} prefixes of '
        'AMENT_PREFIX_PATH; build or install the package and source its environment'
    )


def _nested_types(text: str, owner: str) -> list[str]:
    """Return the types that a .msg text refers to, as package/msg/Name, in order of appearance."""
    owner_package, _ = _split(owner)
    nested = []
    for line in text.splitlines():
        match = _FIELD_TYPE.match(line.split('#', 1)[0])
        if match is None:
            continue
        field = match.group(1)
        if field in _PRIMITIVES:
            continue
        parts = field.split('/')
        if len(parts) == 1:
            nested.append(f'{owner_package}/msg/{field}')
        else:
            nested.append(f'{parts[0]}/msg/{parts[-1]}')
    return nested
