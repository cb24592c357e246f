"""Keywords that a function does not take: the error names pynn's word for them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pynn._names import suggestion

F = TypeVar("F", bound=Callable[..., Any])

# Other libraries' keywords, and what takes their place here: the first of the arguments that the
# function has; a text with a space is said as it stands, where none of them is there.
PLACES: dict[str, tuple[str, ...]] = {
    "activation_function": ("activation",),
    "alpha": ("l2", "weight_decay"),
    "amsgrad": ("no such variant exists here",),
    "batch": ("batch_size",),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "betas": ("pass beta1= and beta2= to pynn.Adam",),
    "bs": ("batch_size",),
    "clipnorm": ("clip_norm",),
    "class_weights": ("class_weight",),
    "cooldown": ("no such option exists here",),
    "criterion": ("loss",),
    "decay": ("weight_decay", "pass a schedule, such as pynn.InverseScaling, as the learning rate"),
    "decay_rate": ("factor",),
    "decay_steps": ("steps", "every"),
    "device": ("pynn computes on the CPU",),
    "dropout_rate": ("dropout",),
    "early_stopping": ("pass callbacks=[pynn.EarlyStopping('val_loss')] to fit",),
    "eps": ("epsilon",),
    "eta": ("learning_rate",),
    "eta0": ("learning_rate",),
    "filepath": ("path",),
    "fit_intercept": ("bias",),
    "gamma": ("factor",),
    "global_clipnorm": ("clip_norm",),
    "hidden_layer_sizes": ("hidden", "layer_sizes"),
    "hidden_sizes": ("hidden", "layer_sizes"),
    "initial_learning_rate": ("learning_rate",),
    "initializer": ("init",),
    "kernel_constraint": ("max_norm",),
    "kernel_initializer": ("init",),
    "kernel_regularizer": ("l2",),
    "layers": ("layer_sizes",),
    "learning_rate": (
        "learning_rate",
        "optimizer",
        "pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",
    ),
    "learning_rate_init": (
        "learning_rate",
        "pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",
    ),
    "loss_function": ("loss",),
    "lr": (
        "learning_rate",
        "pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",
    ),
    "max_epochs": ("epochs", "pass epochs= to fit"),
    "max_iter": ("epochs", "pass epochs= to fit"),
    "maximize": ("no such option exists here",),
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
    "out_activation": ("output_activation",),
    "penalty": ("l2",),
    "power_t": ("power",),
    "random_seed": ("seed",),
    "random_state": ("seed",),
    "regularization": ("l2",),
    "restore_best_weights": ("restore_best",),
    "rng": ("seed",),
    "sample_weights": ("sample_weight",),
    "save_best_only": ("best_only",),
    "scoring": ("metrics",),
    "sizes": ("layer_sizes",),
    "solver": ("optimizer", "pass optimizer= to fit"),
    "start_from_epoch": ("no such option exists here",),
    "steps": ("steps_per_epoch",),
    "threshold": ("min_delta",),
    "tol": ("min_delta", "pass callbacks=[pynn.EarlyStopping('loss', min_delta=tol)] to fit"),
    "units": ("layer_sizes",),
    "use_bias": ("bias",),
    "validation_fraction": ("validation_split", "pass validation_split= to fit"),
    "validation_steps": ("no such option exists here",),
    "verbose": ("progress", "pass progress=True to fit"),
    "warm_start": ("a further call of fit continues the training",),
    "weights": ("sample_weight", "init"),
}
# What belongs to another call than the one that got it.
ELSEWHERE = {
    "activation": "pass activation= to pynn.MLP",
    "batch_size": "pass batch_size= to fit",
    "bias": "pass bias= to pynn.MLP",
    "callbacks": "pass callbacks= to fit",
    "class_weight": "pass class_weight= to fit",
    "clip_norm": "pass an optimizer such as pynn.Adam(clip_norm=1.0)",
    "dropout": "pass dropout= to pynn.MLP",
    "epochs": "pass epochs= to fit",
    "init": "pass init= to pynn.MLP",
    "l1": "pass l1= to pynn.MLP",
    "l2": "pass l2= to pynn.MLP",
    "layer_sizes": "pass layer_sizes to pynn.MLP",
    "loss": "pass loss= to pynn.MLP",
    "max_norm": "pass max_norm= to pynn.MLP",
    "metrics": "pass metrics= to fit",
    "momentum": "pass an optimizer such as pynn.SGD(0.1, momentum=0.9)",
    "optimizer": "pass optimizer= to fit",
    "output_activation": "pass output_activation= to pynn.MLP",
    "progress": "pass progress= to fit",
    "sample_weight": "pass sample_weight= to fit",
    "seed": "pass seed= to pynn.MLP",
    "shuffle": "pass shuffle= to fit",
    "validation_data": "pass validation_data= to fit",
    "validation_split": "pass validation_split= to fit",
    "weight_decay": "pass an optimizer such as pynn.AdamW(weight_decay=0.01)",
}


def refuses_unknown(function: F) -> F:
    """Hide a function's ``**unknown`` from its signature.

    The function passes them to `refuse`. A wrapper would be one more line in every traceback.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        The same object.
    """
    signature = inspect.signature(function)
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    return function


def refuse(unknown: dict[str, Any], function: Callable[..., Any], called: str) -> None:
    """Raise for the keywords that a function does not take.

    Parameters
    ----------
    unknown : dict
        Empty where there are none.
    function : callable
        Decorated by `refuses_unknown`.
    called : str
        What the message calls it.

    Raises
    ------
    TypeError
        Naming the first keyword and what takes its place.
    """
    if unknown:
        keyword = next(iter(unknown))
        names = [name for name in inspect.signature(function).parameters if name != "self"]
        raise TypeError(
            f"{called} got an unexpected keyword argument {keyword!r}{place(keyword, names)}"
        )


def place(keyword: str, names: list[str]) -> str:
    """Say what takes a keyword's place, as the end of a message.

    Parameters
    ----------
    keyword : str
    names : list of str
        The arguments that there are.

    Returns
    -------
    str
        Empty where nothing is known.
    """
    places = PLACES.get(keyword, ())
    for each in places:
        if " " in each:
            return f": {each}"
        if each in names and each != keyword:
            return f"; pynn calls it {each!r}"
    for each in (keyword, *places):
        if each in ELSEWHERE:
            return f": {ELSEWHERE[each]}"
    return suggestion(keyword, names)


@functools.cache
def foreign(name: str) -> bool:
    """Tell whether another library has a setting of this name."""
    return name in PLACES or name in ELSEWHERE
