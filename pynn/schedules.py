"""Learning rates that change in the course of training, as small objects."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NoReturn, overload

import numpy as np

from pynn import _checks, _monitor
from pynn._frozen import Frozen
from pynn._keywords import refuse, refuses_unknown
from pynn._types import NDArray

if TYPE_CHECKING:
    from pynn.history import History

    Steps = NDArray[np.float64]


class Schedule(Frozen, ABC):
    """A learning rate as a function of the number of the update, from 0.

    It takes the place of a number as an optimizer's ``learning_rate``. Schedules are immutable,
    except for what `ReduceOnPlateau` has observed, and equal if their settings are.

    Notes
    -----
    The unit of all schedules is the update, that is the mini-batch. An epoch of n samples in
    mini-batches of b has ``math.ceil(n / b)`` updates, so that k epochs are
    ``k * math.ceil(n / b)``. The optimizer counts the updates of a network on from fit to fit.

    For a schedule of your own, any callable of the number of the update will do; it may be asked
    more than once for the same update.

    Examples
    --------
    >>> import pynn
    >>> schedule = pynn.StepDecay(0.1, every=100)
    >>> schedule(0), schedule(99), round(schedule(100), 9)
    (0.1, 0.1, 0.01)
    >>> sgd = pynn.SGD(schedule)
    """

    @overload
    def __call__(self, step: int) -> float: ...

    @overload
    def __call__(self, step: NDArray[Any]) -> NDArray[np.float64]: ...

    def __call__(self, step: Any) -> Any:
        """Compute the learning rate of an update, or of many.

        Parameters
        ----------
        step : int or ndarray of int
            The number of the update, from 0.

        Returns
        -------
        float or ndarray of float64
            In the shape of `step`.

        Raises
        ------
        ValueError, TypeError
            If `step` holds anything but integers from 0.
        """
        steps = np.asarray(step)
        if steps.dtype.kind not in "iu":
            raise TypeError(f"step must be an integer or an array of them, got {step!r}")
        if steps.size and steps.min() < 0:
            raise ValueError(f"step must be at least 0, got {steps.min()}")
        with np.errstate(over="ignore", under="ignore"):
            rates = self._rates(np.atleast_1d(steps).astype(np.float64))
        return rates if steps.ndim else float(rates[0])

    @abstractmethod
    def _rates(self, steps: Steps) -> Steps:
        """The rates of the updates of these numbers."""

    def observe(self, history: History) -> None:
        """See an epoch's metrics; `fit` calls it after every epoch.

        Most schedules do not look at them.

        Parameters
        ----------
        history : History
        """

    @property
    def _observes(self) -> bool:
        """The rates depend on the epochs' metrics."""
        return type(self).observe is not Schedule.observe

    def get_config(self) -> dict[str, Any]:
        """Describe the schedule in what JSON can hold, for `schedule_from_config`.

        Returns
        -------
        dict of str to Any
            Its ``name``, its arguments, and its state if it has one.

        Raises
        ------
        ValueError
            If the schedule is not one of this module's.
        """
        name = type(self).__name__
        if SCHEDULES.get(name) is not type(self):
            raise ValueError(f"{name} is not one of pynn's schedules: {', '.join(SCHEDULES)}")
        arguments = self._settings()
        for key, value in arguments.items():
            if isinstance(value, Schedule):
                arguments[key] = value.get_config()
        return {"name": name, **arguments}

    def _set_state(self, state: Any) -> None:
        """What `get_config` gave as the state, checked and taken on."""
        raise ValueError(f"{type(self).__name__} has no state, got {state!r}")


class Constant(Schedule):
    """The same learning rate for all updates, as a schedule.

    Parameters
    ----------
    rate : float
        Greater than 0.

    Examples
    --------
    >>> import pynn
    >>> pynn.Constant(0.1)(1000)
    0.1
    """

    __match_args__ = ("rate",)

    @refuses_unknown
    def __init__(self, rate: float, **unknown: NoReturn) -> None:
        refuse(unknown, Constant.__init__, "Constant()", rate)
        self.rate: Final = _positive(rate, "rate")

    def _rates(self, steps: Steps) -> Steps:
        return np.full_like(steps, self.rate)


class StepDecay(Schedule):
    r"""A learning rate that is multiplied by a factor at regular intervals.

    Parameters
    ----------
    rate : float
        Of the first update; greater than 0.
    every : int
        Updates from one change to the next: ``k * math.ceil(n / b)`` for k epochs of n samples in
        mini-batches of b.
    factor : float, default 0.1
        Greater than 0.

    Notes
    -----
    Update :math:`t` has the rate :math:`\eta f^{\lfloor t / \mathrm{every} \rfloor}`, as torch's
    ``StepLR``.

    Examples
    --------
    >>> import pynn
    >>> pynn.StepDecay(0.8, every=10, factor=0.5)(25)
    0.2
    """

    __match_args__ = ("rate", "every", "factor")

    @refuses_unknown
    def __init__(self, rate: float, every: int, factor: float = 0.1, **unknown: NoReturn) -> None:
        refuse(unknown, StepDecay.__init__, "StepDecay()", rate, every)
        self.rate: Final = _positive(rate, "rate")
        self.every: Final = _checks.integer(every, "every", 1)
        self.factor: Final = _positive(factor, "factor")

    def _rates(self, steps: Steps) -> Steps:
        return self.rate * self.factor ** (steps // self.every)


class ExponentialDecay(Schedule):
    r"""A learning rate that falls by the same fraction with each update.

    Parameters
    ----------
    rate : float
        Of the first update; greater than 0.
    factor : float
        Greater than 0; the rate rises if it is greater than 1.
    every : int, default 1
        In how many updates the rate is multiplied by `factor`: ``k * math.ceil(n / b)`` for k
        epochs of n samples in mini-batches of b.

    Notes
    -----
    Update :math:`t` has the rate :math:`\eta f^{t / \mathrm{every}}`; torch's ``ExponentialLR``
    with ``every=1``.

    Examples
    --------
    >>> import pynn
    >>> pynn.ExponentialDecay(0.8, factor=0.25, every=10)(5)
    0.4
    """

    __match_args__ = ("rate", "factor", "every")

    @refuses_unknown
    def __init__(self, rate: float, factor: float, every: int = 1, **unknown: NoReturn) -> None:
        refuse(unknown, ExponentialDecay.__init__, "ExponentialDecay()", rate, factor)
        self.rate: Final = _positive(rate, "rate")
        self.factor: Final = _positive(factor, "factor")
        self.every: Final = _checks.integer(every, "every", 1)

    def _rates(self, steps: Steps) -> Steps:
        return self.rate * self.factor ** (steps / self.every)


class CosineDecay(Schedule):
    r"""A learning rate that falls along half a cosine, and then stays.

    Parameters
    ----------
    rate : float
        Of the first update; greater than 0.
    steps : int
        Updates until the rate is `final`: ``k * math.ceil(n / b)`` for k epochs of n samples in
        mini-batches of b.
    final : float, default 0.0
        Of update number `steps` and all that follow; at least 0.

    Notes
    -----
    Update :math:`t` has the rate :math:`\eta_T + \frac{1}{2} (\eta - \eta_T)
    (1 + \cos(\pi \min(t / T, 1)))` [1]_, without restarts; torch's ``CosineAnnealingLR`` until
    update T.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
       ICLR 2017.

    Examples
    --------
    >>> import pynn
    >>> schedule = pynn.CosineDecay(0.1, steps=1000)
    >>> schedule(0), round(schedule(500), 9), schedule(1000), schedule(2000)
    (0.1, 0.05, 0.0, 0.0)
    """

    __match_args__ = ("rate", "steps", "final")

    @refuses_unknown
    def __init__(self, rate: float, steps: int, final: float = 0.0, **unknown: NoReturn) -> None:
        refuse(unknown, CosineDecay.__init__, "CosineDecay()", rate, steps)
        self.rate: Final = _positive(rate, "rate")
        self.steps: Final = _checks.integer(steps, "steps", 1)
        self.final: Final = _at_least_0(final, "final")

    def _rates(self, steps: Steps) -> Steps:
        return _along_cosine(self.rate, self.final, steps / self.steps)


class InverseScaling(Schedule):
    r"""A learning rate that falls with a power of the number of updates.

    Parameters
    ----------
    rate : float
        Of the first update; greater than 0.
    power : float, default 0.5
        Greater than 0.

    Notes
    -----
    Update :math:`t` has the rate :math:`\eta / (t + 1)^{\mathrm{power}}`, the formula of
    scikit-learn's ``learning_rate="invscaling"``, where :math:`t` counts the samples instead and
    moves on at the end of each epoch.

    Examples
    --------
    >>> import pynn
    >>> pynn.InverseScaling(0.1)(99)
    0.01
    """

    __match_args__ = ("rate", "power")

    @refuses_unknown
    def __init__(self, rate: float, power: float = 0.5, **unknown: NoReturn) -> None:
        refuse(unknown, InverseScaling.__init__, "InverseScaling()", rate)
        self.rate: Final = _positive(rate, "rate")
        self.power: Final = _positive(power, "power")

    def _rates(self, steps: Steps) -> Steps:
        return self.rate / (steps + 1) ** self.power


class OneCycle(Schedule):
    r"""The 1cycle policy: a learning rate that rises to a peak and falls far below its start.

    Parameters
    ----------
    peak : float
        The largest rate; greater than 0.
    steps : int
        Updates of the whole cycle: ``k * math.ceil(n / b)`` for k epochs of n samples in
        mini-batches of b. The last rate stays.
    pct_start : float, default 0.3
        The fraction of the cycle in which the rate rises, in [0, 1).
    div_factor : float, default 25.0
        The first rate is ``peak / div_factor``.
    final_div_factor : float, default 1e4
        The last rate is ``peak / div_factor / final_div_factor``.

    Notes
    -----
    The policy is Smith's [1]_, with the two phases of half a cosine each that fastai and torch's
    ``OneCycleLR`` made of it. The momentum is left as it is (torch: ``cycle_momentum=False``).

    References
    ----------
    .. [1] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using
       large learning rates", arXiv:1708.07120, 2017.

    Examples
    --------
    >>> import pynn
    >>> schedule = pynn.OneCycle(0.5, steps=100)
    >>> schedule(0), schedule(29), round(schedule(99), 9)
    (0.02, 0.5, 2e-06)
    """

    __match_args__ = ("peak", "steps", "pct_start", "div_factor", "final_div_factor")

    @refuses_unknown
    def __init__(
        self,
        peak: float,
        steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, OneCycle.__init__, "OneCycle()", peak, steps)
        self.peak: Final = _positive(peak, "peak")
        self.steps: Final = _checks.integer(steps, "steps", 1)
        self.pct_start: Final = _checks.number(
            pct_start, "pct_start", low=0.0, high=1.0, open_low=False
        )
        self.div_factor: Final = _positive(div_factor, "div_factor")
        self.final_div_factor: Final = _positive(final_div_factor, "final_div_factor")

    def _rates(self, steps: Steps) -> Steps:
        first = self.peak / self.div_factor
        last = first / self.final_div_factor
        top = max(self.pct_start * self.steps - 1, 0.0)
        end = self.steps - 1
        # (Where a phase has no length, it is at its end.)
        up = steps / top if top > 0 else np.ones_like(steps)
        down = (steps - top) / (end - top) if end > top else np.ones_like(steps)
        return np.where(
            steps <= top,
            _along_cosine(first, self.peak, up),
            _along_cosine(self.peak, last, np.maximum(down, 0)),
        )


class WarmUp(Schedule):
    r"""A learning rate that rises linearly in the first updates and then follows a schedule.

    Parameters
    ----------
    schedule : Schedule or float
        What follows; it starts, with its update 0, when the warm-up is over. A number is a
        constant rate.
    steps : int
        Updates of the warm-up: ``k * math.ceil(n / b)`` for k epochs of n samples in mini-batches
        of b.

    Notes
    -----
    Update :math:`t < n` of the warm-up has the schedule's first rate times
    :math:`(t + 1) / (n + 1)`, as torch's ``LinearLR`` with ``start_factor=1/(n+1)`` gives it; that
    of update n is whole [1]_.

    References
    ----------
    .. [1] P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour",
       arXiv:1706.02677, 2017.

    Examples
    --------
    >>> import pynn
    >>> schedule = pynn.WarmUp(pynn.CosineDecay(0.1, steps=900), steps=99)
    >>> schedule(0), schedule(49), schedule(99), schedule(999)
    (0.001, 0.05, 0.1, 0.0)
    """

    __match_args__ = ("schedule", "steps")

    @refuses_unknown
    def __init__(self, schedule: Schedule | float, steps: int, **unknown: NoReturn) -> None:
        refuse(unknown, WarmUp.__init__, "WarmUp()", schedule, steps)
        if not isinstance(schedule, Schedule):
            if callable(schedule):
                raise TypeError(f"schedule must be a Schedule or a number, got {schedule!r}")
            schedule = Constant(_positive(schedule, "schedule"))
        self.schedule: Final = schedule
        self.steps: Final = _checks.integer(steps, "steps", 1)

    def _rates(self, steps: Steps) -> Steps:
        risen = np.minimum((steps + 1) / (self.steps + 1), 1)
        return risen * self.schedule._rates(np.maximum(steps - self.steps, 0))

    @property
    def _observes(self) -> bool:
        return self.schedule._observes

    def observe(self, history: History) -> None:
        """Let the schedule see an epoch's metrics.

        Parameters
        ----------
        history : History
        """
        self.schedule.observe(history)


class _Plateau:
    """What `ReduceOnPlateau` has observed so far."""

    def __init__(self, rate: float, best: float | None = None, wait: int = 0) -> None:
        self.rate, self.best, self.wait = rate, best, wait

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Plateau) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment] # it changes


class ReduceOnPlateau(Schedule):
    """A learning rate that falls when a recorded metric has stopped improving.

    Parameters
    ----------
    rate : float
        To begin with; greater than 0.
    factor : float, default 0.1
        What the rate is multiplied by, in (0, 1).
    patience : int, default 10
        How many epochs in a row without an improvement are let pass: after one more, the rate
        falls, and the count starts again.
    min_delta : float, default 1e-4
        An improvement is a metric better than the best so far by more than this (NaN never is).
    min_rate : float, default 0.0
        The rate does not fall below it.
    monitor : str, default "val_loss"
        The name of a metric of the history.
    mode : {"auto", "min", "max"}, default "auto"
        Which way the metric improves; "auto" goes by its name.

    Attributes
    ----------
    current_rate : float
        The rate of the updates to come.

    Notes
    -----
    As torch's ``ReduceLROnPlateau`` with ``threshold_mode="abs"`` and ``eps=0``. (Keras' patience
    is larger by 1.)

    What it has observed is kept from fit to fit and belongs to the network that is trained: give
    each network's optimizer its schedule.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> schedule = pynn.ReduceOnPlateau(0.1, factor=0.5, patience=0, monitor="loss", min_delta=9)
    >>> net = pynn.MLP([2, 1], loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 2)), np.ones(8), epochs=3, optimizer=pynn.SGD(schedule))
    >>> history["learning_rate"]
    [0.1, 0.1, 0.05]
    """

    __match_args__ = ("rate", "factor", "patience", "min_delta", "min_rate", "monitor", "mode")
    __hash__ = None  # type: ignore[assignment] # what it has observed changes

    @refuses_unknown
    def __init__(
        self,
        rate: float,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        min_rate: float = 0.0,
        monitor: str = "val_loss",
        mode: str = "auto",
        **unknown: NoReturn,
    ) -> None:
        refuse(unknown, ReduceOnPlateau.__init__, "ReduceOnPlateau()", rate)
        self.rate: Final = _positive(rate, "rate")
        self.factor: Final = _checks.number(factor, "factor", low=0.0, high=1.0, open_low=True)
        self.patience: Final = _checks.integer(patience, "patience", 0)
        self.min_delta: Final = _at_least_0(min_delta, "min_delta")
        self.min_rate: Final = _at_least_0(min_rate, "min_rate")
        self.monitor: Final = monitor
        self.mode: Final = mode
        if self.min_rate > self.rate:
            raise ValueError(
                f"min_rate must be at most the rate, {self.rate:g}, got {self.min_rate:g}"
            )
        if not isinstance(self.monitor, str):
            raise TypeError(f"monitor must be the name of a metric, got {self.monitor!r}")
        _monitor.direction(self.monitor, self.mode)
        self._observe_from(_Plateau(self.rate))

    def _observe_from(self, state: _Plateau) -> None:
        self._state: _Plateau
        self.__dict__["_state"] = state  # past Frozen.__setattr__

    @property
    def current_rate(self) -> float:
        """The rate of the updates to come."""
        return self._state.rate

    def _rates(self, steps: Steps) -> Steps:
        return np.full_like(steps, self._state.rate)

    def observe(self, history: History) -> None:
        """See an epoch's metrics; the rate falls if the one monitored has not improved for long.

        Parameters
        ----------
        history : History

        Raises
        ------
        ValueError
            If the metric is not recorded.
        """
        state = self._state
        value = _monitor.metric(self.monitor, history)
        direction = _monitor.direction(self.monitor, self.mode)
        if _monitor.improves(value, state.best, direction, self.min_delta):
            state.best, state.wait = value, 0
            return
        state.wait += 1
        if state.wait > self.patience:
            state.rate, state.wait = max(state.rate * self.factor, self.min_rate), 0

    def get_config(self) -> dict[str, Any]:
        """Describe the schedule, and what it has observed, in what JSON can hold.

        Returns
        -------
        dict of str to Any
        """
        state = self._state
        observed = {"rate": state.rate, "best": state.best, "wait": state.wait}
        return {**super().get_config(), "state": observed}

    def _set_state(self, state: Any) -> None:
        if not isinstance(state, dict) or set(state) != {"rate", "best", "wait"}:
            raise ValueError(f"state must be a dict of rate, best and wait, got {state!r}")
        best = state["best"]
        self._observe_from(
            _Plateau(
                _at_least_0(state["rate"], "state['rate']"),
                None if best is None else _checks.real(best, "state['best']"),
                _checks.integer(state["wait"], "state['wait']", 0),
            )
        )


_ALL: tuple[type[Schedule], ...] = (
    Constant,
    StepDecay,
    ExponentialDecay,
    CosineDecay,
    InverseScaling,
    OneCycle,
    WarmUp,
    ReduceOnPlateau,
)
SCHEDULES = {each.__name__: each for each in _ALL}


def sees_metrics(schedule: Schedule) -> bool:
    """Tell if a schedule goes by the epochs' metrics.

    Parameters
    ----------
    schedule : Schedule

    Returns
    -------
    bool
    """
    return schedule._observes


def schedule_from_config(config: dict[str, Any]) -> Schedule:
    """Make the schedule that `Schedule.get_config` described.

    Parameters
    ----------
    config : dict of str to Any

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError, TypeError
        If this is not such a description.

    Examples
    --------
    >>> from pynn.schedules import StepDecay, schedule_from_config
    >>> schedule_from_config(StepDecay(0.1, every=100).get_config())
    StepDecay(rate=0.1, every=100, factor=0.1)
    """
    if not isinstance(config, dict):
        raise TypeError(f"a schedule's config must be a dict, got {config!r}")
    rest = dict(config)
    name = _checks.choice(rest.pop("name", None), "a schedule's name", tuple(SCHEDULES))
    make = SCHEDULES[name]
    state = rest.pop("state", None)
    arguments = {p.name: p.default is p.empty for p in inspect.signature(make).parameters.values()}
    if unknown := rest.keys() - arguments.keys():
        raise ValueError(f"{name} has no argument {', '.join(map(repr, sorted(unknown)))}")
    if missing := [key for key, needed in arguments.items() if needed and key not in rest]:
        raise ValueError(f"the config of {name} lacks {', '.join(map(repr, missing))}")
    for key, value in rest.items():
        if isinstance(value, dict):
            rest[key] = schedule_from_config(value)
    schedule = make(**rest)
    if state is not None:
        schedule._set_state(state)
    return schedule


def _positive(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, open_low=True)


def _at_least_0(value: Any, name: str) -> float:
    return _checks.number(value, name, low=0.0, open_low=False)


def _along_cosine(start: float, end: float, fraction: Steps) -> Steps:
    """From `start` to `end` along half a cosine, as `fraction` goes from 0 to 1; then `end`."""
    c = np.cos(np.pi * np.minimum(fraction, 1))
    # (Weights, so that both ends are exact.)
    rates = start * ((1 + c) / 2) + end * ((1 - c) / 2)
    # (Rounding must not leave it beyond either end.)
    return np.clip(rates, min(start, end), max(start, end))
