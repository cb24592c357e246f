"""Many networks in one call, one on each core."""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pynn import _checks, fitting
from pynn._copies import optimizer_for
from pynn._sparse import csr_rows, is_sparse
from pynn._types import Array
from pynn.callbacks import EarlyStopping
from pynn.checkpoint import Checkpoint
from pynn.history import History
from pynn.losses import LOSSES
from pynn.many.folds import Fold, check_folds
from pynn.many.grid import FIT, Point, network_of, optimizer_of, points_of
from pynn.many.pool import run_all
from pynn.many.result import FitManyResult, Outcome, default_figure
from pynn.mlp import MLP
from pynn.optimizers import Optimizer
from pynn.progress import Bar
from pynn.runtime import get_num_threads
from pynn.targets import Data, check_weights


@dataclass
class _Model:
    """A row of the table: a network before its training, and how it is to be trained."""

    place: str  # what messages call it
    parameters: Point
    net: MLP
    optimizer: Optimizer | None
    own: bool  # whether the optimiser is this model's alone


@dataclass
class _Fit:
    """A fit to do, checked."""

    model: int
    net: MLP
    source: fitting.Source
    plan: fitting.Plan
    test: tuple[Data, Array] | None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def work(self) -> float:
        """What it costs, in no unit."""
        samples = self.source.samples or 0
        return float(self.plan.epochs) * samples * len(self.net._parameters)

    def run(self, look: Callable[[], None]) -> None:
        """Do it, or raise what ended it; the outcome says how far it has come."""
        self.plan.look = look
        start = time.perf_counter()
        try:
            with self.net._trained_here():
                fitting.Run(self.net, self.source, self.plan).run()
            if self.test is not None:
                metrics = self.net._default_metrics() | self.plan.metrics
                self.outcome.test = self.net._evaluate(*self.test, metrics, look=look)
            self.outcome.epoch = self._epoch()
        finally:
            self.outcome.seconds = time.perf_counter() - start
            self.outcome.history = self.net.history or History()

    def _epoch(self) -> int:
        """The epoch whose weights the network has."""
        for callback in reversed(self.plan.callbacks):
            restores = isinstance(callback, EarlyStopping) and callback.restore_best
            if restores and callback.best_epoch is not None:
                return int(callback.best_epoch)
        return len(self.net.history or ())


def fit_many(
    models: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int = 1,
    batch_size: int = 32,
    optimizer: Any = None,
    validation_data: tuple[ArrayLike, ...] | None = None,
    validation_split: float = 0.0,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    metrics: Any = (),
    shuffle: bool = True,
    sampling: str | None = None,
    callbacks: Any = (),
    cv: Any = None,
    seed: int | None = None,
    on_error: str = "record",
    progress: bool | None = None,
) -> FitManyResult:
    """Train many networks at once, one on each core: a grid, cross-validation, an ensemble.

    Each network is trained as `MLP.fit` would train it alone, to the same bits.

    Parameters
    ----------
    models : sequence of MLP, dict of str to list, or sequence of dict
        Networks, which are trained as they are. Or a grid: for arguments of `MLP` and `MLP.fit`
        the values to try, in all combinations. Or the points to try themselves (a random search):
        dicts with a value for each argument.

        Keys are the constructor's arguments; ``hidden``, the sizes of the hidden layers (a tuple,
        or a number), which takes the inputs and outputs from `X` and `y`, in place of
        ``layer_sizes``; ``learning_rate``, of the `optimizer` or else of `SGD`; and ``epochs``,
        ``batch_size``, ``optimizer``, ``validation_split``, ``class_weight``, ``shuffle``,
        ``sampling`` and ``callbacks``, which take the place of the arguments below.
    X : array_like or sparse matrix of shape (n, inputs)
    y : array_like
    epochs, batch_size, validation_data, validation_split, sample_weight, class_weight : optional
        As for `MLP.fit`.
    optimizer : Optimizer or sequence of Optimizer, optional
        Each network has a copy of its own. Or one for each network in `models`.
    metrics, shuffle, sampling : optional
        As for `MLP.fit`.
    callbacks : optional
        As for `MLP.fit`. Each network has deep copies of its own; a function is not copied, and is
        called from several threads.
    cv : int or iterable of tuple (train, test), optional
        Trains each model once for each fold on the samples `train` and scores it on `test`:
        indices or masks. A number: of folds that share out the samples, and those of each class,
        evenly. Networks in `models` are copied for that, and stay as they are. Samples are not
        copied.
    seed : int or sequence of int, optional
        The networks of a grid have the seeds ``numpy.random.SeedSequence(seed).spawn(n)``, where
        no ``seed`` is among their arguments, the same for each fold; the folds are drawn by
        ``numpy.random.default_rng(seed)``.
    on_error : {"record", "raise"}, default "record"
        What an exception in a fit does: "record" writes it into the table, goes on with the
        others, and warns at the end. "raise" ends all and raises it.
    progress : bool, optional
        As for `MLP.fit`; the bar counts fits.

    Returns
    -------
    FitManyResult
        The networks, their histories, and a table of figures.

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
    work first.

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
    """
    _checks.choice(on_error, "on_error", ("record", "raise"))
    shown = None if progress is None else _checks.flag(progress, "progress")
    root = _seed_sequence(seed)
    X, y = _samples(X), _targets(y)
    chosen, seeds = _models(models, X, y, optimizer, root)
    weights = check_weights(sample_weight, len(y) if y.ndim else 0, "sample_weight")
    folds = None if cv is None else _folds(cv, X, y, weights, chosen[0].net, root)
    shared = {
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_data": validation_data,
        "validation_split": validation_split,
        "class_weight": class_weight,
        "metrics": metrics if isinstance(metrics, Mapping | str) else _listed(metrics),
        "shuffle": shuffle,
        "sampling": sampling,
        "callbacks": _listed(callbacks),
    }
    fits = []
    for index, model in enumerate(chosen):
        try:
            fits += _planned(index, model, X, y, weights, folds, shared)
        except (TypeError, ValueError) as error:
            raise _named(error, model.place) from error
    _check_checkpoints(fits)
    _run(fits, [model.place for model in chosen], on_error, shown, cross_validated=bool(folds))

    by_model: list[list[_Fit]] = [[] for _ in chosen]
    for fit in fits:
        by_model[fit.model].append(fit)
    result = FitManyResult(
        [[fit.net for fit in group] for group in by_model],
        [[fit.outcome for fit in group] for group in by_model],
        [model.parameters for model in chosen],
        seeds,
        cross_validated=bool(folds),
    )
    failed = [row for row in result.table if row["error"]]
    if failed:
        first = failed[0]
        warnings.warn(
            f"{len(failed)} of {len(result)} models failed, the first of them "
            f"{chosen[first['model']].place}: {first['error']}",
            RuntimeWarning,
            stacklevel=2,
        )
    return result


# ------------------------------------------------------------------ arguments


def _seed_sequence(seed: Any) -> np.random.SeedSequence:
    try:
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed must be an integer of at least 0, got {seed!r}") from None


def _samples(X: Any) -> Array:
    """`X` in a form that no network converts for itself."""
    rows: Any = csr_rows(X, "X") if is_sparse(X) else np.asarray(X)
    return rows  # type: ignore[no-any-return]


def _targets(y: Any) -> Array:
    """`y` in a form that no network converts for itself."""
    array = np.asarray(y)
    labels = array.ndim == 1 and array.dtype.kind in "biu"
    return np.ascontiguousarray(array, dtype=np.int64) if labels else array


def _listed(values: Any) -> Any:
    """What can be gone through only once, as a list."""
    return list(values) if hasattr(values, "__next__") else values


def _named(error: Exception, place: str) -> Exception:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"{place}: {error}")


def _models(
    models: Any, X: Array, y: Array, optimizer: Any, root: np.random.SeedSequence
) -> tuple[list[_Model], list[np.random.SeedSequence] | None]:
    """The networks and their optimisers; the seeds of a grid's."""
    given = _given(models)
    optimizers = _optimizers(optimizer, len(given))
    result = []
    if isinstance(given[0], MLP):
        if optimizer is None:
            optimizers = [net.optimizer for net in given]
        shared = isinstance(optimizer, Optimizer)
        users = Counter(id(each) for each in optimizers)
        for i, (net, each) in enumerate(zip(given, optimizers, strict=True)):
            own = not shared and users[id(each)] == 1
            result.append(_Model(f"models[{i}]", {}, net, each, own))
        _check_apart(result)
        return result, None
    seeds = root.spawn(len(given))
    for i, (point, seed) in enumerate(zip(given, seeds, strict=True)):
        place = f"model {i} ({', '.join(f'{name}={value!r}' for name, value in point.items())})"
        try:
            net = network_of(point, X, y, seed)
            each = optimizer_of(point, optimizers[i])
        except (TypeError, ValueError) as error:
            raise _named(error, place) from error
        result.append(_Model(place, point, net, each, False))
    _check_apart(result)
    return result, seeds


def _given(models: Any) -> list[Any]:
    """Networks, or the points of a grid."""
    if isinstance(models, Mapping):
        return points_of(models)
    expected = "models must be a list of MLPs, a dict of lists or a list of dicts"
    if isinstance(models, str | MLP):
        raise TypeError(f"{expected}, got {models!r}")
    try:
        given = list(models)
    except TypeError:
        raise TypeError(f"{expected}, got {models!r}") from None
    if not given:
        raise ValueError("models is empty")
    for kind in (MLP, Mapping):
        if isinstance(given[0], kind):
            for i, each in enumerate(given):
                if not isinstance(each, kind):
                    raise TypeError(f"{expected}, but models[{i}] is {each!r}")
            return given if kind is MLP else points_of(given)
    raise TypeError(f"{expected}, but models[0] is {given[0]!r}")


def _optimizers(optimizer: Any, count: int) -> list[Any]:
    """One for each model; the same one for all if one is given."""
    if not isinstance(optimizer, list | tuple):
        if optimizer is not None:
            fitting.check_optimizer(optimizer)
        return [optimizer] * count
    if len(optimizer) != count:
        raise ValueError(f"optimizer has {len(optimizer)} optimisers, expected {count}")
    for i, each in enumerate(optimizer):
        try:
            fitting.check_optimizer(each)
        except TypeError as error:
            raise TypeError(f"optimizer[{i}]: {error}") from None
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
    cv: Any, X: Array, y: Array, weights: Array | None, net: MLP, root: np.random.SeedSequence
) -> list[Fold]:
    if y.ndim == 0:
        raise ValueError(f"y must have 1 or 2 dimensions, got shape {y.shape}")
    classes = LOSSES[net.loss].classes and y.ndim == 1 and y.dtype.kind in "biu"
    folds = check_folds(cv, len(y), y if classes else None, np.random.default_rng(root))
    for i, parts in enumerate(folds):
        for name, rows in zip(("train", "test"), parts, strict=True):
            if weights is not None and not weights[rows].any():
                raise ValueError(f"sample_weight is 0 for all {name} samples of fold {i}")
    return folds


def _planned(
    index: int,
    model: _Model,
    X: Array,
    y: Array,
    weights: Array | None,
    folds: list[Fold] | None,
    shared: dict[str, Any],
) -> list[_Fit]:
    """The model's fits: one, or one for each fold."""
    arguments = shared | {name: model.parameters[name] for name in FIT if name in model.parameters}
    for name in ("optimizer", "learning_rate"):
        arguments.pop(name, None)
    callbacks = fitting.check_callbacks(arguments.pop("callbacks"))
    fits = []
    parts: list[tuple[Array | None, Array | None]] = [*folds] if folds else [(None, None)]
    for train, test in parts:
        net, optimizer = model.net, model.optimizer
        if folds:
            net = copy.deepcopy(model.net)
            if optimizer is model.net.optimizer:
                optimizer = net.optimizer
        if isinstance(optimizer, Optimizer) and not (model.own and not folds):
            optimizer = optimizer_for(optimizer, net, model.net if folds else None)
        source, plan = net._plan(
            X,
            y,
            optimizer=optimizer,
            sample_weight=weights,
            callbacks=_copied(callbacks),
            steps_per_epoch=None,
            progress=False,
            rows=train,
            **arguments,
        )
        scored = None
        if test is not None:
            training = source.training()
            assert training is not None
            data = training[0]
            scored = Data(data.samples, data.targets, weights), test
        fits.append(_Fit(index, net, source, plan, scored))
    return fits


def _copied(callbacks: list[Any]) -> list[Any]:
    try:
        return copy.deepcopy(callbacks)
    except TypeError as error:
        raise TypeError(f"callbacks cannot be copied for each network: {error}") from None


def _check_checkpoints(fits: list[_Fit]) -> None:
    paths: set[str] = set()
    for fit in fits:
        for callback in fit.plan.callbacks:
            if isinstance(callback, Checkpoint):
                path = os.fspath(callback.path)
                if path in paths:
                    raise ValueError(
                        f"callbacks: several networks would be saved to {path!r}; give each a "
                        "Checkpoint with a path of its own"
                    )
                paths.add(path)


# --------------------------------------------------------------------- running


def _run(
    fits: list[_Fit],
    places: list[str],
    on_error: str,
    shown: bool | None,
    *,
    cross_validated: bool,
) -> None:
    """Run them all, the longest first, so that no core is left alone with one at the end."""
    order = sorted(fits, key=lambda fit: -fit.work)
    bar = Bar(shown, len(fits), unit="fits", description="fit_many")
    done = 0
    best: dict[str, float] = {}

    def finished(position: int, raised: BaseException | None) -> None:
        nonlocal done
        fit = order[position]
        if raised is not None:
            if on_error == "raise" or not isinstance(raised, Exception):
                if hasattr(raised, "add_note"):
                    raised.add_note(f"in the fit of {places[fit.model]}")
                raise raised
            fit.outcome.error = f"{type(raised).__name__}: {raised}"
        done += 1
        if bar.shown:
            row = fit.outcome.figures()
            name = default_figure(row)
            value = row.get(name, np.nan)
            best[f"best {name}"] = min(best.get(f"best {name}", np.inf), value)
            bar.to(done, **{k: v for k, v in best.items() if np.isfinite(v)})

    interrupted = True
    try:
        run_all([fit.run for fit in order], get_num_threads(), finished)
        bar.line()
        interrupted = False
    finally:
        bar.close(interrupted=interrupted)
        for fit in fits:
            fit.plan.look = None
