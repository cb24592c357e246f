"""Many networks in one call, one on each core."""

from __future__ import annotations

import copy
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from pynn import _array_input, _checks, _monitor
from pynn._interrupts import comes_from_a_handler, shorten, warn
from pynn._keywords import refuse, refuses_unknown
from pynn._sparse import csr_rows, is_sparse
from pynn._types import Array
from pynn.callbacks import EarlyStopping
from pynn.checkpoint import Checkpoint
from pynn.data import Data, check_parts, check_weights
from pynn.engine import config_of, engine_of
from pynn.evaluation import default_metrics, evaluate
from pynn.many.folds import Fold, check_folds
from pynn.many.grid import (
    FIT,
    MODEL,
    OF_SEQUENTIAL,
    Point,
    model_arguments,
    network_of,
    optimizer_of,
    points_of,
)
from pynn.many.pool import run_all
from pynn.many.result import FitManyResult, Outcome, default_metric, set_best, text_of
from pynn.network import Network
from pynn.optimizers import Optimizer, make_optimizer, optimizer_for, without_states
from pynn.plan import FIT_DEFAULTS, FitPlan, plan_fit
from pynn.progress import Bar
from pynn.run import FitRun
from pynn.runtime import get_num_threads
from pynn.sequential import Sequential
from pynn.sources import DataSource


@dataclass
class _Model:
    """A row of the table: a network before its training, and how it is to be trained."""

    place: str  # what messages call it
    parameters: Point
    constructor: dict[str, Any]  # the arguments that made the network
    net: Network
    optimizer: Optimizer | None  # None: the fit's default
    own: bool  # whether no other model has this optimizer
    fit: dict[str, Any] = field(default_factory=dict)  # arguments, without the optimizer


@dataclass
class _Fit:
    """A fit to do, checked."""

    model: int
    net: Network
    source: DataSource
    plan: FitPlan
    test: tuple[Data, Array] | None
    metrics: list[str]  # that the table will have
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def work(self) -> float:
        """What it costs, in no unit."""
        samples = self.source.samples or 0
        return float(self.plan.epochs) * samples * len(engine_of(self.net).parameters)

    def run(self, poll: Callable[[], None] | None = None) -> None:
        """Do it, or raise what ended it; the outcome says how far it has come."""
        self.plan.poll = poll
        outcome, start = self.outcome, time.perf_counter()
        try:
            with engine_of(self.net).core.writing(fits=True):
                run = FitRun(self.net, self.source, self.plan)
                outcome.history = run.history  # which grows
                run.run()
            if self.test is not None:
                engine = engine_of(self.net)
                metrics = default_metrics(engine) | self.plan.metrics
                outcome.test = evaluate(engine, *self.test, metrics, poll=poll)
            outcome.epoch = self._restored_epoch() or len(outcome.history)
        except BaseException:
            outcome.epoch = len(outcome.history)
            raise
        finally:
            self.plan.poll = None
            outcome.seconds = time.perf_counter() - start

    def _restored_epoch(self) -> int | None:
        """The epoch whose weights a callback has restored."""
        for callback in reversed(self.plan.callbacks):
            if isinstance(callback, EarlyStopping) and callback.restore_best:
                return callback.best_epoch
        return None


@refuses_unknown
def fit_many(
    models: Any,
    X: ArrayLike,
    y: ArrayLike,
    *excess: NoReturn,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: Any = None,
    learning_rate: Any = None,
    validation_data: tuple[ArrayLike, ...] | None = None,
    validation_split: float = 0.0,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    metrics: Any = (),
    shuffle: bool = True,
    sampling: str | None = None,
    callbacks: Any = (),
    cv: Any = None,
    refit: bool | str = True,
    seed: int | None = None,
    on_error: str = "record",
    progress: bool | None = None,
    **unknown: NoReturn,
) -> FitManyResult:
    """Train many networks at once, one on each core: a grid, cross-validation, an ensemble.

    Each network is trained as `MLP.fit` would train it alone, to the same bits.

    Parameters
    ----------
    models : sequence of MLP or Sequential, dict of str to list, or sequence of dict
        Networks, which are trained as they are. Or a grid: for arguments of `MLP` and `MLP.fit`
        the values to try, in all combinations. Or the points to try themselves (a random search):
        dicts with a value for each argument.

        Keys are the constructor's arguments; ``hidden``, the sizes of the hidden layers (a tuple,
        or a number), which takes the inputs and outputs from `X` and `y`, in place of
        ``layer_sizes``; or ``layers`` and other arguments of `Sequential`, by default with the
        ``input_shape`` of `X`; and ``epochs``, ``batch_size``, ``optimizer``, ``learning_rate``,
        ``validation_split``, ``class_weight``, ``shuffle``, ``sampling`` and ``callbacks``, which
        take the place of the arguments below.
    X : array_like or sparse matrix of shape (n, inputs)
    y : array_like
    epochs, batch_size, validation_data, validation_split, sample_weight, class_weight : optional
        As for `MLP.fit`, with its defaults.
    optimizer : Optimizer, str, or sequence of these, optional
        As for `MLP.fit`. Each network has a copy. A sequence has one for each model.
    learning_rate : float, Schedule or callable, optional
        In place of the optimizer's own rate; without an `optimizer`, the rate of `Adam`, or of the
        optimizer with which a network in `models` was trained before.
    metrics, shuffle, sampling : optional
        As for `MLP.fit`.
    callbacks : optional
        As for `MLP.fit`. Each network has deep copies; a function is not copied, and is called from
        several threads.
    cv : int or iterable of tuple (train, test), optional
        Train each model once for each fold on the samples `train` and score it on `test`:
        indices or masks. A number is that of the folds, which share out the samples, and those of
        each class, evenly. Networks in `models` are copied for that, and stay as they are. Samples
        are not copied.
    refit : bool or str, default True
        With `cv`, train the best model once more, on all samples, from the same seed and with the
        same arguments: ``result.best_model``. (A `validation_split` is still held out.) The name of
        a metric of the table, such as "test_accuracy", is the one to choose by, also for
        ``result.best()`` and ``result.ranking()``. Without `cv` no model is trained again: each has
        seen all samples that are not held out, and ``result.best_model`` is the best of them.
    seed : int or sequence of int, optional
        The networks of a grid have the seeds ``numpy.random.SeedSequence(seed).spawn(n)``, where
        no ``seed`` is among their arguments, the same for each fold; equal points differ in it.
        ``numpy.random.default_rng(seed)`` draws the folds.
    on_error : {"record", "raise"}, default "record"
        What an exception in a fit does: "record" writes it into the table, continues with the
        others, and warns at the end. "raise" ends all and raises it.
    progress : bool, optional
        As for `MLP.fit`; the bar counts fits.

    Returns
    -------
    FitManyResult
        The networks, their histories and arguments, and a table of metrics.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; then nothing has been trained.
    KeyboardInterrupt
        On Ctrl-C; all fits have ended after a whole mini-batch.

    Warns
    -----
    RuntimeWarning
        If a fit has failed, and ``on_error="record"``.

    Notes
    -----
    As many fits run at a time as `get_num_threads` says, each on one thread, those with the most
    work first. The fit on all samples comes last, on all threads.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.many import fit_many
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(90, 2)), rng.integers(2, size=90)
    >>> grid = {"hidden": [(8,), (16, 8)], "learning_rate": [0.1, 0.01]}
    >>> result = fit_many(grid, X, y, epochs=3, cv=3, seed=0)
    >>> len(result), sorted(result.table[0])[-2:]
    (4, ['test_loss', 'test_loss_std'])
    >>> result.best_model.predict(X).shape
    (90,)
    """
    given = dict(locals())
    _check_keywords(unknown)
    refuse(unknown, fit_many, "fit_many()", models, X, y, excess=excess)
    _checks.choice(on_error, "on_error", ("record", "raise"))
    shown = None if progress is None else _checks.flag(progress, "progress")
    root = _seed_sequence(seed)
    X, y = _samples(X), _targets(y, "y")
    validation_data = _validation(validation_data)
    chosen, seeds = _models(models, X, y, optimizer, learning_rate, root)
    weights = check_weights(sample_weight, len(y) if y.ndim else 0, "sample_weight")
    folds = None if cv is None else _folds(cv, X, y, weights, chosen[0].net, root)
    given |= {
        "validation_data": validation_data,
        "sample_weight": weights,
        "metrics": _listed(metrics),
    }
    parts: list[tuple[Array | None, Array | None]] = [*folds] if folds else [(None, None)]
    fits = []
    for index, model in enumerate(chosen):
        try:
            model.fit = _fit_arguments(model.parameters, given)
            for train, test in parts:
                fits.append(_planned(index, model, X, y, train, test, copied=folds is not None))
        except (TypeError, ValueError) as error:
            raise _named(error, model.place) from error
    by, again = _check_refit(refit, fits, cross_validated=folds is not None)
    _check_checkpoints(fits, again=again)

    arguments, not_again = [_arguments_of(model) for model in chosen], ""
    try:
        with _bar(shown, len(fits) + again) as bar:
            _run(fits, [model.place for model in chosen], on_error, by, bar, len(fits) + again)
            groups: list[list[_Fit]] = [[] for _ in chosen]
            for fit in fits:
                groups[fit.model].append(fit)
            result = FitManyResult(
                [[fit.net for fit in group] for group in groups],
                [[fit.outcome for fit in group] for group in groups],
                [model.parameters for model in chosen],
                arguments,
                seeds,
                folds,
                by,
            )
            if again:
                not_again = _refit(result, chosen, X, y, on_error)
                bar.describe(f"fit_many {len(fits) + 1}/{len(fits) + 1}")
                bar.to(len(fits) + 1, {})
    except KeyboardInterrupt as error:
        shorten(error)
        raise error
    failed = [row for row in result.table if row["error"]]
    if failed:
        first = failed[0]
        warn(
            f"{len(failed)} of {len(result)} models failed, the first of them "
            f"{chosen[first['model']].place}: {first['error']}",
            RuntimeWarning,
        )
    if not_again:
        warn(f"the best model could not be trained again: {not_again}", RuntimeWarning)
    return result


# ------------------------------------------------------------------ arguments


def _check_keywords(unknown: dict[str, Any]) -> None:
    for name in unknown:
        if name in MODEL:
            raise TypeError(
                f"fit_many() got an unexpected keyword argument {name!r}: it belongs to the "
                f"models, as a key of the grid, {{{name!r}: [...]}}"
            )


def _seed_sequence(seed: Any) -> np.random.SeedSequence:
    try:
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed must be an integer of at least 0, got {seed!r}") from None


def _samples(X: Any) -> Array:
    """`X` in a form that no network converts for itself."""
    rows: Any = csr_rows(X, "X") if is_sparse(X) else _array_input.array(X, "X", "samples")
    return rows  # type: ignore[no-any-return]


def _targets(y: Any, name: str) -> Array:
    """`y` in a form that no network converts for itself."""
    array = _array_input.array(y, name, "labels")
    labels = array.ndim == 1 and array.dtype.kind in "biu"
    return np.ascontiguousarray(array, dtype=np.int64) if labels else array


def _validation(data: Any) -> Any:
    """Validation data in a form that no network converts for itself."""
    if data is None:
        return None
    check_parts(data, "validation_data")
    X, y, *weights = data
    X = _array_input.array(X, "validation_data[0]", "samples")
    return (X, _targets(y, "validation_data[1]"), *weights)


def _listed(values: Any) -> Any:
    """What can be gone through only once, as a list."""
    return list(values) if hasattr(values, "__next__") else values


def _named(error: Exception, place: str) -> Exception:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{place}: {error}")


def _models(
    models: Any,
    X: Array,
    y: Array,
    optimizer: Any,
    learning_rate: Any,
    root: np.random.SeedSequence,
) -> tuple[list[_Model], list[np.random.SeedSequence] | None]:
    """The networks and their optimizers; the seeds of a grid's."""
    given = _given(models)
    optimizers = _optimizers(optimizer, learning_rate, len(given))
    result = []
    if isinstance(given[0], Network):
        each = [
            optimizer_of(asked, learning_rate, net)
            for asked, net in zip(optimizers, given, strict=True)
        ]
        users = Counter(map(id, each))
        for i, (net, own) in enumerate(zip(given, each, strict=True)):
            alone = own is not optimizer and learning_rate is None and users[id(own)] == 1
            result.append(_Model(f"models[{i}]", {}, _constructor_arguments(net), net, own, alone))
        _check_apart(result)
        return result, None
    seeds = root.spawn(len(given))
    for i, (point, seed) in enumerate(zip(given, seeds, strict=True)):
        texts = (
            f"{k}={v!r}" if isinstance(v, str) else f"{k}={text_of(v)}" for k, v in point.items()
        )
        place = f"model {i} ({', '.join(texts)})"
        try:
            net, arguments = network_of(model_arguments(point, X, y, seed))
            asked = point.get("optimizer", optimizers[i])
            own = optimizer_of(asked, point.get("learning_rate", learning_rate))
        except (TypeError, ValueError) as error:
            raise _named(error, place) from error
        result.append(_Model(place, point, arguments, net, own, False))
    _check_apart(result)
    return result, seeds


def _given(models: Any) -> list[Any]:
    """Networks, or the points of a grid."""
    if isinstance(models, Mapping):
        return points_of(models)
    expected = "models must be a list of networks, a dict of lists or a list of dicts"
    if isinstance(models, str | Network):
        raise TypeError(f"{expected}, got {models!r}")
    try:
        given = list(models)
    except TypeError:
        raise TypeError(f"{expected}, got {models!r}") from None
    if not given:
        raise ValueError("models is empty")
    for kind in (Network, Mapping):
        if isinstance(given[0], kind):
            for i, each in enumerate(given):
                if not isinstance(each, kind):
                    raise TypeError(f"{expected}, but models[{i}] is {each!r}")
            return given if kind is Network else points_of(given)
    raise TypeError(f"{expected}, but models[0] is {given[0]!r}")


def _optimizers(optimizer: Any, learning_rate: Any, count: int) -> list[Any]:
    """One for each model, as it was given; the same one for all if one is given."""
    if not isinstance(optimizer, list | tuple):
        make_optimizer(optimizer, learning_rate)  # which checks them
        return [optimizer] * count
    if len(optimizer) != count:
        raise ValueError(
            f"optimizer has {len(optimizer)} optimizers, expected one for each of {count} models; "
            "to try each of them with every point of a grid, give it the key 'optimizer'"
        )
    for i, each in enumerate(optimizer):
        try:
            make_optimizer(each, learning_rate)
        except (TypeError, ValueError) as error:
            raise type(error)(f"optimizer[{i}]: {error}") from None
    return list(optimizer)


def _check_apart(models: list[_Model]) -> None:
    """Threads must not share what training changes."""
    networks: dict[int, str] = {}
    generators: dict[int, str] = {}
    for model in models:
        place = networks.setdefault(id(model.net), model.place)
        if place != model.place:
            raise ValueError(f"{model.place} and {place} are the same network")
        place = generators.setdefault(id(model.net.rng.bit_generator), model.place)
        if place != model.place:
            raise ValueError(
                f"{model.place} and {place} draw from the same generator: give each a seed of its "
                "own"
            )


def _folds(
    cv: Any, X: Array, y: Array, weights: Array | None, net: Network, root: np.random.SeedSequence
) -> list[Fold]:
    if y.ndim == 0:
        raise ValueError(f"y must have 1 or 2 dimensions, got shape {y.shape}")
    classes = engine_of(net).loss.info.classes and y.ndim == 1 and y.dtype.kind in "biu"
    folds = check_folds(cv, len(y), y if classes else None, np.random.default_rng(root))
    for i, parts in enumerate(folds):
        for name, rows in zip(("train", "test"), parts, strict=True):
            if weights is not None and not weights[rows].any():
                raise ValueError(f"sample_weight is 0 for all {name} samples of fold {i}")
    return folds


def _fit_arguments(point: Point, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model's fit that are not the defaults, without the optimizer."""
    arguments = given | {name: point[name] for name in FIT if name in point}
    arguments |= dict.fromkeys(("optimizer", "learning_rate", "progress"))
    arguments["callbacks"] = _listed(arguments["callbacks"])
    return {
        name: arguments[name]
        for name, default in FIT_DEFAULTS.items()
        if name in arguments and not _is_default(arguments[name], default)
    }


def _is_default(value: Any, default: Any) -> bool:
    if value is None or value is default:
        return True
    plain = isinstance(value, bool | int | float | tuple)
    return plain and type(value) is type(default) and bool(value == default)


def _constructor_arguments(net: Network) -> dict[str, Any]:
    """Those of a network that was given: `init` and `seed` have done their part already."""
    if isinstance(net, Sequential):
        return {name: getattr(net, name) for name in OF_SEQUENTIAL if name != "seed"}
    return {**config_of(net), "loss": net.loss}


def _arguments_of(model: _Model) -> dict[str, dict[str, Any]]:
    """What `MLP` and `MLP.fit` take to do the same, with objects that no fit here changes."""
    fit = dict(model.fit)
    if "callbacks" in fit:
        fit["callbacks"] = _copied(fit["callbacks"])
    if model.optimizer is not None:
        fit["optimizer"] = without_states(model.optimizer)
    return {"model": dict(model.constructor), "fit": fit}


def _planned(
    index: int,
    model: _Model,
    X: Array,
    y: Array,
    train: Array | None,
    test: Array | None,
    *,
    copied: bool,
) -> _Fit:
    """Check a fit of the model, or of a copy of it, on the samples `train`."""
    net, optimizer = model.net, model.optimizer
    if copied:
        net = copy.deepcopy(model.net)
        if optimizer is model.net.optimizer:
            optimizer = net.optimizer
    if isinstance(optimizer, Optimizer) and (copied or not model.own):
        optimizer = optimizer_for(optimizer, net, model.net if copied else None)
    arguments = FIT_DEFAULTS | model.fit
    arguments |= {
        "optimizer": optimizer,
        "callbacks": _copied(arguments["callbacks"]),
        "progress": False,
    }
    source, plan = plan_fit(net, X, y, arguments, train)
    scored = None
    if test is not None:
        training = source.training()
        assert training is not None
        data = training[0]
        scored = Data(data.samples, data.targets, arguments["sample_weight"]), test
    names = ["loss", *plan.metrics]
    evaluated = ["loss", *(default_metrics(engine_of(net)) | plan.metrics)]
    if plan.validation is not None or arguments["validation_split"]:
        names += [f"val_{name}" for name in evaluated]
    if test is not None:
        names += [f"test_{name}" for name in evaluated]
    return _Fit(index, net, source, plan, scored, names)


def _copied(callbacks: Any) -> Any:
    try:
        return copy.deepcopy(callbacks)
    except TypeError as error:
        raise TypeError(f"callbacks cannot be copied for each network: {error}") from None


def _check_checkpoints(fits: list[_Fit], *, again: bool) -> None:
    """Refuse that one file is written by two fits, the fit of the best model `again` included."""
    paths: set[str] = set()
    for fit in fits:
        for callback in fit.plan.callbacks:
            if isinstance(callback, Checkpoint):
                path = os.fspath(callback.path)
                if path in paths or again:
                    raise ValueError(
                        f"callbacks: several networks would be saved to {path!r}; give each a "
                        "Checkpoint with a path of its own"
                    )
                paths.add(path)


def _check_refit(refit: Any, fits: list[_Fit], *, cross_validated: bool) -> tuple[str | None, bool]:
    """The metric by which to choose the best model, and whether it is trained again."""
    if not isinstance(refit, str):
        try:
            again = _checks.flag(refit, "refit") and cross_validated
        except TypeError:
            expected = "refit must be True, False or the name of a metric"
            raise TypeError(f"{expected}, got {refit!r}") from None
        losses = {str(engine_of(fit.net).loss.config()) for fit in fits}
        if again and len(losses) > 1:
            raise ValueError(
                "refit=True compares the models by test_loss, but their losses differ: name a "
                "metric that all have, such as refit='test_accuracy' or, with metrics='mae', "
                "refit='test_mae'; or pass refit=False"
            )
        return None, again
    names = list(dict.fromkeys(name for fit in fits for name in fit.metrics))
    if refit not in names:
        raise ValueError(f"refit={refit!r} is not a metric of the table, which will have: {names}")
    try:
        _monitor.direction(refit, "auto")
    except ValueError:
        raise ValueError(
            f"refit={refit!r} does not tell whether it is to be small or large: let the metric's "
            "name end in 'score' or 'error', as in metrics={'my_score': function}"
        ) from None
    return refit, cross_validated


# --------------------------------------------------------------------- running


@contextmanager
def _bar(shown: bool | None, total: int) -> Iterator[Bar]:
    bar = Bar(shown, total, unit="fits", description=f"fit_many 0/{total}")
    interrupted = True
    try:
        yield bar
        interrupted = False
    finally:
        bar.close(interrupted=interrupted)


def _run(
    fits: list[_Fit], places: list[str], on_error: str, by: str | None, bar: Bar, total: int
) -> None:
    """Run them all, the longest first, so that no core is left alone with one at the end."""
    order = sorted(fits, key=lambda fit: -fit.work)
    left = Counter(fit.model for fit in fits)
    values: dict[int, list[float]] = {}
    best: dict[str, float] = {}
    done = 0

    def finished(position: int, raised: BaseException | None) -> None:
        nonlocal done
        fit = order[position]
        if raised is not None:
            _noted(fit.outcome, raised, places[fit.model], on_error)
        done += 1
        left[fit.model] -= 1
        if not bar.shown:
            return
        row = fit.outcome.metrics()
        name = by or default_metric(row)
        values.setdefault(fit.model, []).append(row.get(name, np.nan))
        if not left[fit.model]:  # all folds
            mean, better = float(np.mean(values[fit.model])), min
            if _monitor.direction(name, "auto") == "max":
                better = max
            if np.isfinite(mean):
                best[f"best {name}"] = better(mean, best.get(f"best {name}", mean))
        bar.describe(f"fit_many {done}/{total}")
        bar.to(done, best)

    run_all([fit.run for fit in order], get_num_threads(), finished)


def _noted(outcome: Outcome, raised: BaseException, place: str, on_error: str) -> None:
    """Write an exception into the outcome of a fit, or raise it."""
    if on_error == "raise" or not isinstance(raised, Exception):
        if hasattr(raised, "add_note"):
            raised.add_note(f"in the fit of {place}")
        raise raised
    outcome.error = f"{type(raised).__name__}: {raised}"


def _refit(result: FitManyResult, chosen: list[_Model], X: Array, y: Array, on_error: str) -> str:
    """Train the best model on all samples, on all threads; what kept it from that, if something."""
    try:
        index = result.best()["model"]
    except ValueError:  # no model has come to a metric, which `result.best` says too
        return ""
    model = chosen[index]
    fit = _planned(index, model, X, y, None, None, copied=True)
    try:
        fit.run()
    except Exception as error:
        if comes_from_a_handler(error):
            raise
        _noted(fit.outcome, error, model.place, on_error)
    set_best(result, fit.net, fit.outcome.error)
    return fit.outcome.error
