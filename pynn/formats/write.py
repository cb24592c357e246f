"""Files that writers make: checked paths, and whole files or none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pynn.files.atomic import replacing


def check_path(path: Any) -> Path:
    """Return `path` as the file to write: in a folder that exists, and not a folder itself.

    Raises
    ------
    TypeError
        If `path` is neither a string nor path-like.
    FileNotFoundError, IsADirectoryError
        If no file can be there.
    """
    try:
        # A link stays a link: the file that it points to is replaced.
        target = Path(os.path.realpath(os.fsdecode(path)))
    except TypeError:
        raise TypeError(f"path must be a string or path-like, got {path!r}") from None
    if target.is_dir():
        raise IsADirectoryError(f"path must name a file, got the folder {str(path)!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}, but there is no folder {target.parent}")
    return target


def write_atomically(target: Path, chunks: Iterable[bytes]) -> None:
    """Write the whole file, or leave an older one as it is.

    Raises
    ------
    OSError
        If writing fails.
    """
    with replacing(str(target)) as file:
        file.writelines(chunks)
