"""What glibc's heap does with freed memory, for processes that run for weeks or that allocate megabytes all the time.

Lance writes and merges files in many threads. glibc gives each of them an arena where freed memory stays: after 700
commits an ingest had grown by 310 MB, of which its index was 23. With two arenas, and what is free given back after
each merge, it grows by its index.

An update does the opposite: it frees its activations and soon wants as many again. glibc returns large pieces to the
system at once, which hands the pages out again one fault at a time: 8,000 to 17,000 an update of the flat learner, and
a tenth of its time.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
ARENAS = 2
KEPT_BYTES = 1 << 30
LARGEST_KEPT_BYTES = 32 << 20  # glibc takes no more
_libc = ctypes.CDLL(None)


def limit_arenas() -> None:
    """Let all threads share a few arenas; call it before they start. Nothing happens without glibc."""
    _set(M_ARENA_MAX, ARENAS)


def keep_freed() -> None:
    """Let freed memory, up to a GiB, wait for its next use, in one arena: the heaps of others shrink whatever is set.

    Call it before threads start. Nothing happens without glibc.
    """
    _set(M_ARENA_MAX, 1)
    _set(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    _set(M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Return free memory to the system. Nothing happens without glibc."""
    if hasattr(_libc, 'malloc_trim'):
        _libc.malloc_trim(0)


def _set(parameter: int, value: int) -> None:
    if hasattr(_libc, 'mallopt'):
        _libc.mallopt(parameter, value)
