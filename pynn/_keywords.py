"""Arguments that a function does not take: the error names pynn's word for them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeVar

from pynn._names import suggestion

F = TypeVar("F", bound=Callable[..., Any])

# The value of a required argument that is not given: see `refuses_unknown`.
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>"})()

EARLY_STOPPING = "pass callbacks=[pynn.EarlyStopping('val_loss', patience=10)] to fit"
LAYER_SIZES = "pass layer_sizes to pynn.MLP, inputs and outputs included, such as [4, 100, 3]"
# Other libraries' keywords, and what takes their place here: the first of the arguments that the
# function has; a text with a space is said as it stands, where none of them is there.
PLACES: dict[str, tuple[str, ...]] = {
    "activation_function": ("activation",),
    "T_max": ("steps",),
    "alpha": ("l2", "rho", "quantile", "weight_decay", "final"),
    "amsgrad": ("no such variant exists here",),
    "baseline": ("no such option exists here",),
    "batch": ("batch_size",),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "beta": ("delta",),
    "betas": ("pass beta1= and beta2= to pynn.Adam",),
    "bs": ("batch_size",),
    "centered": ("no such variant exists here",),
    "clipnorm": ("clip_norm",),
    "clipvalue": ("clip_norm",),
    "class_weights": ("class_weight",),
    "cooldown": ("no such option exists here",),
    "criterion": ("loss",),
    "data": ("X",),
    "decay": ("weight_decay", "pass a schedule, such as pynn.InverseScaling, as the learning rate"),
    "decay_rate": ("factor",),
    "decay_steps": ("steps", "every"),
    "dampening": ("no such option exists here",),
    "device": ("pynn computes on the CPU",),
    "dropout_rate": ("dropout",),
    "early_stopping": (EARLY_STOPPING,),
    "eps": ("epsilon",),
    "epsilon": ("delta",),
    "eta": ("learning_rate",),
    "eta_min": ("final", "min_rate"),
    "eta0": ("learning_rate",),
    "eval_set": ("validation_data", "pass validation_data= to fit"),
    "features": ("X",),
    "file": ("path",),
    "filename": ("path",),
    "filepath": ("path",),
    "fit_intercept": ("bias",),
    "fname": ("path",),
    "gamma": ("factor",),
    "global_clipnorm": ("clip_norm",),
    "hidden": (LAYER_SIZES,),
    "hidden_layer_sizes": ("hidden", LAYER_SIZES),
    "hidden_sizes": ("hidden", LAYER_SIZES),
    "initial_epoch": ("a further call of fit continues the training",),
    "initial_learning_rate": ("learning_rate", "rate"),
    "index": ("layer",),
    "initializer": ("init",),
    "input": ("X",),
    "inputs": ("X",),
    "input_dim": (LAYER_SIZES,),
    "input_shape": (LAYER_SIZES,),
    "kernel_constraint": ("max_norm",),
    "kernel_initializer": ("init",),
    "kernel_regularizer": ("l2",),
    "l2_reg": ("l2",),
    "labels": ("y",),
    "layer_index": ("layer",),
    "layers": ("layer_sizes", "layer"),
    "learning_rate": (
        "learning_rate",
        "optimizer",
        "rate",
        "pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",
    ),
    "learning_rate_init": (
        "learning_rate",
        "pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",
    ),
    "loss_function": ("loss",),
    "lr": (
        "learning_rate",
        "rate",
        "pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",
    ),
    "max_lr": ("peak", "rate"),
    "max_epochs": ("epochs", "pass epochs= to fit"),
    "max_iter": ("epochs", "pass epochs= to fit"),
    "maximize": ("no such option exists here",),
    "metric": ("monitor", "metrics", "pass metrics= to fit"),
    "min_lr": ("min_rate", "minimum"),
    "n_epochs": ("epochs", "pass epochs= to fit"),
    "n_iter": ("epochs", "pass epochs= to fit"),
    "n_iter_no_change": ("patience",),
    "n_jobs": ("pynn.set_num_threads(n) sets the number of threads",),
    "nb_epoch": ("epochs", "pass epochs= to fit"),
    "nepochs": ("epochs", "pass epochs= to fit"),
    "nesterovs_momentum": ("nesterov",),
    "num_epochs": ("epochs", "pass epochs= to fit"),
    "optim": ("optimizer", "pass optimizer= to fit"),
    "nets": ("models",),
    "networks": ("models",),
    "out_activation": ("output_activation",),
    "penalty": ("l2",),
    "power_t": ("power",),
    "q": ("quantile",),
    "random_seed": ("seed",),
    "random_state": ("seed",),
    "rate": ("learning_rate",),
    "regularization": ("l2",),
    "restore_best_weights": ("restore_best",),
    "rng": ("seed",),
    "sample_weights": ("sample_weight",),
    "samples": ("X",),
    "save_best_only": ("best_only",),
    "save_weights_only": ("the file always holds all of the network",),
    "scoring": ("metrics",),
    "sizes": ("layer_sizes",),
    "solver": ("optimizer", "pass optimizer= to fit"),
    "start_from_epoch": ("no such option exists here",),
    "step_size": ("every",),
    "steps": ("steps_per_epoch",),
    "target": ("y",),
    "targets": ("y",),
    "tau": ("quantile",),
    "total_steps": ("steps",),
    "train": ("training",),
    "threshold": ("min_delta",),
    "tol": ("min_delta", "pass callbacks=[pynn.EarlyStopping('loss', min_delta=tol)] to fit"),
    "units": (LAYER_SIZES,),
    "use_bias": ("bias",),
    "validation_fraction": ("validation_split", "pass validation_split= to fit"),
    "val_data": ("validation_data", "pass validation_data= to fit"),
    "validation_steps": ("no such option exists here",),
    "verbose": ("progress", "pass progress=True to fit"),
    "warmup_steps": ("steps",),
    "warm_start": ("a further call of fit continues the training",),
    "weights": ("sample_weight", "init"),
    "workers": ("pynn.set_num_threads(n) sets the number of threads",),
}
# What other libraries' functions of these names take, and pynn's do without.
_PREDICTIONS = {
    "batch_size": "there is no need: it computes a few rows at a time",
    "callbacks": "it calls nothing",
    "max_queue_size": "there is no queue",
    "steps": "it goes through all of X",
    "use_multiprocessing": "pynn.set_num_threads(n) sets the number of threads",
    "verbose": "it shows no progress",
}
UNNEEDED: dict[str, dict[str, str]] = {
    "predict": _PREDICTIONS,
    "predict_proba": _PREDICTIONS,
    "score": _PREDICTIONS,
    "evaluate": _PREDICTIONS | {"return_dict": "it always gives a dict"},
    "hidden": _PREDICTIONS,
    "save": {
        "overwrite": "the file always takes the place of an older one",
        "save_format": "the path's end, .npz or .safetensors, says which",
        "include_optimizer": "the file always holds the optimizer's state",
    },
    "load": {
        "compile": "the optimizer is in the file",
        "custom_objects": "a file holds nothing but arrays and settings",
        "device": "pynn computes on the CPU",
        "map_location": "pynn computes on the CPU",
        "weights_only": "a file holds nothing but arrays and settings",
    },
}
# What belongs to another call than the one that got it.
ELSEWHERE = {
    "activation": "pass activation= to pynn.MLP, or to a layer of a pynn.Sequential",
    "batch_size": "pass batch_size= to fit",
    "bias": "pass bias= to pynn.MLP, or to a layer of a pynn.Sequential",
    "callbacks": "pass callbacks= to fit",
    "class_weight": "pass class_weight= to fit",
    "clip_norm": "pass an optimizer such as pynn.Adam(clip_norm=1.0)",
    "dropout": "pass dropout= to pynn.MLP, or give a pynn.Sequential a layer Dropout",
    "epochs": "pass epochs= to fit",
    "init": "pass init= to pynn.MLP, or to a layer of a pynn.Sequential",
    "l1": "pass l1= to pynn.MLP, or to a layer of a pynn.Sequential",
    "l2": "pass l2= to pynn.MLP, or to a layer of a pynn.Sequential",
    "layer_sizes": LAYER_SIZES,
    "loss": "pass loss= to pynn.MLP or pynn.Sequential",
    "min_delta": EARLY_STOPPING,
    "max_norm": "pass max_norm= to pynn.MLP, or to a layer of a pynn.Sequential",
    "metrics": "pass metrics= to fit",
    "monitor": EARLY_STOPPING,
    "momentum": "pass an optimizer such as pynn.SGD(0.003, momentum=0.9)",
    "optimizer": "pass optimizer= to fit",
    "output_activation": "pass output_activation= to pynn.MLP or pynn.Sequential",
    "patience": EARLY_STOPPING,
    "progress": "pass progress= to fit",
    "restore_best": EARLY_STOPPING,
    "sample_weight": "pass sample_weight= to fit",
    "seed": "pass seed= to pynn.MLP or pynn.Sequential",
    "shuffle": "pass shuffle= to fit",
    "validation_data": "pass validation_data= to fit",
    "validation_split": "pass validation_split= to fit",
    "weight_decay": "pass an optimizer such as pynn.AdamW(weight_decay=0.01)",
}


def refuses_unknown(function: F) -> F:
    """Hide a function's ``*excess`` and ``**unknown`` from its signature.

    The function passes them to `refuse`, and so it does with its required arguments: they get the
    default `MISSING`, which the signature does not show either. Otherwise Python's own error would
    come first, which tells only what is missing. A wrapper would be one more line in every
    traceback.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        The same object.
    """
    function.__signature__ = _Signature(function)  # type: ignore[attr-defined]
    code, defaults = function.__code__, function.__defaults__ or ()
    has_self = code.co_varnames[:1] == ("self",)
    required = code.co_argcount - has_self - len(defaults)
    function.__defaults__ = (*[MISSING] * required, *defaults)
    return function


class _Signature:
    """Stands for a function's `inspect.Signature`, made at its first use.

    `inspect` and the signatures would take a tenth of the time of ``import pynn``.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self._defaults = function, function.__defaults__

    @functools.cached_property
    def _made(self) -> Any:
        import inspect

        function = self._function
        # (`inspect.signature` would find this object again.)
        plain = _without_signature(function, self._defaults)
        parameters = inspect.Signature.from_callable(plain).parameters.values()
        several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        named = [p for p in parameters if p.kind not in several]
        returns = plain.__annotations__.get("return", inspect.Signature.empty)
        return inspect.Signature(named, return_annotation=returns)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """`inspect` tests for an instance of its class."""
        import inspect

        return inspect.Signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copies and pickles are of the signature itself."""
        return self._made.__reduce_ex__(protocol)

    def __str__(self) -> str:
        return str(self._made)

    def __repr__(self) -> str:
        return repr(self._made)

    def __eq__(self, other: object) -> bool:
        return bool(self._made == other)

    def __hash__(self) -> int:
        return hash(self._made)


def _without_signature(function: Any, defaults: Any) -> Any:
    """A function of the same parameters without a signature."""
    code, closure = function.__code__, function.__closure__
    plain = FunctionType(code, {}, function.__name__, defaults, closure)
    plain.__kwdefaults__, plain.__annotations__ = function.__kwdefaults__, function.__annotations__
    return plain


def refuse(
    unknown: dict[str, Any],
    function: Callable[..., Any],
    called: str | type,
    *required: Any,
    excess: tuple[Any, ...] = (),
    places: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Raise for arguments that a function does not take, or lacks.

    Parameters
    ----------
    unknown : dict
        The keywords that it does not take; empty where there are none.
    function : callable
        Decorated by `refuses_unknown`.
    called : str or type
        What the message calls it. A class: pynn's class among its bases, and the method.
    *required : object
        The values of its required arguments, in their order.
    excess : tuple
        Positional arguments after the last one that may be one.
    places : mapping, optional
        As for `place`.

    Raises
    ------
    TypeError
        Naming the first keyword and what takes its place, the keyword that the first positional
        argument too many needs, or what is missing.
    """
    if unknown:
        keyword = next(iter(unknown))
        own = UNNEEDED.get(function.__name__, {}).get(keyword)
        cure = place(keyword, arguments(function), places) if own is None else f": {own}"
        name = _name(called, function)
        raise TypeError(f"{name} got an unexpected keyword argument {keyword!r}{cure}")
    if excess:
        raise TypeError(_too_many(excess, function, _name(called, function)))
    for value in required:
        if value is MISSING:
            raise TypeError(_missing(required, function, _name(called, function)))


def _name(called: str | type, function: Callable[..., Any]) -> str:
    if isinstance(called, str):
        return called
    own = next(c.__name__ for c in called.__mro__ if c.__module__.partition(".")[0] == "pynn")
    return f"{own}.{function.__name__}()"


def _missing(required: tuple[Any, ...], function: Callable[..., Any], called: str) -> str:
    """Python's own words."""
    pairs = zip(arguments(function), required, strict=False)
    names = [repr(name) for name, value in pairs if value is MISSING]
    return f"{called} missing {_count(len(names), 'required positional argument')}: {_and(names)}"


def _too_many(excess: tuple[Any, ...], function: Callable[..., Any], called: str) -> str:
    names, keywords = arguments(function), function.__code__.co_kwonlyargcount
    positional, by_keyword = names[:-keywords], names[-keywords:]
    value = excess[0]
    chosen = _fitting(value, by_keyword, function.__annotations__)
    shown = repr(value) if type(value) in (bool, int, float, str) else ""
    return (
        f"{called} takes {_count(len(positional), 'positional argument')}"
        f"{''.join(f', {_and(positional)},' if positional else '')} "
        f"got {len(positional) + len(excess)}: write "
        f"{_and([f'{name}={shown}' for name in chosen or by_keyword], 'or')}"
    )


def _fitting(value: Any, names: Iterable[str], annotations: dict[str, str]) -> list[str]:
    """Those arguments that are annotated with the type of `value`."""
    if value is None:
        return []
    kinds = [each.__name__ for each in type(value).__mro__[:-1]]
    kinds += ["float"] * (type(value) is int) + ["Callable"] * callable(value) + ["ArrayLike"]
    for kind in kinds:
        if found := [name for name in names if kind in _types(annotations.get(name, ""))]:
            return found
    return []


def _types(annotation: str) -> list[str]:
    """The alternatives of an annotation, what is in brackets left out."""
    import re

    text = annotation.replace("LearningRate", "float | Schedule | Callable")
    while text != (text := re.sub(r"\[[^][]*\]", "", text)):
        pass
    return [each.strip() for each in text.split("|")]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _and(words: Sequence[str], between: str = "and") -> str:
    return f" {between} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def arguments(function: Callable[..., Any]) -> list[str]:
    """List the names of a function's arguments, `self` left out.

    Parameters
    ----------
    function : callable

    Returns
    -------
    list of str
    """
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [name for name in names if name != "self"]


def place(
    keyword: str, names: list[str], table: Mapping[str, tuple[str, ...]] | None = None
) -> str:
    """Say what takes a keyword's place, as the end of a message.

    Parameters
    ----------
    keyword : str
    names : list of str
        The arguments that there are.
    table : mapping, optional
        Another one in the place of `PLACES` and `ELSEWHERE`.

    Returns
    -------
    str
        Empty where nothing is known.
    """
    places = (PLACES if table is None else table).get(keyword, ())
    for each in places:
        if " " in each:
            return f": {each}"
        if each in names and each != keyword:
            return f"; pynn calls it {each!r}"
    for each in (keyword, *places) if table is None else ():
        if each in ELSEWHERE:
            return f": {ELSEWHERE[each]}"
    return suggestion(keyword, names)


@functools.cache
def foreign(name: str) -> bool:
    """Tell whether another library has a setting of this name."""
    return name in PLACES or name in ELSEWHERE
