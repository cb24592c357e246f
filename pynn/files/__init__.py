"""Files of networks.

`write` has `save`, which lies below the networks; `read` has `load`, which makes one. `layout`
names the parts of a file, `npz` and `tensors` are the two kinds of files, and `atomic` puts a file
in the place of another.
"""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
