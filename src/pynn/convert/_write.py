"""Files that are the old one or the new one, never half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def check_path(path: Any) -> Path:
    """`path` as the file that will be written: in a folder that exists, and not a folder itself.

    Raises
    ------
    TypeError
        If `path` is neither a string nor path-like.
    FileNotFoundError, IsADirectoryError
        If no file can be there.
    """
    try:
        # A link stays a link: what it points to is replaced.
        target = Path(os.path.realpath(os.fsdecode(path)))
    except TypeError:
        raise TypeError(f"path must be a string or path-like, got {path!r}") from None
    if target.is_dir():
        raise IsADirectoryError(f"path must name a file, got the folder {str(path)!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}, but there is no folder {target.parent}")
    return target


def write_atomically(target: Path, chunks: Iterable[bytes]) -> None:
    """Write beside `target`, then put the whole file in its place.

    Raises
    ------
    OSError
        If writing fails; then `target` is what it was.
    """
    # Opened by name, not by tempfile, which would make a file that only its owner may read.
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
