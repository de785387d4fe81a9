"""`bag show`: what one bag is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from lwd_recorder.bag import BagError, bag_topics
from lwd_recorder.command.answer import refuse
from lwd_recorder.command.places import manifest_in
from lwd_recorder.manifest import ManifestError


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
            manifest = manifest_in(self.path)
        except (BagError, ManifestError) as error:
            return refuse(self.path, str(error), as_json=self.json)
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
