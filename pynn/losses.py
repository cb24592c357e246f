"""Losses as networks take them: names, and objects for those with parameters.

A loss knows what depends on it: the targets it takes, the output activations it goes with, what is
predicted from the outputs, and what the core computes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NoReturn

import numpy as np

from pynn import _checks
from pynn._array_input import expression
from pynn._frozen import Frozen
from pynn._keywords import refuse, refuses_unknown
from pynn._names import BINARY_LOSSES, canonical, spelling
from pynn._names import LOSSES as ALIASES
from pynn._types import ACTIVATIONS, OUTPUT_ACTIVATIONS, Array

# By how much the sum of a row of probabilities may differ from 1: rounding to float16 gives half.
ROUNDING = 1e-3


class LossInfo(Frozen):
    """A loss's facts.

    Attributes
    ----------
    output : str
        The output activation that comes with the loss.
    outputs : tuple of str
        The output activations it can be combined with.
    classes : bool
        Targets may be class labels, and predictions are.
    exclusive : bool
        Each sample has one class of several, whose probabilities sum to 1.
    inner : tuple of str
        The output activations that are part of the loss: it is computed from their inputs.
    """

    __match_args__ = ("output", "outputs", "classes", "inner", "exclusive")

    def __init__(
        self,
        output: str,
        outputs: tuple[str, ...],
        classes: bool = False,
        inner: tuple[str, ...] = (),
        exclusive: bool = False,
    ) -> None:
        self.output: Final = output
        self.outputs: Final = outputs
        self.classes: Final = classes
        self.inner: Final = inner
        self.exclusive: Final = exclusive


_VALUES = LossInfo("identity", (*ACTIVATIONS, *OUTPUT_ACTIVATIONS))
LOSSES = {
    "softmax_cross_entropy": LossInfo(
        "softmax", ("softmax",), classes=True, inner=("softmax",), exclusive=True
    ),
    "sigmoid_cross_entropy": LossInfo("sigmoid", ("sigmoid",), classes=True, inner=("sigmoid",)),
    "squared_error": _VALUES,
    "mse": _VALUES,
    "mae": _VALUES,
    "huber": _VALUES,
    "poisson": LossInfo("exp", ("exp", "softplus"), inner=("exp",)),
    "pinball": _VALUES,
}
# The loss that an output activation stands for: the first whose default it is.
LOSS_OF_OUTPUT = {info.output: name for name, info in reversed(LOSSES.items())}


class Loss(Frozen):
    """A loss; `SoftmaxCrossEntropy` and its like are those that have parameters."""

    name: ClassVar[str]

    @property
    def info(self) -> LossInfo:
        """The loss's facts."""
        return LOSSES[self.name]

    def check_outputs(self, outputs: int) -> None:
        """Refuse a number of outputs that does not fit.

        Parameters
        ----------
        outputs : int

        Raises
        ------
        ValueError
        """

    def core_settings(self, output: str, outputs: int) -> dict[str, Any]:
        """Give what the core takes.

        Parameters
        ----------
        output : str
            The output activation.
        outputs : int

        Returns
        -------
        dict of str to Any
        """
        return {"name": self.name}

    def config(self) -> dict[str, Any]:
        """Give what `check_loss` makes the loss of again, as JSON has it.

        Returns
        -------
        dict of str to Any
        """
        return {"name": self.name, **vars(self)}

    def plainest(self) -> str | Loss:
        """Give the name, or the loss itself where it has parameters that are not the defaults.

        Returns
        -------
        str or Loss
        """
        return self.name if self == _named(self.name) else self

    def takes_labels(self, outputs: int) -> bool:
        """Tell if a vector of targets holds class labels, not the values of the only output.

        Parameters
        ----------
        outputs : int

        Returns
        -------
        bool
        """
        return outputs != 1

    def check_values(self, values: Array, y: Any, name: str, outputs: int) -> None:
        """Check a matrix of targets.

        Parameters
        ----------
        values : ndarray of shape (n, outputs)
        y : array_like
            What it was made of, for the message.
        name : str
            The argument's name.
        outputs : int

        Raises
        ------
        ValueError
            If they do not fit, naming the cure.
        """

    def classes_of(self, values: Array) -> Array | None:
        """Give each sample's class.

        Parameters
        ----------
        values : ndarray of shape (n, outputs)
            Checked targets.

        Returns
        -------
        ndarray of int64, shape (n,), or None
            None where a sample has several.
        """
        return (values[:, 0] > 0.5).astype(np.int64) if values.shape[1] == 1 else None

    def predict(self, outputs: Array, flat: bool = False) -> Array:
        """Make predictions of a network's outputs.

        Parameters
        ----------
        outputs : ndarray of shape (..., outputs)
        flat : bool, default False
            Give the values of a single output without its axis.

        Returns
        -------
        ndarray
            Labels for the cross-entropies, otherwise the outputs.
        """
        return outputs[..., 0] if flat and outputs.shape[-1] == 1 else outputs

    def probabilities(self, outputs: Array) -> Array:
        """Make the probabilities of the classes of a classifier's outputs.

        Parameters
        ----------
        outputs : ndarray of shape (..., outputs)

        Returns
        -------
        ndarray of shape (..., classes)
        """
        return outputs


class _Named(Loss):
    """A loss without parameters."""

    __match_args__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name  # type: ignore[misc] # the class's in the others

    def config(self) -> dict[str, Any]:
        return {"name": self.name}


class _Poisson(_Named):
    """Half the deviance of counts."""

    def core_settings(self, output: str, outputs: int) -> dict[str, Any]:
        return {"name": self.name, "of_mean": output not in self.info.inner}

    def check_values(self, values: Array, y: Any, name: str, outputs: int) -> None:
        if values.size and values.min() < 0:
            raise ValueError(
                f"{name} holds values down to {values.min()}, expected counts of at least 0 for "
                "loss='poisson'; for other targets make the network with loss='mse'"
            )


def renewed(loss: Loss) -> Loss:
    """Return a loss that has been unpickled, of the class that losses of its name have today."""
    return _named(loss.name) if type(loss) is _Named else loss


def _named(name: str) -> Loss:
    if name in _WITH_PARAMETERS:
        return _WITH_PARAMETERS[name]()
    return _Poisson(name) if name == "poisson" else _Named(name)


class _CrossEntropy(Loss):
    """A loss of probabilities."""

    __match_args__ = ("label_smoothing",)

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing: Final = _checks.number(
            label_smoothing, "label_smoothing", low=0.0, high=1.0, open_low=False
        )

    def core_settings(self, output: str, outputs: int) -> dict[str, Any]:
        return {"name": self.name, "label_smoothing": self.label_smoothing}

    def check_values(self, values: Array, y: Any, name: str, outputs: int) -> None:
        # (NaN fails every comparison.)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            from pynn import _cures

            raise ValueError(
                f"{name} holds values from {values.min()} to {values.max()}, expected "
                f"probabilities between 0 and 1 for loss={self.name!r}"
                f"{_cures.of_range(values, y, outputs, name)}"
            )


class SoftmaxCrossEntropy(_CrossEntropy):
    """Softmax cross-entropy: one class of several.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        In [0, 1): the part of each target that is divided among all classes alike [1]_.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
       architecture for computer vision", CVPR 2016.

    Examples
    --------
    >>> import pynn
    >>> pynn.MLP([4, 8, 3], loss=pynn.SoftmaxCrossEntropy(label_smoothing=0.1), seed=0).loss
    SoftmaxCrossEntropy(label_smoothing=0.1)
    """

    name: ClassVar[str] = "softmax_cross_entropy"
    __match_args__ = ("label_smoothing",)

    @refuses_unknown
    def __init__(self, label_smoothing: float = 0.0, **unknown: NoReturn) -> None:
        refuse(unknown, SoftmaxCrossEntropy.__init__, "SoftmaxCrossEntropy()")
        super().__init__(label_smoothing)

    def takes_labels(self, outputs: int) -> bool:
        """Tell that it always does."""
        return True

    def check_values(self, values: Array, y: Any, name: str, outputs: int) -> None:
        """Check probabilities, which sum to 1."""
        super().check_values(values, y, name, outputs)
        check_sums(values, y, name)

    def classes_of(self, values: Array) -> Array | None:
        """Give each sample's most probable class."""
        if values.shape[1] == 1:
            return super().classes_of(values)
        classes: Array = values.argmax(axis=1)
        return classes

    def predict(self, outputs: Array, flat: bool = False) -> Array:
        """Give each sample's most probable class."""
        best: Array = np.argmax(outputs, axis=-1)
        return best


class SigmoidCrossEntropy(_CrossEntropy):
    """Sigmoid cross-entropy: independent yes-or-no outputs, summed over the outputs.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        In [0, 1): targets move so far toward one half: t becomes (1 - s) t + s / 2.

    Examples
    --------
    >>> import pynn
    >>> pynn.MLP([4, 8, 1], loss=pynn.SigmoidCrossEntropy(label_smoothing=0.1), seed=0).loss
    SigmoidCrossEntropy(label_smoothing=0.1)
    """

    name: ClassVar[str] = "sigmoid_cross_entropy"
    __match_args__ = ("label_smoothing",)

    @refuses_unknown
    def __init__(self, label_smoothing: float = 0.0, **unknown: NoReturn) -> None:
        refuse(unknown, SigmoidCrossEntropy.__init__, "SigmoidCrossEntropy()")
        super().__init__(label_smoothing)

    def predict(self, outputs: Array, flat: bool = False) -> Array:
        """Give 1 where an output exceeds one half."""
        positive = (outputs > 0.5).astype(np.int64)
        first: Array = positive[..., 0]
        return first if outputs.shape[-1] == 1 else positive

    def probabilities(self, outputs: Array) -> Array:
        """Give those of no and of yes for a single output."""
        if outputs.shape[-1] != 1:
            return outputs
        return np.concatenate([1 - outputs, outputs], axis=-1)


class Huber(Loss):
    r"""Huber's loss: quadratic for small errors, linear for large ones; mean over rows and outputs.

    Parameters
    ----------
    delta : float, default 1.0
        Greater than 0: the error from which on it is linear.

    Notes
    -----
    With :math:`d = \hat y - y`: :math:`d^2 / 2` for :math:`|d| \le \delta` and
    :math:`\delta (|d| - \delta / 2)` beyond [1]_.

    References
    ----------
    .. [1] P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical
       Statistics 35, 1964.

    Examples
    --------
    >>> import pynn
    >>> pynn.MLP([4, 8, 1], loss=pynn.Huber(delta=0.5), seed=0).loss
    Huber(delta=0.5)
    """

    name: ClassVar[str] = "huber"
    __match_args__ = ("delta",)

    @refuses_unknown
    def __init__(self, delta: float = 1.0, **unknown: NoReturn) -> None:
        refuse(unknown, Huber.__init__, "Huber()")
        self.delta: Final = _checks.number(delta, "delta", low=0.0, open_low=True)

    def core_settings(self, output: str, outputs: int) -> dict[str, Any]:
        """Give what the core takes."""
        return {"name": self.name, "delta": self.delta}


class Pinball(Loss):
    r"""The pinball loss, whose minimum is a quantile; mean over rows and outputs.

    Parameters
    ----------
    quantile : float or sequence of float, default 0.5
        In (0, 1): one for all outputs or one for each.

    Notes
    -----
    With :math:`d = y - \hat y`: :math:`q d` for :math:`d > 0` and :math:`(q - 1) d` otherwise [1]_.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> import pynn
    >>> pynn.MLP([4, 8, 3], loss=pynn.Pinball([0.1, 0.5, 0.9]), seed=0).loss
    Pinball(quantile=(0.1, 0.5, 0.9))
    """

    name: ClassVar[str] = "pinball"
    __match_args__ = ("quantile",)

    @refuses_unknown
    def __init__(self, quantile: float | Sequence[float] = 0.5, **unknown: NoReturn) -> None:
        refuse(unknown, Pinball.__init__, "Pinball()")
        given: Any = quantile
        if isinstance(given, str) or not hasattr(given, "__len__"):
            checked: Any = _quantile(given, "quantile")
        else:
            checked = tuple(_quantile(q, f"quantile[{i}]") for i, q in enumerate(given))
        self.quantile: Final[float | tuple[float, ...]] = checked

    def check_outputs(self, outputs: int) -> None:
        """Refuse another number of outputs than of quantiles."""
        if isinstance(self.quantile, tuple) and len(self.quantile) != outputs:
            raise ValueError(
                f"loss has {len(self.quantile)} quantiles, but the network has {outputs} outputs"
            )

    def core_settings(self, output: str, outputs: int) -> dict[str, Any]:
        """Give what the core takes."""
        q = self.quantile
        return {"name": self.name, "quantiles": list(q) if isinstance(q, tuple) else [q] * outputs}


_WITH_PARAMETERS: dict[str, type[Loss]] = {
    cls.name: cls for cls in (SoftmaxCrossEntropy, SigmoidCrossEntropy, Huber, Pinball)
}


def check_loss(loss: Any, outputs: int | None = None) -> Loss:
    """Return the loss that a name, an object or a configuration stands for.

    Parameters
    ----------
    loss : str, Loss or dict
        Names of other libraries are taken where they mean the same. A dict is what
        `Loss.config` gave.
    outputs : int, optional
        How many the network has; a mean over several of them is another loss than their sum.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError, TypeError
        If it is none of these.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, dict):
        settings = dict(loss)
        name = _checks.choice(settings.pop("name", None), 'loss["name"]', tuple(LOSSES))
        if not settings:
            return _named(name)
        try:
            return _WITH_PARAMETERS[name](**settings)
        except (KeyError, TypeError):
            raise ValueError(f"loss {name!r} has no settings {', '.join(settings)}") from None
    if isinstance(loss, str) and spelling(loss) in {spelling(name) for name in BINARY_LOSSES}:
        if outputs not in (None, 1):
            raise ValueError(
                f"loss={loss!r} is a mean over the outputs, of which there are {outputs}; pass "
                "'sigmoid_cross_entropy', which is their sum, or 'softmax_cross_entropy' for one "
                "class of several"
            )
        return _named("sigmoid_cross_entropy")
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f"loss must be a name or an object, got {loss!r}; pass {loss.__name__}()")
    return _named(canonical(loss, "loss", LOSSES, ALIASES))


def _quantile(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, high=1.0, open_low=True)


@functools.lru_cache(8)
def _ones(count: int, single: bool) -> Array:
    return np.ones(count, np.float32 if single else np.float64)


def check_sums(rows: Array, y: Any, name: str) -> None:
    """Check that rows of probabilities sum to 1, up to rounding; NaN is let pass.

    Parameters
    ----------
    rows : ndarray of shape (n, classes)
    y : array_like
        What `rows` was made of, for the message.
    name : str
        The argument's name.

    Raises
    ------
    ValueError
        If a row does not, naming the first one and the cure.
    """
    if not rows.size:
        return
    # Mostly the sum of the squares of all errors is small already: two products tell that, in a
    # fifth of the time that sums along short rows would take.
    errors = rows.dot(_ones(rows.shape[1], rows.dtype == np.float32)) - 1
    if errors.dot(errors) <= ROUNDING**2:
        return
    with np.errstate(all="ignore"):
        sums = rows.sum(axis=1, dtype=np.float64)
        far = np.abs(sums - 1) > ROUNDING
    if not far.any():  # (NaN)
        return
    row = int(far.argmax())
    own, given = expression(y, name), rows[row]
    cure = f"divide by the sums: {own} / {own}.sum(axis=1, keepdims=True)"
    if not given.any():
        cure = "leave rows without a class out"
    elif sums[row] > 1 and ((given == 0) | (given == 1)).all():
        cure = "for several classes a row use the loss sigmoid_cross_entropy"
    raise ValueError(
        f"{name} must hold probabilities with a sum of 1 in each row, but row {row} sums to "
        f"{sums[row]:g}; {cure}"
    )
