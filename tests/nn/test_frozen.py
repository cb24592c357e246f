"""Losses and schedules behave as the frozen dataclasses of their settings would."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, make_dataclass

import numpy as np
import pytest

import pynn
from pynn.losses import LOSSES, check_loss
from pynn.optimizers import Rule

OBJECTS = [
    pynn.Constant(0.1),
    pynn.StepDecay(0.1, 10, 0.3),
    pynn.ExponentialDecay(0.1, 0.97, every=3),
    pynn.CosineDecay(0.1, 1000, 0.003),
    pynn.InverseScaling(0.1, 0.7),
    pynn.OneCycle(0.1, 1000),
    pynn.WarmUp(pynn.InverseScaling(0.1, 0.7), 10),
    pynn.ReduceOnPlateau(0.1, monitor="loss"),
    pynn.SoftmaxCrossEntropy(0.1),
    pynn.SigmoidCrossEntropy(0.1),
    pynn.Huber(0.5),
    pynn.Pinball(0.9),
    pynn.Pinball((0.1, 0.9)),
    check_loss("mse"),
    LOSSES["poisson"],
    Rule("adam", 0.9, 0.999, 1e-8, m=True, v=True),
]
each = pytest.mark.parametrize("value", OBJECTS, ids=repr)


def settings_of(value):
    return {name: getattr(value, name) for name in inspect.signature(type(value)).parameters}


def twin_of(value):
    return type(value)(**settings_of(value))


@each
def test_as_a_frozen_dataclass(value):
    """The settings are the constructor's parameters, in their order; repr and the rest follow."""
    settings = settings_of(value)
    model = make_dataclass(type(value).__qualname__, settings, frozen=True)
    expected = model(**settings)
    assert type(value).__match_args__ == expected.__match_args__
    assert repr(value) == repr(expected).replace(model.__qualname__, type(value).__qualname__)
    twin = twin_of(value)
    assert twin == value
    assert twin is not value
    assert value != expected
    assert value != tuple(settings.values())
    for name, before in settings.items():
        for change in (
            lambda name: setattr(value, name, 1),
            lambda name: setattr(expected, name, 1),
            lambda name: delattr(value, name),
            lambda name: delattr(expected, name),
        ):
            with pytest.raises(FrozenInstanceError, match=f"field '{name}'"):
                change(name)
        assert getattr(value, name) == before
    for refused in (value, expected):
        with pytest.raises(FrozenInstanceError, match="field 'rat'"):
            refused.rat = 1


@each
def test_copies_are_equal(value):
    copies = [copy.copy(value), copy.deepcopy(value), value.__replace__()]
    copies += [pickle.loads(pickle.dumps(value, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for other in copies:
        assert other == value
        assert type(other) is type(value)
        with pytest.raises(FrozenInstanceError):
            setattr(other, type(value).__match_args__[0], 1)


def test_hashes_follow_equality():
    hashable = [x for x in OBJECTS if not isinstance(x, pynn.ReduceOnPlateau)]
    assert len({*hashable, *map(twin_of, hashable)}) == len(hashable)
    assert hash(pynn.Huber(1)) == hash(pynn.Huber(1.0))
    # What it has observed belongs to it, and changes.
    with pytest.raises(TypeError, match="unhashable"):
        hash(pynn.ReduceOnPlateau(0.1))


def test_one_setting_is_replaced():
    assert pynn.StepDecay(0.1, 10).__replace__(rate=0.2) == pynn.StepDecay(0.2, 10)
    with pytest.raises(ValueError, match="rate must be in"):
        pynn.StepDecay(0.1, 10).__replace__(rate=-1)


def test_a_schedule_is_matched():
    match pynn.StepDecay(0.1, 10):
        case pynn.StepDecay(rate, every, factor):
            assert (rate, every, factor) == (0.1, 10, 0.1)


def test_a_subclass_has_attributes_of_its_own():
    class Halved(pynn.StepDecay):
        def __init__(self, rate):
            super().__init__(rate, 10)
            self.calls = 0

        def _rates(self, steps):
            self.calls += 1
            return super()._rates(steps) / 2

    halved = Halved(0.1)
    assert (halved(0), halved.calls) == (0.05, 1)
    assert Halved(0.1) == Halved(0.1) != Halved(0.2)
    with pytest.raises(FrozenInstanceError):
        halved.rate = 0.2


def test_a_class_with_arrays():
    class Table(pynn.Schedule):
        def __init__(self, rates):
            self.rates = rates

        def _rates(self, steps):
            return self.rates[steps.astype(int)]

    a, b = (Table(np.linspace(0.1, 0.01, 60)) for _ in range(2))
    assert (a == b, a != b, a in {a}) == (False, True, True)
    net = pynn.MLP([2, 1], loss="mse", seed=0)
    for schedule in (a, b):
        net.fit(np.ones((8, 2)), np.ones(8), epochs=3, optimizer="sgd", learning_rate=schedule)
    assert net.history["learning_rate"] == b.rates[:3].tolist()
