"""Bytes that survive a power cut: fsync of files and folders, and files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

_BLOCK = 1 << 20


def fsync_folder(folder: Path) -> None:
    """Flush a folder's entries (names of new, renamed and removed files) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_files(folder: Path) -> None:
    """Flush every file of a folder, and its entries, to the disk."""
    for path in folder.iterdir():
        with path.open('rb') as file:
            os.fsync(file.fileno())
    fsync_folder(folder)


def temporary_name(path: Path) -> Path:
    """Return a hidden name beside `path`, unique to this call; readers skip names that begin with a dot."""
    return path.with_name(f'.{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part')


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that a reader or a power cut sees the old one or the new one, never a part."""
    temporary = temporary_name(path)
    try:
        with temporary.open('xb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def copy_atomically(source: Path, target: Path) -> str:
    """Copy a file, durable and whole under its final name, or not at all.

    Returns:
        sha256 (hex) of the bytes that were written.
    """
    temporary = temporary_name(target)
    digest = hashlib.sha256()
    try:
        with source.open('rb') as reader, temporary.open('xb') as writer:
            while block := reader.read(_BLOCK):
                digest.update(block)
                writer.write(block)
            writer.flush()
            os.fsync(writer.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
