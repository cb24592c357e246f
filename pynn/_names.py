"""Names as users of Keras, torch and scikit-learn spell them, and what pynn calls them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

# Spellings of the same function, beside pynn's own name in any case and with or without "_" or "-".
ACTIVATIONS = {
    "linear": "identity",
    "logistic": "sigmoid",
    "swish": "silu",
    "exponential": "exp",
}
LOSSES = {
    "categorical_crossentropy": "softmax_cross_entropy",
    "sparse_categorical_crossentropy": "softmax_cross_entropy",
    "softmax_crossentropy": "softmax_cross_entropy",
    "crossentropy": "softmax_cross_entropy",
    "cross_entropy_loss": "softmax_cross_entropy",
    "log_loss": "softmax_cross_entropy",
    "sigmoid_crossentropy": "sigmoid_cross_entropy",
    "mean_squared_error": "mse",
    "mse_loss": "mse",
    "mean_absolute_error": "mae",
    "absolute_error": "mae",
    "l1_loss": "mae",
    "huber_loss": "huber",
    "smooth_l1_loss": "huber",
    "quantile": "pinball",
    "pinball_loss": "pinball",
}
# Means over the outputs elsewhere; pynn's loss is their sum, so the two agree for one output.
BINARY_LOSSES = ("binary_crossentropy", "bce", "bce_loss", "bce_with_logits_loss")
INITIALIZERS = {
    "he": "he_normal",
    "kaiming": "he_normal",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "glorot": "glorot_uniform",
    "xavier": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
    "lecun": "lecun_normal",
}


def spelling(name: str) -> str:
    """The letters and digits of a name, in lower case: "Leaky-ReLU" and "leaky_relu" are one."""
    return "".join(c for c in name.casefold() if c.isalnum())


def canonical(
    value: Any, argument: str, choices: Iterable[str], aliases: Mapping[str, str] | None = None
) -> str:
    """Return pynn's name for `value`.

    Parameters
    ----------
    value : str or function
        A name in any spelling, or one of pynn's functions, such as `pynn.relu`.
    argument : str
        The argument's name, for the message.
    choices : iterable of str
        The names that are possible.
    aliases : dict of str to str, optional
        Other libraries' names, and pynn's for them.

    Returns
    -------
    str

    Raises
    ------
    ValueError, TypeError
        If `value` is no such name, listing the possible ones.
    """
    names = tuple(choices)
    if isinstance(value, str):
        if value in names:
            return names[names.index(value)]  # (`value` may be of a subclass, such as np.str_)
        found = lookup(value, names, aliases)
        if found is not None:
            return found
        close = suggestion(value, names)
        raise ValueError(f"{argument} must be one of {', '.join(names)}; got {value!r}{close}")
    own = _own_function(value, names)
    if own is not None:
        return own
    cure = ""
    for each in (getattr(value, "__name__", None), type(value).__name__):
        name = lookup(each, names, aliases) if isinstance(each, str) else None
        if name is not None:
            cure = f"; pass the name {name!r}"
            break
    raise TypeError(f"{argument} must be one of {', '.join(names)}; got {value!r}{cure}")


def lookup(
    value: str, names: Iterable[str], aliases: Mapping[str, str] | None = None
) -> str | None:
    """Return the name that `value` spells, or None."""
    key = spelling(value)
    table = {spelling(name): name for name in names}
    others = {spelling(alias): name for alias, name in (aliases or {}).items()}
    found = table.get(key) or others.get(key)
    return found if found in table.values() else None


def suggestion(value: str, names: Iterable[str]) -> str:
    """Name what was probably meant, as the end of a message."""
    from difflib import get_close_matches

    table = {spelling(name): name for name in names}
    close = get_close_matches(spelling(value), table, n=1, cutoff=0.7)
    return f"; did you mean {table[close[0]]!r}?" if close else ""


def _own_function(value: Any, names: tuple[str, ...]) -> str | None:
    """The name of a function of `pynn.ops`."""
    if not callable(value) or isinstance(value, type):
        return None
    ops = sys.modules.get("pynn.ops")  # (Before it is imported there are no such functions.)
    name = getattr(value, "__name__", None)
    return name if name in names and getattr(ops, name, None) is value else None
