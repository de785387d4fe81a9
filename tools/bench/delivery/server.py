"""SeaweedFS for a while."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lwd_bringup.soak.store import StorePlace


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run the server; yields the address of a bucket. AWS_* of this process and its children point to it.

    Raises:
        FileNotFoundError: SeaweedFS is not installed.
        TimeoutError: it does not come up.
    """
    place = StorePlace(folder)
    before = {name: os.environ.get(name) for name in place.environment}
    with (folder / 'weed.log').open('wb') as log:
        server = subprocess.Popen(place.command(), stdout=log, stderr=log, cwd=folder)
    os.environ.update(place.environment)
    try:
        place.make_bucket()
        yield place.uri
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
