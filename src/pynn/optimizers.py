"""Optimisers: their settings, and their state for each network they train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from pynn import _checks, _core
from pynn._types import Array

if TYPE_CHECKING:
    from pynn.mlp import MLP


@dataclass(frozen=True)
class Rule:
    """A step as the core takes it: its name and coefficients, and the moments it keeps.

    Attributes
    ----------
    name : str
    beta1, beta2, epsilon, weight_decay : float
    m, v : bool
        Whether there is a first moment (or velocity), and a second.
    """

    name: str
    beta1: float = 0.0
    beta2: float = 0.0
    epsilon: float = 0.0
    weight_decay: float = 0.0
    m: bool = False
    v: bool = False


@dataclass
class State:
    """What an optimiser has made of a network so far.

    Attributes
    ----------
    steps : ndarray of int64, shape (1,)
    m, v : ndarray or None
        As long as the network's parameters.
    """

    steps: Array
    m: Array | None = None
    v: Array | None = None


class Optimizer(ABC):
    """What `MLP.fit` and `MLP.train_on_batch` take as an optimiser.

    The settings are attributes and may be set between calls. The state (velocity, moments, the
    number of steps) is kept in the optimiser, one for each network it has trained.
    """

    learning_rate: float

    def __init__(self) -> None:
        self._states: WeakKeyDictionary[MLP, State] = WeakKeyDictionary()
        self._rule()

    @abstractmethod
    def _rule(self) -> Rule:
        """The present settings, checked."""

    def _check_rate(self) -> None:
        self.learning_rate = _checks.number(
            self.learning_rate, "learning_rate", low=0.0, open_low=True
        )

    def _check_fraction(self, name: str) -> float:
        """The setting `name`, in [0, 1)."""
        value = _checks.number(getattr(self, name), name, low=0.0, high=1.0, open_low=False)
        setattr(self, name, value)
        return value

    def _check_positive(self, name: str, *, or_zero: bool = False) -> float:
        value = _checks.number(getattr(self, name), name, low=0.0, open_low=not or_zero)
        setattr(self, name, value)
        return value

    def _bind(self, net: MLP) -> Any:
        """The compiled optimiser that updates `net` with the present settings."""
        rule = self._rule()
        with np.errstate(over="ignore", under="ignore"):
            rate = net.dtype.type(self.learning_rate)
        if not (0 < rate < np.inf):
            raise ValueError(
                f"learning_rate {self.learning_rate:g} is out of range for {net.dtype}"
            )
        # (It keeps the quotient of a parameter without gradients from being 0 / 0.)
        if rule.v and rule.epsilon < np.finfo(net.dtype).tiny:
            raise ValueError(f"epsilon {rule.epsilon:g} is out of range for {net.dtype}")
        state = self._states.get(net)
        if state is None:
            state = self._states[net] = State(np.zeros(1, np.int64))
        if rule.m and state.m is None:
            state.m = np.zeros_like(net._parameters)
        if rule.v and state.v is None:
            state.v = np.zeros_like(net._parameters)
        make = _core.optimizer_F32 if net.dtype == np.float32 else _core.optimizer_F64
        return make(
            rule.name,
            net._parameters,
            state.m if rule.m else None,
            state.v if rule.v else None,
            [self.learning_rate],
            rule.beta1,
            rule.beta2,
            rule.epsilon,
            rule.weight_decay,
            state.steps,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_states": list(self._states.items())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._states = WeakKeyDictionary(state["_states"])


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum.

    Parameters
    ----------
    learning_rate : float, default 0.01
        Greater than 0. May be set between calls.
    momentum : float, default 0.0
        In [0, 1).
    nesterov : bool, default False
        Whether the momentum is Nesterov's.
    weight_decay : float, default 0.0
        Each step also takes ``learning_rate * weight_decay`` times themselves off the parameters,
        past the momentum (decoupled, as in AdamW).

    Notes
    -----
    With the gradient :math:`g` and the velocity :math:`v`, which starts at 0, a step is
    :math:`v \leftarrow \mu v - \eta g`, :math:`w \leftarrow w + v`, or with Nesterov's momentum
    :math:`w \leftarrow w + \mu v - \eta g` [1]_. The velocity is kept in the optimiser, one for
    each network it has trained.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import pynn
    >>> pynn.SGD(0.1, momentum=0.9, nesterov=True)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        super().__init__()

    def _rule(self) -> Rule:
        self._check_rate()
        momentum = self._check_fraction("momentum")
        self.nesterov = _checks.flag(self.nesterov, "nesterov")
        if self.nesterov and momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum greater than 0")
        name = "sgd" if momentum == 0.0 else "nesterov" if self.nesterov else "momentum"
        decay = self._check_positive("weight_decay", or_zero=True)
        return Rule(name, beta1=momentum, weight_decay=decay, m=momentum > 0.0)

    def __repr__(self) -> str:
        decay = f", weight_decay={self.weight_decay:g}" if self.weight_decay else ""
        return (
            f"SGD(learning_rate={self.learning_rate:g}, momentum={self.momentum:g}, "
            f"nesterov={self.nesterov}{decay})"
        )


class Adam(Optimizer):
    r"""Adam: steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    learning_rate : float, default 0.001
        Greater than 0. May be set between calls.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay rates of the first and the second moment, in [0, 1).
    epsilon : float, default 1e-8
        Greater than 0.

    Notes
    -----
    With the gradient :math:`g` of step :math:`t` (from 1) and moments that start at 0 [1]_:
    :math:`m \leftarrow \beta_1 m + (1 - \beta_1) g`,
    :math:`v \leftarrow \beta_2 v + (1 - \beta_2) g^2`,
    :math:`w \leftarrow w - \eta \frac{m / (1 - \beta_1^t)}
    {\sqrt{v / (1 - \beta_2^t)} + \epsilon}`.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: A method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import pynn
    >>> pynn.Adam()
    Adam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        super().__init__()

    def _rule(self) -> Rule:
        self._check_rate()
        return Rule(
            "adam",
            beta1=self._check_fraction("beta1"),
            beta2=self._check_fraction("beta2"),
            epsilon=self._check_positive("epsilon"),
            m=True,
            v=True,
        )

    def _settings(self) -> str:
        return (
            f"learning_rate={self.learning_rate:g}, beta1={self.beta1:g}, beta2={self.beta2:g}, "
            f"epsilon={self.epsilon:g}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings()})"


class AdamW(Adam):
    r"""Adam with decoupled weight decay.

    Parameters
    ----------
    learning_rate : float, default 0.001
        Greater than 0. May be set between calls.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay rates of the first and the second moment, in [0, 1).
    epsilon : float, default 1e-8
        Greater than 0.
    weight_decay : float, default 0.01
        At least 0.

    Notes
    -----
    A step is Adam's, and takes :math:`\eta \lambda w` off the parameters besides [1]_, biases
    included, as torch's does.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import pynn
    >>> pynn.AdamW(weight_decay=0.1)
    AdamW(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.1)
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        self.weight_decay = weight_decay
        super().__init__(learning_rate, beta1, beta2, epsilon)

    def _rule(self) -> Rule:
        rule = super()._rule()
        decay = self._check_positive("weight_decay", or_zero=True)
        return replace(rule, weight_decay=decay)

    def _settings(self) -> str:
        return f"{super()._settings()}, weight_decay={self.weight_decay:g}"


class RMSprop(Optimizer):
    r"""RMSprop: steps scaled by a running mean of the gradient's square.

    Parameters
    ----------
    learning_rate : float, default 0.001
        Greater than 0. May be set between calls.
    rho : float, default 0.9
        Decay rate of the mean, in [0, 1). (torch: ``alpha``, there 0.99.)
    momentum : float, default 0.0
        In [0, 1).
    epsilon : float, default 1e-8
        Greater than 0.

    Notes
    -----
    With the gradient :math:`g`: :math:`v \leftarrow \rho v + (1 - \rho) g^2`,
    :math:`m \leftarrow \mu m + g / (\sqrt{v} + \epsilon)`, :math:`w \leftarrow w - \eta m` [1]_,
    as torch's RMSprop.

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "Lecture 6.5 - RMSProp", COURSERA: Neural networks for machine
       learning, 2012.

    Examples
    --------
    >>> import pynn
    >>> pynn.RMSprop(0.01)
    RMSprop(learning_rate=0.01, rho=0.9, momentum=0, epsilon=1e-08)
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        super().__init__()

    def _rule(self) -> Rule:
        self._check_rate()
        return Rule(
            "rmsprop",
            beta1=self._check_fraction("momentum"),
            beta2=self._check_fraction("rho"),
            epsilon=self._check_positive("epsilon"),
            m=True,
            v=True,
        )

    def __repr__(self) -> str:
        return (
            f"RMSprop(learning_rate={self.learning_rate:g}, rho={self.rho:g}, "
            f"momentum={self.momentum:g}, epsilon={self.epsilon:g})"
        )
