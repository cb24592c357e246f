"""Atomic writing: after a failure, the old file or the new one is there, never a part."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from pynn._interrupts import Suppressed

if sys.platform != "win32":
    import fcntl

SUFFIX = ".tmp"
# Without O_BINARY, Windows would translate line ends.
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
CREATE |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends without an exception.

    The file is written in the same folder under an unpredictable name, flushed to the disk and then
    renamed, which the operating system does in one step. An exception removes it. A killed process
    leaves it behind; the next writer of the same `path` removes it.

    Parameters
    ----------
    path : str
        Symbolic links are followed: the file that they name is replaced. It keeps its owner and
        permissions where the system allows it; a new file gets those of `open`.

    Yields
    ------
    file object
        For writing bytes.

    Raises
    ------
    OSError
        As from `open` and `write`: no such folder, no permission, no space on the disk.
    """
    target = os.path.realpath(path)
    old = _status(target, path)
    folder, name = os.path.split(target)
    prefix = f".pynn-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}-"
    _remove_leftovers(folder, prefix)
    temporary, descriptor = _create(folder, prefix, old, path)
    try:
        # At the end of a process, `open` no longer exists.
        with io.BufferedWriter(io.FileIO(descriptor, "w")) as file:
            if old is not None:
                _keep_owner_and_mode(file.fileno(), old)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":
                # Renamed while locked, so that no other writer removes it as a leftover.
                os.replace(temporary, target)
        if sys.platform == "win32":  # where an open file cannot be renamed
            os.replace(temporary, target)
    except BaseException:
        with Suppressed(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(folder)


def _status(target: str, path: str) -> os.stat_result | None:
    """Return the status of the file to replace, or None; refuse one that `open` would refuse."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return None
    except OSError as error:
        error.filename = path
        raise
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path!r} is not a regular file, so it cannot be replaced")
    # Renaming checks the permissions of the folder only.
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return status


def _create(folder: str, prefix: str, old: os.stat_result | None, path: str) -> tuple[str, int]:
    """Make and lock a new file in `folder`, and return its name and its descriptor."""
    mode = 0o666 if old is None else old.st_mode & 0o777
    while True:
        name = os.path.join(folder, prefix + os.urandom(8).hex() + SUFFIX)
        try:
            descriptor = os.open(name, CREATE, mode)
        except FileExistsError:
            continue
        except OSError as error:
            error.filename = path  # the caller does not know the temporary name
            raise
        if _lock(descriptor):
            return name, descriptor
        # Another writer removed this file as a leftover, before it was locked.
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file that is being written. Return False if a writer removed it as a leftover."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return os.fstat(descriptor).st_nlink > 0


def _remove_leftovers(folder: str, prefix: str) -> None:
    """Remove the files that killed writers of the same path left: no process locks them."""
    pattern = re.compile(re.escape(prefix) + "[0-9a-f]{16}" + re.escape(SUFFIX))
    try:
        names = [name for name in os.listdir(folder) if pattern.fullmatch(name)]
    except OSError:  # creating the new file reports the fault
        return
    for name in names:
        leftover = os.path.join(folder, name)
        with Suppressed(OSError):
            if sys.platform == "win32":  # where an open file cannot be removed
                os.unlink(leftover)
                continue
            # NFS gives an exclusive lock only to a descriptor for writing.
            descriptor = os.open(leftover, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(leftover)
            finally:
                os.close(descriptor)


def _keep_owner_and_mode(descriptor: int, old: os.stat_result) -> None:
    if sys.platform == "win32":
        return
    new = os.fstat(descriptor)
    # Only root may change owners. The mode comes second: a change of owner clears parts of it.
    with Suppressed(OSError):
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    with Suppressed(OSError):
        os.fchmod(descriptor, old.st_mode & 0o777)


def _flush_folder(folder: str) -> None:
    """Flush the folder to the disk, where the system can, so that the renaming lasts."""
    if sys.platform == "win32":
        return
    with Suppressed(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
