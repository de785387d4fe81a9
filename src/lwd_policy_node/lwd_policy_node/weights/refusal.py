"""Why a robot refuses published weights: the one list of reasons."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """What was wrong. The value opens the reason that the robot reports."""

    NO_TRUSTED_KEY = 'no trusted key'
    UNKNOWN_KEY = 'unknown key'
    BAD_SIGNATURE = 'bad signature'
    OTHER_CONFIG = 'other config_hash'
    OTHER_ROBOT = 'another robot'
    NOT_NEWER = 'not newer'
    PINNED = 'older than pinned'
    WENT_BACK = 'failed here before'
    DEADLY = 'ended its process'
    WRONG_SIZE = 'wrong size'
    HASH_MISMATCH = 'hash mismatch'
    MALFORMED = 'malformed file'
    NON_FINITE = 'non-finite tensor'
    STATISTICS = 'unlike its statistics'
    SHAPE_MISMATCH = 'shape mismatch'
    LOAD_FAILED = 'load failed'
    SMOKE_FAILED = 'smoke inference failed'
    DISK = 'disk error'
    UNREACHABLE = 'unreachable'


class WeightsRefused(ValueError):
    """Weights may not be used. ``kind`` says which check failed, the text says what to do."""

    def __init__(self, kind: Refusal, detail: str) -> None:
        super().__init__(f'{kind}: {detail}')
        self.kind = kind
