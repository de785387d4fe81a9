"""Signs S3 requests by the server's clock where the robot's is wrong.

S3 refuses a request that is signed a quarter of an hour off its own time. A robot that boots without a network has
such a clock, and its episodes are not to wait for a person who sets it: the refusal carries the server's time, and
signatures are made by that from then on, until the server says again that it is wrong.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth

SIGNATURE = 'lwd-s3v4'
"""Signature version of clients that sign by the server's clock."""
_TIMESTAMP = '%Y%m%dT%H%M%SZ'
_behind_s = 0.0  # one wall clock a process, so one correction


def follow_server(headers: Mapping[str, str]) -> str:
    """Take the server's time from the headers of its refusal; return in words how wrong ours is, '' if it says none."""
    global _behind_s
    stamp = email.utils.parsedate_tz(headers.get('date', ''))
    if stamp is None:
        return ''
    _behind_s = email.utils.mktime_tz(stamp) - time.time()
    word = 'behind' if _behind_s > 0 else 'ahead'
    return f"this machine's clock is {abs(_behind_s):.0f} s {word}; requests are signed by the server's from now on"


class _ServerClockAuth(botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """Signature version 4 with a time that is corrected."""

    def _modify_request_before_signing(self, request: Any) -> None:
        if _behind_s:
            now = datetime.now(UTC) + timedelta(seconds=_behind_s)
            request.context['timestamp'] = now.strftime(_TIMESTAMP)
        super()._modify_request_before_signing(request)


botocore.auth.AUTH_TYPE_MAPS[SIGNATURE] = _ServerClockAuth
