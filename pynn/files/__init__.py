"""Files of networks: `MLP.save` and `load`.

`model` turns a network into a header and arrays and back, `npz` and `tensors` are the two kinds of
files, `atomic` puts a file in the place of another.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from pynn._keywords import refuse, refuses_unknown
from pynn.files import model, npz, tensors
from pynn.files.atomic import replacing

if TYPE_CHECKING:
    from pynn.files.container import Container
    from pynn.mlp import MLP

__all__ = ["load", "path_of", "save"]

MOST_CHARACTERS = 400
NPZ, TENSORS = ".npz", ".safetensors"


def __dir__() -> list[str]:
    return __all__


def path_of(path: str | os.PathLike[str]) -> str:
    """The file that `save` writes for `path`.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    str
        With ".npz" at its end if it ends neither so nor in ".safetensors".
    """
    name = os.fsdecode(path)
    return name if name.lower().endswith((NPZ, TENSORS)) else name + NPZ


def save(net: MLP, path: Any) -> None:
    """Write a network to a file: what `MLP.save` does.

    Parameters
    ----------
    net : MLP
    path : str, os.PathLike or binary file object
    """
    if hasattr(path, "write"):
        if isinstance(path, io.TextIOBase):
            raise TypeError(f"path must be opened for binary writing, got {path!r}")
        npz.write(path, *model.describe(net))
        return
    name = path_of(_check_path(path))
    header, arrays = model.describe(net)
    write = tensors.write if name.lower().endswith(TENSORS) else npz.write
    with replacing(name) as file:
        write(file, header, arrays)


@refuses_unknown
def load(path: Any, **unknown: NoReturn) -> MLP:
    """Read a network that `MLP.save` has written.

    Parameters
    ----------
    path : str, os.PathLike or binary file object
        A path is completed as `MLP.save` does, so that ``pynn.load(path)`` reads what
        ``net.save(path)`` wrote; where there is no such file it is taken as it is. What a file
        holds is recognized by its content.

    Returns
    -------
    MLP
        With the weights, the generator's state, the history, and as ``net.optimizer`` the
        optimizer with its state for this network: `fit` without an optimizer goes on exactly as it
        would have done.

    Raises
    ------
    ValueError
        If the file is damaged, or not one of pynn's, or of another version of the format; the
        message names the file and says what is wrong.
    OSError
        If it cannot be read: ``FileNotFoundError``, ``PermissionError``.
    ImportError
        If it is a .safetensors file, and safetensors is not installed.
    MemoryError
        If the network does not fit into memory. (It is not larger than its file.)

    Notes
    -----
    Reading runs nothing: there is no pickle in the file, arrays are read as plain numbers, and the
    sizes are checked against the file's before memory is taken. A learning rate that is a function
    of the step is not in the file: `fit` then asks for an optimizer.

    Examples
    --------
    >>> import io, numpy as np, pynn
    >>> net, file = pynn.MLP([4, 3], seed=0), io.BytesIO()
    >>> net.save(file)
    >>> bool(np.all(pynn.load(io.BytesIO(file.getvalue())).weights[0] == net.weights[0]))
    True
    """
    refuse(unknown, load, "load()", path)
    if hasattr(path, "read"):
        data = path.read()
        if not isinstance(data, bytes):
            raise TypeError(f"path must be opened for binary reading, got {path!r}")
        return _load(io.BytesIO(data), getattr(path, "name", None) or "the file object")
    name = path_of(_check_path(path))
    if not os.path.exists(name) and os.path.exists(path):
        name = os.fsdecode(path)
    with open(name, "rb") as file:
        return _load(file if file.seekable() else io.BytesIO(file.read()), name)


def _check_path(path: Any) -> Any:
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a path or a binary file object, got {path!r}")
    return path


def _load(file: BinaryIO, name: Any) -> MLP:
    from pynn._interrupts import pass_on

    try:
        return model.rebuild(_container(file))
    except ValueError as error:
        pass_on(error)
    # What zipfile takes for damage may have been an exception from outside, which it lost: damage
    # is found again.
    try:
        file.seek(0)
        return model.rebuild(_container(file))
    except ValueError as error:
        pass_on(error)
        reason = str(error)
        if len(reason) > MOST_CHARACTERS:  # it quotes the file
            reason = reason[:MOST_CHARACTERS] + "..."
        raise ValueError(f"{name} cannot be read as a network: {reason}") from error


def _container(file: BinaryIO) -> Container:
    from pynn.files.npz import MAGIC, NpzContainer
    from pynn.files.tensors import TensorsContainer

    begin = file.read(9)
    if begin.startswith(MAGIC):
        return NpzContainer(file)
    if begin[8:] == b"{":
        return TensorsContainer(file)
    what = "is empty" if not begin else "is neither an .npz nor a .safetensors file"
    raise ValueError(f"it {what}")
