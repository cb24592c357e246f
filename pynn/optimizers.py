"""Optimizers: their settings, and their state for each network they train."""

from __future__ import annotations

import math
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeGuard
from weakref import WeakKeyDictionary

import numpy as np

from pynn import _checks, _core
from pynn._attributes import Closed
from pynn._frozen import Frozen
from pynn._journal import Step
from pynn._keywords import refuse, refuses_unknown
from pynn._names import canonical, spelling
from pynn._types import Array, NDArray
from pynn.engine import Trainable, engine_of, gradient_block, own_array

if TYPE_CHECKING:
    from typing import TypeAlias

    from pynn.history import History
    from pynn.schedules import Schedule

    LearningRate: TypeAlias = float | Schedule | Callable[[int], float]
else:
    LearningRate = Any  # it stands in annotations only


class Rule(Frozen):
    """A step as the core takes it: its name and coefficients, and the moments it keeps.

    Attributes
    ----------
    name : str
    beta1, beta2, epsilon, weight_decay : float
    clip_norm : float
        0: the gradient is not clipped.
    m, v : bool
        It keeps a first moment (or velocity), and a second.
    """

    __match_args__ = (
        "name", "beta1", "beta2", "epsilon", "weight_decay", "clip_norm", "m", "v",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        beta1: float = 0.0,
        beta2: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
        clip_norm: float = 0.0,
        m: bool = False,
        v: bool = False,
    ) -> None:
        self.name: Final = name
        self.beta1: Final = beta1
        self.beta2: Final = beta2
        self.epsilon: Final = epsilon
        self.weight_decay: Final = weight_decay
        self.clip_norm: Final = clip_norm
        self.m: Final = m
        self.v: Final = v


class State:
    """What an optimizer has made of a network so far.

    Attributes
    ----------
    steps : ndarray of int64, shape (1,)
    m, v : ndarray or None
        As long as the network's parameters.
    may_be_lost : bool
        Moments may be infinite or NaN: they come from elsewhere, or from an update that
        overflowed.
    """

    def __init__(self, steps: Array, m: Array | None = None, v: Array | None = None) -> None:
        self.steps, self.m, self.v = steps, m, v
        self.may_be_lost = True

    def is_finite(self) -> bool:
        """Tell if the moments are, read in pieces that stay in the cache."""
        piece = 2**16
        return all(
            np.isfinite(array[i : i + piece]).all()
            for array in (self.m, self.v)
            if array is not None
            for i in range(0, len(array), piece)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"steps": self.steps, "m": self.m, "v": self.v}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, array in state.items():
            self.__dict__[name] = None if array is None else own_array(array)
        self.may_be_lost = True


def _lock() -> Any:
    import threading  # (`import pynn` is quick without it)

    # (A signal's handler may copy an optimizer that the interrupted code has locked.)
    return threading.RLock()


# Why a gradient was not applied, by what the core says.
_REFUSED = {
    "gradient": "a gradient is not finite; nothing has changed",
    "parameters": "the parameters are not finite: set others, or load a checkpoint",
    "rate": "the learning rate or the decay overflows the network's type; nothing has changed",
    "update": "parameters or moments overflowed in the update; those before it are lost. Load a "
    "checkpoint, or set new parameters, and try a smaller learning rate",
}


class Optimizer(Closed, ABC):
    """What `MLP.fit` and `MLP.train_on_batch` take as an optimizer.

    The settings are attributes and may be set between calls. The state (velocity, moments, the
    number of steps) is kept in the optimizer, one for each network it has trained.
    """

    learning_rate: LearningRate
    clip_norm: float | None

    # Each setting's check, by the constructor's names and in their order; and the values that the
    # representation does not mention.
    _CHECKS: ClassVar[dict[str, Callable[[Any, str], Any]]]
    _UNSAID: ClassVar[dict[str, Any]] = {"clip_norm": None}

    def __init__(self) -> None:
        self._states: WeakKeyDictionary[Trainable, State] = WeakKeyDictionary()
        self._lock = _lock()
        settings = self._checked()
        self._rule(**settings)
        self.__dict__.update(settings)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._settable = tuple(cls._CHECKS)

    def _checked(self) -> dict[str, Any]:
        """The present settings, checked and converted; what is out of range changes nothing."""
        return {name: check(getattr(self, name), name) for name, check in self._CHECKS.items()}

    @abstractmethod
    def _rule(self, **settings: Any) -> Rule:
        """The step that checked settings make."""

    # ------------------------------------------------------------------- rates

    def current_rate(self, net: Trainable) -> float:
        """Tell the learning rate of a network's next update.

        Parameters
        ----------
        net : MLP

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If `learning_rate` is not a rate, or gives none.
        """
        return float(self.rates(net, 1)[0])

    def rates(self, net: Trainable, count: int) -> NDArray[np.float64]:
        """Tell the learning rates of a network's next updates.

        Parameters
        ----------
        net : MLP
            Its updates by this optimizer are counted from 0.
        count : int
            Of how many updates.

        Returns
        -------
        ndarray of float64, shape (count,)

        Raises
        ------
        ValueError, TypeError
            If `learning_rate` is not a rate or gives none, naming the update.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.MLP([2, 1], loss="mse")
        >>> pynn.SGD(pynn.StepDecay(0.8, every=2, factor=0.5)).rates(net, 5)
        array([0.8, 0.8, 0.4, 0.4, 0.2])
        """
        count = _checks.integer(count, "count", 0)
        rate = _learning_rate(self.learning_rate, "learning_rate")
        if isinstance(rate, float):
            return np.full(count, rate)
        with self._lock:
            state = self._states.get(net)
        first = 0 if state is None else int(state.steps[0])
        if is_schedule(rate):
            rates = np.asarray(rate(np.arange(first, first + count)), dtype=np.float64)
        else:
            rates = np.empty(count)
            for i in range(count):
                rates[i] = _checks.real(rate(first + i), f"learning_rate at update {first + i}")
        bad = np.flatnonzero(~((rates >= 0) & (rates < np.inf)))
        if bad.size:
            raise ValueError(
                f"learning_rate at update {first + bad[0]} is {rates[bad[0]]:g}, "
                "expected a number in [0, inf)"
            )
        return rates

    def observe(self, history: History) -> None:
        """Let the schedule see an epoch's metrics; `fit` calls it after every epoch.

        Parameters
        ----------
        history : History

        Raises
        ------
        ValueError
            If the schedule monitors a metric that is not recorded.
        """
        if is_schedule(self.learning_rate):
            self.learning_rate.observe(history)

    def apply_gradients(self, net: Trainable, *gradients: Any) -> None:
        """Do one step by gradients that come from anywhere.

        The step clips, updates, applies `max_norm` and advances the counters as one of `fit` does,
        and adds no penalty: those of the network are in what ``net.gradients`` returns.

        Parameters
        ----------
        net : MLP or Sequential
        *gradients
            What ``net.gradients`` returns after the loss: ``dW, db`` of an `MLP`, or a dict by the
            parameters' names of a `Sequential`.

        Raises
        ------
        ValueError, TypeError
            If a gradient is missing or has a wrong shape.
        FloatingPointError
            If a gradient or a parameter is not finite, and nothing has changed; or if the update
            itself overflows, which the message says.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net, optimizer = pynn.MLP([2, 1], loss="mse", seed=0), pynn.Adam(0.1)
        >>> X, y = np.ones((4, 2), np.float32), np.zeros(4)
        >>> loss, *gradients = net.gradients(X, y)
        >>> optimizer.apply_gradients(net, *gradients)
        >>> bool(net.gradients(X, y)[0] < loss)
        True
        """
        if not isinstance(net, Trainable):
            raise TypeError(f"net must be a network of pynn's, got {type(net).__name__}")
        block, engine = gradient_block(net, gradients), engine_of(net)
        with engine.core.writing():
            engine.clear()
            update, state = self._bind(net), self._states[net]
            step = Step(net, engine, {"optimizer": self}, engine.targets_1d, state.steps)
            try:
                engine.journal = step
                result = engine.core.apply_gradient(block, update, engine.rng_position)
            finally:
                engine.clear(step)
            if not result["finite"]:
                state.may_be_lost = result["failure"] == "update"
                raise FloatingPointError(_REFUSED[result["failure"]])

    # -------------------------------------------------------------- the binding

    def _bind(self, net: Trainable, count: int = 1) -> Any:
        """The compiled optimizer that updates `net` with the present settings.

        It has the rates of the next `count` updates, at least 1. Later updates take the last one.
        """
        settings = self._checked()
        rule, engine = self._rule(**settings), engine_of(net)
        dtype = engine.dtype
        constant = isinstance(settings["learning_rate"], float)
        rates = [settings["learning_rate"]] if constant else self.rates(net, count).tolist()
        largest = max(rates)
        with np.errstate(over="ignore", under="ignore"):
            rounded = dtype.type(largest)
        # (What falls with time may round to 0.)
        if rounded == np.inf or (constant and rounded == 0):
            raise ValueError(f"learning_rate {largest:g} is out of range for {dtype}")
        # (It keeps the quotient of a parameter without gradients from being 0 / 0.)
        if rule.v and rule.epsilon < np.finfo(dtype).tiny:
            raise ValueError(f"epsilon {rule.epsilon:g} is out of range for {dtype}")
        state = self._state_of(net, rule)
        if state.may_be_lost:
            if not state.is_finite():
                raise FloatingPointError(
                    "the optimizer's moments of this network are not finite, after an update that "
                    "overflowed: pass a new optimizer, or load a checkpoint"
                )
            state.may_be_lost = False
        further = {"clip_norm": rule.clip_norm} if rule.clip_norm else {}
        make: Callable[..., Any] = (
            _core.optimizer_F32 if dtype == np.float32 else _core.optimizer_F64
        )
        return make(
            rule.name,
            engine.parameters,
            state.m if rule.m else None,
            state.v if rule.v else None,
            rates,
            rule.beta1,
            rule.beta2,
            rule.epsilon,
            rule.weight_decay,
            state.steps,
            **further,
        )

    def _state_of(self, net: Trainable, rule: Rule) -> State:
        """The state for `net`, with the moments that the rule needs; they start at 0."""
        # One optimizer may train several networks at once, in threads; the dictionary is shared.
        with self._lock:
            state = self._states.get(net)
            new = state is None
            if state is None:
                state = State(np.zeros(1, np.int64))
                state.may_be_lost = False  # (its moments begin at 0)
            if rule.m and state.m is None:
                state.m = np.zeros_like(engine_of(net).parameters)
            if rule.v and state.v is None:
                state.v = np.zeros_like(engine_of(net).parameters)
            if new:  # (not before its moments have found room)
                self._states[net] = state
            return state

    # ------------------------------------------------------- settings and copies

    def __repr__(self) -> str:
        settings = present_settings(self)
        text = ", ".join(
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}"
            for name, value in settings.items()
            if name not in self._UNSAID or value != self._UNSAID[name]
        )
        return f"{type(self).__name__}({text})"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            states = list(self._states.items())
        state = {**self.__dict__, "_states": states}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._states = WeakKeyDictionary(state["_states"])
        self._lock = _lock()


class Binding:
    """An optimizer bound to one network, and bound again only where something has changed.

    Parameters
    ----------
    optimizer : Optimizer
    net : MLP
    """

    def __init__(self, optimizer: Optimizer, net: Trainable) -> None:
        self._optimizer, self._net = optimizer, net
        self._bound: Any = None
        self._made_of: list[Any] = []

    def _present(self) -> list[Any]:
        """What the compiled optimizer is made of. Settings may change between epochs."""
        optimizer, net = self._optimizer, self._net
        settings = [getattr(optimizer, name) for name in optimizer._CHECKS]
        with optimizer._lock:
            state = optimizer._states.get(net)
        return [*settings, engine_of(net).parameters, state]

    def counter(self) -> Array:
        """Give the network's steps so far, which the core counts.

        Returns
        -------
        ndarray of int64, shape (1,)
        """
        with self._optimizer._lock:
            state = self._optimizer._states.get(self._net)
        if state is None:  # (not since the fit began)
            self._optimizer._bind(self._net)
            return self.counter()
        return state.steps

    def rate(self) -> float:
        """Tell the learning rate of the next update.

        Returns
        -------
        float
        """
        rate = self._optimizer.learning_rate
        if type(rate) is float and 0 < rate < math.inf:
            return rate
        return self._optimizer.current_rate(self._net)

    def rates(self, count: int) -> NDArray[np.float64]:
        """Tell the learning rates of the next updates.

        Parameters
        ----------
        count : int

        Returns
        -------
        ndarray of float64, shape (count,)
        """
        return self._optimizer.rates(self._net, count)

    def updates(self, count: int) -> Any:
        """Give the compiled optimizer for the next `count` updates.

        Parameters
        ----------
        count : int

        Returns
        -------
        object
        """
        constant = isinstance(self._optimizer.learning_rate, float)
        if constant and self._bound is not None:
            present = self._present()
            if all(map(operator.is_, present, self._made_of)):
                return self._bound
        self._bound = self._optimizer._bind(self._net, count)
        self._made_of = self._present()
        return self._bound


def bind(optimizer: Optimizer, net: Trainable, count: int = 1) -> Any:
    """Give the compiled optimizer that updates a network with the present settings.

    Parameters
    ----------
    optimizer : Optimizer
    net : Network
    count : int, default 1
        The number of updates whose rates it has, at least 1; later updates take the last of them.

    Returns
    -------
    object

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range.
    FloatingPointError
        If the optimizer's moments for this network are not finite.
    """
    return optimizer._bind(net, count)


def state_of(optimizer: Optimizer, net: Trainable) -> State | None:
    """Give what an optimizer has made of a network so far.

    Parameters
    ----------
    optimizer : Optimizer
    net : Network

    Returns
    -------
    State or None
    """
    return optimizer._states.get(net)


def set_state(optimizer: Optimizer, net: Trainable, state: State) -> None:
    """Let an optimizer continue with a network from a state.

    Parameters
    ----------
    optimizer : Optimizer
    net : Network
    state : State
    """
    optimizer._states[net] = state


def trained_networks(optimizer: Optimizer) -> list[Trainable]:
    """List the networks of which an optimizer has a state.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    list of Network
    """
    return list(optimizer._states)


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """Give an optimizer's settings as JSON has them, for `optimizer_from_settings`.

    A schedule is ``{"schedule": its config}``; another callable cannot be written: None.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    dict
    """
    settings = optimizer._checked()
    rate = settings["learning_rate"]
    if is_schedule(rate):
        try:
            settings["learning_rate"] = {"schedule": rate.get_config()}
        except ValueError:  # a class that pynn does not know
            settings["learning_rate"] = None
    elif not isinstance(rate, float):
        settings["learning_rate"] = None
    return {"name": type(optimizer).__name__, **settings}


def present_settings(optimizer: Optimizer) -> dict[str, Any]:
    """Give an optimizer's settings as they are, in the constructor's order.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    dict
    """
    return {name: getattr(optimizer, name) for name in optimizer._CHECKS}


def without_states(optimizer: Optimizer) -> Optimizer:
    """Copy an optimizer without what it has made of networks.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    Optimizer
        With a copy of the learning rate's schedule.
    """
    import copy  # (`import pynn` is quick without it)

    twin = copy.copy(optimizer)
    twin._states = WeakKeyDictionary()
    twin.learning_rate = copy.deepcopy(optimizer.learning_rate)
    return twin


def twin_of(optimizer: Optimizer, net: Trainable) -> Optimizer:
    """An optimizer with the same settings, and the state of one network only.

    Parameters
    ----------
    optimizer : Optimizer
    net : Network
        The network whose state is shared with `optimizer`, if there is one.

    Returns
    -------
    Optimizer
        A shallow copy.
    """
    import copy  # (`import pynn` is quick without it)

    twin = copy.copy(optimizer)
    state = optimizer._states.get(net)
    twin._states = WeakKeyDictionary() if state is None else WeakKeyDictionary({net: state})
    return twin


def optimizer_for(optimizer: Optimizer, net: Trainable, like: Trainable | None = None) -> Optimizer:
    """An optimizer of `net`'s own that shares nothing with `optimizer` that a fit changes.

    Parameters
    ----------
    optimizer : Optimizer
    net : Network
    like : Network, optional
        The network that `net` is a copy of: it starts with that one's state.

    Returns
    -------
    Optimizer
        With the state that `optimizer` has for `net` (the very same arrays), and for no other.
    """
    import copy  # (`import pynn` is quick without it)

    twin = twin_of(optimizer, net)
    twin.learning_rate = copy.deepcopy(twin.learning_rate)  # some schedules see a fit's metrics
    state = None if like is None else optimizer._states.get(like)
    if state is not None:
        twin._states[net] = copy.deepcopy(state)
    return twin


def is_schedule(value: Any) -> TypeGuard[Schedule]:
    """Tell a `Schedule`; before their module is imported there are none.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    schedules = sys.modules.get("pynn.schedules")
    return schedules is not None and isinstance(value, schedules.Schedule)


def is_steady(rate: LearningRate) -> bool:
    """Tell if the rate needs no epoch's metrics, so that a fit may fuse epochs.

    Parameters
    ----------
    rate : float, Schedule or callable

    Returns
    -------
    bool
        A number, or a schedule that sees no metrics.
    """
    if is_schedule(rate):
        return not sys.modules["pynn.schedules"].sees_metrics(rate)
    return isinstance(rate, float)


def _learning_rate(value: Any, name: str) -> LearningRate:
    """A number greater than 0, or what is called with the number of the update."""
    if type(value) is float:
        return _positive(value, name)
    if is_schedule(value):
        return value
    if isinstance(value, type):
        raise TypeError(f"{name} must be a number, a schedule or a callable, got {value!r}")
    if callable(value):
        function: Callable[[int], float] = value
        return function
    return _positive(value, name)


def _positive(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, open_low=True)


def _at_least_0(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, open_low=False)


def _fraction(value: Any, name: str) -> float:
    """A number in [0, 1)."""
    return _checks.number(value, name, low=0.0, high=1.0, open_low=False)


def _clip_norm(value: Any, name: str) -> float | None:
    return None if value is None else _positive(value, name)


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.01
        A number greater than 0, or what gives one (or 0) when it is called with the number of the
        update, from 0. May be set between calls. On standardized data try 0.01 first, and 0.003
        with a momentum of 0.9.
    momentum : float, default 0.0
        In [0, 1).
    nesterov : bool, default False
        Use Nesterov's momentum.
    weight_decay : float, default 0.0
        Each step also takes ``learning_rate * weight_decay`` times themselves off the parameters,
        past the momentum (decoupled, as in AdamW).
    clip_norm : float, optional
        Greater than 0: a gradient whose norm, over all weights and biases, is larger is scaled
        down to it before the step (Keras: ``global_clipnorm``).

    Notes
    -----
    With the gradient :math:`g` and the velocity :math:`v`, which starts at 0, a step is
    :math:`v \leftarrow \mu v - \eta g`, :math:`w \leftarrow w + v`, or with Nesterov's momentum
    :math:`w \leftarrow w + \mu v - \eta g` [1]_. The velocity is kept in the optimizer, one for
    each network it has trained.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import pynn
    >>> pynn.SGD(0.003, momentum=0.9, nesterov=True)
    SGD(learning_rate=0.003, momentum=0.9, nesterov=True)
    """

    @refuses_unknown
    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, SGD.__init__, "SGD()")
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        super().__init__()

    _CHECKS: ClassVar = {
        "learning_rate": _learning_rate,
        "momentum": _fraction,
        "nesterov": _checks.flag,
        "weight_decay": _at_least_0,
        "clip_norm": _clip_norm,
    }
    _UNSAID: ClassVar = {"weight_decay": 0.0, "clip_norm": None}

    def _rule(self, **settings: Any) -> Rule:
        momentum, nesterov = settings["momentum"], settings["nesterov"]
        if nesterov and momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum greater than 0")
        name = "sgd" if momentum == 0.0 else "nesterov" if nesterov else "momentum"
        return Rule(
            name,
            beta1=momentum,
            weight_decay=settings["weight_decay"],
            clip_norm=settings["clip_norm"] or 0.0,
            m=momentum > 0.0,
        )


class Adam(Optimizer):
    r"""Adam: steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        A number greater than 0, or what gives one (or 0) when it is called with the number of the
        update, from 0. May be set between calls.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay rates of the first and the second moment, in [0, 1).
    epsilon : float, default 1e-8
        Greater than 0.
    clip_norm : float, optional
        Greater than 0: a gradient whose norm, over all weights and biases, is larger is scaled
        down to it before the step (Keras: ``global_clipnorm``).

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

    @refuses_unknown
    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, Adam.__init__, "Adam()")
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.clip_norm = clip_norm
        super().__init__()

    _CHECKS: ClassVar = {
        "learning_rate": _learning_rate,
        "beta1": _fraction,
        "beta2": _fraction,
        "epsilon": _positive,
        "clip_norm": _clip_norm,
    }

    def _rule(self, **settings: Any) -> Rule:
        return Rule(
            "adam",
            beta1=settings["beta1"],
            beta2=settings["beta2"],
            epsilon=settings["epsilon"],
            weight_decay=settings.get("weight_decay", 0.0),
            clip_norm=settings["clip_norm"] or 0.0,
            m=True,
            v=True,
        )


class AdamW(Adam):
    r"""Adam with decoupled weight decay.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        A number greater than 0, or what gives one (or 0) when it is called with the number of the
        update, from 0. May be set between calls.
    beta1, beta2 : float, default 0.9 and 0.999
        Decay rates of the first and the second moment, in [0, 1).
    epsilon : float, default 1e-8
        Greater than 0.
    weight_decay : float, default 0.01
        At least 0.
    clip_norm : float, optional
        Greater than 0: a gradient whose norm, over all weights and biases, is larger is scaled
        down to it before the step (Keras: ``global_clipnorm``).

    Notes
    -----
    A step is Adam's, and takes :math:`\eta \lambda w` off the parameters, too [1]_, biases
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

    @refuses_unknown
    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        clip_norm: float | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, AdamW.__init__, "AdamW()")
        self.weight_decay = weight_decay
        super().__init__(learning_rate, beta1, beta2, epsilon, clip_norm)

    _CHECKS: ClassVar = {
        "learning_rate": _learning_rate,
        "beta1": _fraction,
        "beta2": _fraction,
        "epsilon": _positive,
        "weight_decay": _at_least_0,
        "clip_norm": _clip_norm,
    }


class RMSprop(Optimizer):
    r"""RMSprop: steps scaled by a running mean of the gradient's square.

    Parameters
    ----------
    learning_rate : float, Schedule or callable, default 0.001
        A number greater than 0, or what gives one (or 0) when it is called with the number of the
        update, from 0. May be set between calls.
    rho : float, default 0.9
        Decay rate of the mean, in [0, 1). (torch: ``alpha``, there 0.99.)
    momentum : float, default 0.0
        In [0, 1).
    epsilon : float, default 1e-8
        Greater than 0.
    clip_norm : float, optional
        Greater than 0: a gradient whose norm, over all weights and biases, is larger is scaled
        down to it before the step (Keras: ``global_clipnorm``).

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

    @refuses_unknown
    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, RMSprop.__init__, "RMSprop()")
        self.learning_rate = learning_rate
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.clip_norm = clip_norm
        super().__init__()

    _CHECKS: ClassVar = {
        "learning_rate": _learning_rate,
        "rho": _fraction,
        "momentum": _fraction,
        "epsilon": _positive,
        "clip_norm": _clip_norm,
    }

    def _rule(self, **settings: Any) -> Rule:
        return Rule(
            "rmsprop",
            beta1=settings["momentum"],
            beta2=settings["rho"],
            epsilon=settings["epsilon"],
            clip_norm=settings["clip_norm"] or 0.0,
            m=True,
            v=True,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    each.__name__: each for each in (SGD, Adam, AdamW, RMSprop)
}


def make_optimizer(optimizer: Any = None, learning_rate: Any = None) -> Optimizer:
    """Make the optimizer that the arguments `optimizer` and `learning_rate` of a fit stand for.

    Parameters
    ----------
    optimizer : Optimizer or str, optional
        A name is "adam", "adamw", "rmsprop" or "sgd", in any case. None: Adam.
    learning_rate : float, Schedule or callable, optional
        In place of the optimizer's own rate.

    Returns
    -------
    Optimizer
        The one that was given, or, with a `learning_rate`, a copy of it that shares its state.

    Raises
    ------
    ValueError, TypeError
        If there is no such optimizer, or the learning rate is out of range.

    Examples
    --------
    >>> from pynn.optimizers import SGD, make_optimizer
    >>> make_optimizer("rmsprop")
    RMSprop(learning_rate=0.001, rho=0.9, momentum=0, epsilon=1e-08)
    >>> make_optimizer(SGD(momentum=0.9), 0.1)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """
    if optimizer is None:
        optimizer = Adam()
    elif isinstance(optimizer, str):
        if spelling(optimizer) == "lbfgs":
            raise ValueError(
                "optimizer must be one of adam, adamw, rmsprop, sgd; got 'lbfgs', a solver of "
                "pynn.sklearn's estimators"
            )
        by_name = {name.casefold(): kind for name, kind in OPTIMIZERS.items()}
        optimizer = by_name[canonical(optimizer, "optimizer", sorted(by_name))]()
    elif not isinstance(optimizer, Optimizer):
        cure = ""
        kind = optimizer if isinstance(optimizer, type) else type(optimizer)
        if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
            cure = f"; pass an object, pynn.{optimizer.__name__}()"
        elif kind.__name__ in OPTIMIZERS:
            cure = f"; pass pynn.{kind.__name__}(...)"
        raise TypeError(
            "optimizer must be a name such as 'adam' or an optimizer such as pynn.SGD(0.01), "
            f"got {optimizer!r}{cure}"
        )
    return with_rate(optimizer, learning_rate)


def choose_optimizer(optimizer: Any, learning_rate: Any, last: Optimizer | None) -> Optimizer:
    """Choose the optimizer of a fit or a step.

    Parameters
    ----------
    optimizer : Optimizer, str or None
        None: `last`, or else Adam. A name: `last` if it has the settings that the name stands for,
        so that its state continues.
    learning_rate : float, Schedule, callable or None
        In place of the optimizer's own.
    last : Optimizer or None
        The network's optimizer so far.

    Returns
    -------
    Optimizer
        With a `learning_rate`, a copy that shares the state: no other network's rate changes.

    Raises
    ------
    ValueError, TypeError
        If there is no such optimizer, or the learning rate is out of range.
    """
    chosen = make_optimizer(last if optimizer is None else optimizer, learning_rate)
    same = isinstance(optimizer, str) and last is not None and _are_equal(chosen, last)
    return last if same and last is not None else chosen


def _are_equal(first: Optimizer, second: Optimizer) -> bool:
    """Tell if two optimizers are of one kind and have the same settings; states may differ."""
    return type(first) is type(second) and present_settings(first) == present_settings(second)


def with_rate(optimizer: Optimizer, learning_rate: Any) -> Optimizer:
    """Give an optimizer another learning rate.

    Parameters
    ----------
    optimizer : Optimizer
        It stays as it is.
    learning_rate : float, Schedule, callable or None

    Returns
    -------
    Optimizer
        `optimizer` itself without a rate. Otherwise a copy of it; what either of them makes of a
        network is the state of both.

    Raises
    ------
    ValueError, TypeError
        If the learning rate is out of range.
    """
    if learning_rate is None:
        return optimizer
    import copy  # (`import pynn` is quick without it)

    changed = copy.copy(optimizer)
    changed._states, changed._lock = optimizer._states, optimizer._lock
    changed.learning_rate = _learning_rate(learning_rate, "learning_rate")
    return changed


def optimizer_from_settings(
    settings: dict[str, Any], learning_rate: LearningRate | None = None
) -> Optimizer:
    """Make the optimizer that `settings_of` described, without the state.

    Parameters
    ----------
    settings : dict of str to Any
    learning_rate : float, Schedule or callable, optional
        In place of the one described; needed where that was a function, which is not written.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError, TypeError
        If this is not such a description, or lacks the learning rate.

    Examples
    --------
    >>> from pynn.optimizers import SGD, optimizer_from_settings, settings_of
    >>> optimizer_from_settings(settings_of(SGD(0.1, momentum=0.9)))
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """
    if not isinstance(settings, dict):
        raise TypeError(f"an optimizer's settings must be a dict, got {settings!r}")
    rest = dict(settings)
    name = _checks.choice(rest.pop("name", None), "an optimizer's name", tuple(OPTIMIZERS))
    make = OPTIMIZERS[name]
    if unknown := rest.keys() - make._CHECKS.keys():
        raise ValueError(f"{name} has no setting {', '.join(map(repr, sorted(unknown)))}")
    if learning_rate is not None:
        rest["learning_rate"] = learning_rate
    elif rest.get("learning_rate") is None:
        raise ValueError(
            f"the learning rate of this {name} was a function, which is not saved: "
            "pass learning_rate"
        )
    rate = rest["learning_rate"]
    if isinstance(rate, dict):
        if rate.keys() != {"schedule"}:
            raise ValueError(f"learning_rate must be a number or a schedule, got {rate!r}")
        from pynn.schedules import schedule_from_config

        rest["learning_rate"] = schedule_from_config(rate["schedule"])
    return make(**rest)
