"""Losses as the network takes them: names, and objects for those with parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, NoReturn

from pynn import _checks
from pynn._frozen import Frozen
from pynn._keywords import refuse, refuses_unknown
from pynn._names import BINARY_LOSSES, canonical, spelling
from pynn._names import LOSSES as ALIASES
from pynn._types import ACTIVATIONS, OUTPUT_ACTIVATIONS


class LossInfo(Frozen):
    """A loss's facts.

    Attributes
    ----------
    output : str
        The output activation that comes with the loss.
    outputs : tuple of str
        The output activations it can be combined with.
    classes : bool
        Whether targets may be class labels, and predictions are.
    inner : tuple of str
        The output activations that are part of the loss: it is computed from their inputs.
    """

    __match_args__ = ("output", "outputs", "classes", "inner")

    def __init__(
        self,
        output: str,
        outputs: tuple[str, ...],
        classes: bool = False,
        inner: tuple[str, ...] = (),
    ) -> None:
        self.output: Final = output
        self.outputs: Final = outputs
        self.classes: Final = classes
        self.inner: Final = inner


_VALUES = LossInfo("identity", (*ACTIVATIONS, *OUTPUT_ACTIVATIONS))
LOSSES = {
    "softmax_cross_entropy": LossInfo("softmax", ("softmax",), classes=True, inner=("softmax",)),
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

    def _core(self, output: str, outputs: int) -> dict[str, Any]:
        """What the core takes, for a network with so many outputs of an activation `output`."""
        settings: dict[str, Any] = {"name": self.name}
        if self.name == "poisson":
            settings["of_mean"] = output not in LOSSES[self.name].inner
        return settings

    def _config(self) -> dict[str, Any]:
        """What makes the loss again, as JSON has it."""
        return {"name": self.name, **vars(self)}

    def _given(self) -> str | Loss:
        """The name, or the loss itself where it has parameters that are not the defaults."""
        return self.name if self == _named(self.name) else self

    def _check_outputs(self, outputs: int) -> None:
        """Refuse a number of outputs that does not fit."""


class _Named(Loss):
    """A loss without parameters."""

    __match_args__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name  # type: ignore[misc] # the class's in the others

    def _config(self) -> dict[str, Any]:
        return {"name": self.name}


def _named(name: str) -> Loss:
    return _WITH_PARAMETERS[name]() if name in _WITH_PARAMETERS else _Named(name)


class SoftmaxCrossEntropy(Loss):
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
        self.label_smoothing: Final = _fraction(label_smoothing, "label_smoothing")

    def _core(self, output: str, outputs: int) -> dict[str, Any]:
        return {"name": self.name, "label_smoothing": self.label_smoothing}


class SigmoidCrossEntropy(Loss):
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
        self.label_smoothing: Final = _fraction(label_smoothing, "label_smoothing")

    def _core(self, output: str, outputs: int) -> dict[str, Any]:
        return {"name": self.name, "label_smoothing": self.label_smoothing}


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

    def _core(self, output: str, outputs: int) -> dict[str, Any]:
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

    def _check_outputs(self, outputs: int) -> None:
        if isinstance(self.quantile, tuple) and len(self.quantile) != outputs:
            raise ValueError(
                f"loss has {len(self.quantile)} quantiles, but the network has {outputs} outputs"
            )

    def _core(self, output: str, outputs: int) -> dict[str, Any]:
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
        ``Loss._config()`` gave.
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


def _fraction(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, high=1.0, open_low=False)


def _quantile(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, high=1.0, open_low=True)
