"""Optimisers: their settings, and their state for each network they train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from pynn import _checks, _core
from pynn._types import Array

if TYPE_CHECKING:
    from pynn.mlp import MLP


class Optimizer(ABC):
    """What `MLP.fit` and `MLP.train_on_batch` take as an optimiser."""

    learning_rate: float

    @abstractmethod
    def _bind(self, net: MLP) -> Any:
        """The compiled optimiser that updates `net` with the present settings."""


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
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov
        self._check()
        self._velocities: WeakKeyDictionary[MLP, Array] = WeakKeyDictionary()

    def _check(self) -> None:
        self.learning_rate = _checks.number(
            self.learning_rate, "learning_rate", low=0.0, open_low=True
        )
        self.momentum = _checks.number(self.momentum, "momentum", low=0.0, high=1.0, open_low=False)
        self.nesterov = _checks.flag(self.nesterov, "nesterov")
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum greater than 0")

    def _bind(self, net: MLP) -> Any:
        self._check()  # the attributes are free to be set
        with np.errstate(over="ignore", under="ignore"):
            rate = net.dtype.type(self.learning_rate)
        if not (0 < rate < np.inf):
            raise ValueError(
                f"learning_rate {self.learning_rate:g} is out of range for {net.dtype}"
            )
        velocity = None
        if self.momentum > 0.0:
            velocity = self._velocities.get(net)
            if velocity is None:
                velocity = self._velocities[net] = np.zeros_like(net._parameters)
        make = _core.sgd_F32 if net.dtype == np.float32 else _core.sgd_F64
        return make(net._parameters, self.learning_rate, self.momentum, self.nesterov, velocity)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_velocities": list(self._velocities.items())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._velocities = WeakKeyDictionary(state["_velocities"])

    def __repr__(self) -> str:
        return (
            f"SGD(learning_rate={self.learning_rate:g}, momentum={self.momentum:g}, "
            f"nesterov={self.nesterov})"
        )
