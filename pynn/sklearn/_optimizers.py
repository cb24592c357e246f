"""scikit-learn's stochastic optimizers: their rates, and the steps that the core takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import _core
from pynn._types import Array
from pynn.engine import own_array

# At or below this rate, the strategy "adaptive" ends a fit.
SMALLEST_RATE = 1e-6


class StochasticOptimizer:
    """An optimizer with the state that lasts from one `partial_fit` to the next.

    Parameters
    ----------
    rule : str
        The core's name for the update rule.
    learning_rate : float
    beta1, beta2, epsilon, clip_norm, weight_decay : float

    Attributes
    ----------
    learning_rate : float
        The present learning rate.
    """

    def __init__(
        self,
        rule: str,
        learning_rate: float,
        beta1: float = 0.0,
        beta2: float = 0.0,
        epsilon: float = 0.0,
        clip_norm: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate_init = learning_rate
        self.learning_rate = float(learning_rate)
        self._rule = (rule, float(beta1), float(beta2), float(epsilon))
        self._extras = (float(weight_decay), float(clip_norm))
        self._steps: Array = np.zeros(1, np.int64)
        self._m: Array | None = None
        self._v: Array | None = None
        self._bound: Any = None

    def bound(self, block: Array) -> Any:
        """Return the core's optimizer for a block of parameters. Moments start at 0."""
        if self._bound is not None and self._bound[1:] == (id(block), self.learning_rate):
            return self._bound[0]
        name, beta1, beta2, epsilon = self._rule
        if name != "sgd" and (self._m is None or self._m.size != block.size):
            self._m = np.zeros_like(block)
        if name == "adam" and (self._v is None or self._v.size != block.size):
            self._v = np.zeros_like(block)
        for moment in ("_m", "_v"):
            array = getattr(self, moment)
            if array is not None and array.dtype != block.dtype:
                setattr(self, moment, array.astype(block.dtype))
        make = _core.optimizer_F32 if block.dtype == np.float32 else _core.optimizer_F64
        made = make(
            name,
            block,
            self._m,
            self._v,
            [self.learning_rate],
            beta1,
            beta2,
            epsilon,
            self._extras[0],
            self._steps,
            clip_norm=self._extras[1],
            plain_epsilon=True,
        )
        # `made` holds the block, so no other block gets its id.
        self._bound = (made, id(block), self.learning_rate)
        return made

    @property
    def changes_every_epoch(self) -> bool:
        """True if `epoch_ends` changes the learning rate."""
        return False

    def epoch_ends(self, samples_seen: int) -> None:
        """Adapt the learning rate to the number of samples seen so far."""

    def stops(self, message: str, verbose: Any) -> bool:
        """Return True if a fit that no longer improves ends; or lower the learning rate."""
        if verbose:
            print(f"{message} Stopping.")
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bound": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ("_steps", "_m", "_v"):
            if state[name] is not None:
                setattr(self, name, own_array(state[name]))


class SGDOptimizer(StochasticOptimizer):
    """SGD with scikit-learn's strategies.

    Parameters
    ----------
    learning_rate : float
    strategy : {"constant", "invscaling", "adaptive"}
    power_t : float
    momentum : float
    nesterov : bool
    **extras : float
    """

    def __init__(
        self,
        learning_rate: float,
        strategy: str,
        power_t: float,
        momentum: float,
        nesterov: bool,
        **extras: float,
    ) -> None:
        rule = "sgd" if momentum == 0 else "nesterov" if nesterov else "momentum"
        super().__init__(rule, learning_rate, beta1=momentum, **extras)
        self._strategy, self._power_t = strategy, power_t

    @property
    def changes_every_epoch(self) -> bool:
        """True for "invscaling"."""
        return self._strategy == "invscaling"

    def epoch_ends(self, samples_seen: int) -> None:
        """Lower the learning rate by inverse scaling."""
        if self._strategy == "invscaling":
            self.learning_rate = float(self.learning_rate_init) / (
                (samples_seen + 1) ** self._power_t
            )

    def stops(self, message: str, verbose: Any) -> bool:
        """Divide the learning rate by 5 for "adaptive", until it is very small."""
        if self._strategy != "adaptive":
            return super().stops(message, verbose)
        if self.learning_rate <= SMALLEST_RATE:
            if verbose:
                print(f"{message} Learning rate too small. Stopping.")
            return True
        self.learning_rate /= 5.0
        if verbose:
            print(f"{message} Setting learning rate to {self.learning_rate:f}")
        return False


def make_optimizer(estimator: Any) -> StochasticOptimizer:
    """Make the optimizer that an estimator's parameters name."""
    extras = {
        "clip_norm": estimator.clip_norm or 0.0,
        "weight_decay": estimator.weight_decay,
    }
    if estimator.solver == "sgd":
        return SGDOptimizer(
            estimator.learning_rate_init,
            estimator.learning_rate,
            estimator.power_t,
            estimator.momentum,
            estimator.nesterovs_momentum,
            **extras,
        )
    return StochasticOptimizer(
        "adam",
        estimator.learning_rate_init,
        estimator.beta_1,
        estimator.beta_2,
        estimator.epsilon,
        **extras,
    )
