"""`ros2 run lwd_recorder bag ls|show|verify PATH`: look at episodes on a disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from lwd_recorder.bag import BagError, bag_topics, read_bag
from lwd_recorder.bag.writer import METADATA_NAME
from lwd_recorder.durable import sha256_of
from lwd_recorder.manifest import MANIFEST_NAME, EpisodeManifest, ManifestError


@dataclass(frozen=True, slots=True)
class Ls:
    """List every episode below a folder: a spool, a store, or one bag."""

    path: tyro.conf.Positional[Path]
    """Folder to look in."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Print the list; the exit code is 0."""
        rows = [_row(folder) for folder in bag_folders(self.path)]
        if self.json:
            print(json.dumps(rows, indent=2))
            return 0
        for row in rows:
            print(
                f'{row["episode_id"]:<48} {row["outcome"]:<9} {row["messages"]:>8} messages '
                f'{row["size_bytes"]:>12} bytes  {row["path"]}'
            )
        print(f'{len(rows)} episodes')
        return 0


@dataclass(frozen=True, slots=True)
class Show:
    """Show one bag: its manifest and its topics."""

    path: tyro.conf.Positional[Path]
    """The bag's folder."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Print it; the exit code is 1 if it cannot be read."""
        try:
            topics = {topic.name: topic for topic in bag_topics(self.path)}
            manifest = _manifest(self.path)
        except (BagError, ManifestError) as error:
            return _fail(self.path, str(error), as_json=self.json)
        if self.json:
            document = {
                'path': str(self.path),
                'manifest': None if manifest is None else json.loads(manifest.to_json()),
                'topics': {name: topic._asdict() for name, topic in topics.items()},
            }
            print(json.dumps(document, indent=2))
            return 0
        if manifest is None:
            print('no manifest: this bag is not an episode, or was never closed')
        else:
            facts = asdict(manifest)
            for name in ('files', 'topics'):
                del facts[name]
            for name, value in facts.items():
                print(f'{name:<17} {value}')
        for name, topic in topics.items():
            record = None if manifest is None else manifest.topics.get(name)
            measured = (
                f' {record.rate_hz:8.2f} Hz, largest gap {record.max_gap_s:.3f} s'
                if record is not None
                else ''
            )
            print(f'{name:<48} {topic.type_name:<36} {topic.message_count:>7}{measured}')
        return 0


@dataclass(frozen=True, slots=True)
class Verify:
    """Read every byte: manifest, hashes, chunk CRCs, counts."""

    path: tyro.conf.Positional[Path]
    """A bag's folder, or a folder of bags."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Print a line a bag; the exit code is 1 if one is damaged or none is found."""
        results = []
        for folder in bag_folders(self.path):
            damage = verify(folder)
            results.append({'path': str(folder), 'ok': damage is None, 'damage': damage})
        if self.json:
            print(json.dumps(results, indent=2))
        else:
            for result in results:
                print(
                    f'{"ok     " if result["ok"] else "DAMAGED"} {result["damage"] or result["path"]}'
                )
            if not results:
                print(f'{self.path}: no bag in it', file=sys.stderr)
        return 0 if results and all(result['ok'] for result in results) else 1


Command = Annotated[
    Annotated[Ls, tyro.conf.subcommand('ls')]
    | Annotated[Show, tyro.conf.subcommand('show')]
    | Annotated[Verify, tyro.conf.subcommand('verify')],
    tyro.conf.OmitSubcommandPrefixes,
]


def verify(folder: Path) -> str | None:
    """Return what is wrong with an episode's folder, or None when all of it is right."""
    try:
        manifest = _manifest(folder)
        if manifest is not None:
            for file in manifest.files:
                if sha256_of(folder / file.name) != file.sha256:
                    return f'{folder / file.name}: not the sha256 of the manifest'
        for _ in read_bag(folder):
            pass
    except (BagError, ManifestError) as error:
        return str(error)
    except OSError as error:
        return f'{error.filename}: {error.strerror}'
    return None


def bag_folders(path: Path) -> Iterator[Path]:
    """Yield every folder at or below a path that holds a bag or a manifest, sorted."""
    found = {
        file.parent
        for pattern in (METADATA_NAME, MANIFEST_NAME, '*.mcap')
        for file in path.rglob(pattern)
    }
    yield from sorted(found)


def main(args: list[str] | None = None) -> int:
    """Run the command line."""
    command = tyro.cli(Command, prog='bag', description=__doc__, args=args)
    return int(command.run())


def _manifest(folder: Path) -> EpisodeManifest | None:
    return EpisodeManifest.load(folder) if (folder / MANIFEST_NAME).is_file() else None


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        'path': str(folder),
        'episode_id': folder.name,
        'outcome': '-',
        'messages': 0,
        'size_bytes': sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        'damage': None,
    }
    try:
        row['messages'] = sum(topic.message_count for topic in bag_topics(folder))
        manifest = _manifest(folder)
        if manifest is not None:
            row['episode_id'], row['outcome'] = manifest.episode_id, manifest.outcome
    except (BagError, ManifestError) as error:
        row['outcome'], row['damage'] = 'DAMAGED', str(error)
    return row


def _fail(path: Path, text: str, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({'path': str(path), 'error': text}))
    else:
        print(text, file=sys.stderr)
    return 1


if __name__ == '__main__':
    sys.exit(main())
