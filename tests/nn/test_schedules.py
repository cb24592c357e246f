"""Schedules give the rates of torch's schedulers, or of their formulas."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, assert_close, assert_same_bits, make_samples

import pynn
from pynn.history import record_epoch
from pynn.schedules import (
    SCHEDULES,
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    WarmUp,
    schedule_from_config,
)

STEPS = 60


def torch_rates(make, steps=STEPS, rate=0.3):
    """The rates of a torch scheduler's first `steps` steps."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def one_cycle(steps, **options):
    return lambda s, o: s.OneCycleLR(o, 0.5, steps, cycle_momentum=False, **options)


def warm_up(steps, after):
    def make(s, o):
        warm = s.LinearLR(o, start_factor=1 / (steps + 1), total_iters=steps)
        return s.SequentialLR(o, [warm, after(s, o)], milestones=[steps])

    return make


# pynn's schedule, torch's, and for how many steps the two are the same.
AS_TORCH = {
    "constant": (Constant(0.3), lambda s, o: s.ConstantLR(o, factor=1.0), STEPS),
    "step": (StepDecay(0.3, 7, 0.5), lambda s, o: s.StepLR(o, 7, gamma=0.5), STEPS),
    "step 0.1": (StepDecay(0.3, 10), lambda s, o: s.StepLR(o, 10), STEPS),
    "exponential": (ExponentialDecay(0.3, 0.9), lambda s, o: s.ExponentialLR(o, 0.9), STEPS),
    "rising": (ExponentialDecay(0.3, 1.2), lambda s, o: s.ExponentialLR(o, 1.2), STEPS),
    "cosine": (CosineDecay(0.3, 59), lambda s, o: s.CosineAnnealingLR(o, 59), STEPS),
    "cosine, final": (
        CosineDecay(0.3, 59, final=0.02),
        lambda s, o: s.CosineAnnealingLR(o, 59, eta_min=0.02),
        STEPS,
    ),
    "one cycle": (OneCycle(0.5, 60), one_cycle(60), STEPS),
    "one cycle, short": (OneCycle(0.5, 7), one_cycle(7), 7),
    "one cycle, settings": (
        OneCycle(0.5, 60, pct_start=0.45, div_factor=10, final_div_factor=100),
        one_cycle(60, pct_start=0.45, div_factor=10, final_div_factor=100),
        STEPS,
    ),
    "warm-up": (WarmUp(0.3, 9), lambda s, o: s.LinearLR(o, 1 / 10, total_iters=9), STEPS),
    "warm-up, exponential": (
        WarmUp(ExponentialDecay(0.3, 0.9), 12),
        warm_up(12, lambda s, o: s.ExponentialLR(o, 0.9)),
        STEPS,
    ),
    "warm-up, step": (
        WarmUp(StepDecay(0.3, 5, 0.5), 1),
        warm_up(1, lambda s, o: s.StepLR(o, 5, gamma=0.5)),
        STEPS,
    ),
}


@pytest.mark.parametrize("case", AS_TORCH)
def test_rates_of_torch(case):
    schedule, make, steps = AS_TORCH[case]
    np.testing.assert_allclose(schedule(np.arange(steps)), torch_rates(make, steps), rtol=1e-12)


FORMULAS = {
    "exponential": (ExponentialDecay(0.3, 0.5, every=20), lambda t: 0.3 * 0.5 ** (t / 20)),
    "inverse": (InverseScaling(0.3), lambda t: 0.3 / math.sqrt(t + 1)),
    "inverse cube": (InverseScaling(0.3, 3), lambda t: 0.3 / (t + 1) ** 3),
    "cosine": (
        CosineDecay(0.3, 40, 0.1),
        lambda t: 0.2 + 0.1 * math.cos(math.pi * t / 40) if t < 40 else 0.1,
    ),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_rates_of_the_formula(case):
    schedule, formula = FORMULAS[case]
    expected = [formula(t) for t in range(100)]
    np.testing.assert_allclose(schedule(np.arange(100)), expected, rtol=1e-13)


def test_inverse_scaling_is_scikit_learn_s():
    sgd = pytest.importorskip("sklearn.neural_network._stochastic_optimizers").SGDOptimizer(
        [np.zeros(1)], 0.3, "invscaling", power_t=0.4
    )
    expected = []
    for t in range(50):
        sgd.iteration_ends(t)
        expected.append(sgd.learning_rate)
    np.testing.assert_allclose(InverseScaling(0.3, 0.4)(np.arange(50)), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        (CosineDecay(0.3, 7, final=0.01), 0.01),
        (OneCycle(0.3, 7, div_factor=10, final_div_factor=10), 0.003),
        (WarmUp(CosineDecay(0.3, 7), 5), 0.0),
    ],
)
def test_the_end_stays(schedule, last):
    rates = schedule(np.arange(6, 1000))
    assert rates[-1] == pytest.approx(last, abs=0)
    assert np.all(rates[10:] == rates[-1])


@pytest.mark.parametrize("options", [{"pct_start": 0.0}, {"pct_start": 0.1}, {"pct_start": 0.9}])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_one_cycles_of_few_steps(steps, options):
    rates = OneCycle(0.5, steps, **options)(np.arange(steps + 3))
    assert np.all((rates >= 0.5 / 25e4 * (1 - 1e-15)) & (rates <= 0.5))
    assert rates[steps:] == pytest.approx(0.5 / 25e4, abs=0)
    assert np.all(np.diff(rates[np.argmax(rates) :]) <= 0)


EACH = {
    "Constant": Constant(0.1),
    "StepDecay": StepDecay(0.1, 10, 0.3),
    "ExponentialDecay": ExponentialDecay(0.1, 0.97, every=3),
    "CosineDecay": CosineDecay(0.1, 1000, 0.003),
    "InverseScaling": InverseScaling(0.1, 0.7),
    "OneCycle": OneCycle(0.1, 1000),
    "WarmUp": WarmUp(InverseScaling(0.1, 0.7), 10),
    "ReduceOnPlateau": ReduceOnPlateau(0.1, monitor="loss"),
}
each = pytest.mark.parametrize("name", EACH)


def test_each_is_tested():
    assert EACH.keys() == SCHEDULES.keys()


@each
def test_rates_do_not_depend_on_how_many_are_asked_for(name):
    """Several fits in a row, or single mini-batches, have the bits of one fit."""
    schedule = EACH[name]
    whole = schedule(np.arange(1100))
    assert (whole.dtype, whole.shape) == (np.float64, (1100,))
    for size in (1, 2, 7, 333):
        pieces = [schedule(np.arange(i, min(i + size, 1100))) for i in range(0, 1100, size)]
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert [schedule(t) for t in range(0, 1100, 37)] == whole[::37].tolist()


@each
def test_steps_of_any_shape(name):
    schedule = EACH[name]
    assert type(schedule(3)) is float
    assert type(schedule(np.int16(3))) is float
    assert schedule(np.array(3)) == schedule(3)
    assert schedule(np.zeros((0,), int)).shape == (0,)
    steps = np.array([[7, 0, 3], [4, 4, 2]], np.uint8)
    rates = schedule(steps)
    assert rates.shape == (2, 3)
    assert rates.ravel().tolist() == [schedule(int(t)) for t in steps.ravel()]
    assert schedule(10**15) >= 0


@each
@pytest.mark.parametrize(
    ("step", "exception"),
    [
        (-1, ValueError),
        (np.array([3, -2]), ValueError),
        (0.5, TypeError),
        ("3", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_steps_that_are_none(name, step, exception):
    with pytest.raises(exception, match="step must be"):
        EACH[name](step)


@each
def test_round_trips(name):
    schedule = EACH[name]
    copies = [
        schedule_from_config(schedule.get_config()),
        schedule_from_config(json.loads(json.dumps(schedule.get_config()))),
        pickle.loads(pickle.dumps(schedule)),
        copy.deepcopy(schedule),
        eval(repr(schedule), dict(SCHEDULES)),
    ]
    for twin in copies:
        assert twin == schedule
        assert repr(twin) == repr(schedule)
        np.testing.assert_array_equal(twin(np.arange(50)), schedule(np.arange(50)))


@each
def test_equality(name):
    schedule = EACH[name]
    assert all(schedule != other for n, other in EACH.items() if n != name)
    config = schedule.get_config()
    config.pop("state", None)
    for key, value in config.items():
        if isinstance(value, int):
            assert schedule_from_config({**config, key: value + 1}) != schedule
        elif isinstance(value, float):
            assert schedule_from_config({**config, key: value * 0.9 + 1e-3}) != schedule


def test_arguments_are_immutable():
    for schedule in EACH.values():
        with pytest.raises(AttributeError):
            schedule.rate = 0.5


def test_numpy_arguments_become_python_s():
    config = WarmUp(StepDecay(np.float32(0.5), np.int64(3), np.float64(0.25)), np.uint8(4))
    json.dumps(config.get_config())
    assert config == WarmUp(StepDecay(0.5, 3, 0.25), 4)


# ------------------------------------------------------------------ plateaus


def history_of(**figures):
    """A history and a function that records the next epoch's figures in it."""
    history = pynn.History()
    for values in zip(*figures.values(), strict=True):
        record_epoch(history, **dict(zip(figures, values, strict=True)))
        yield history


LOSSES = [
    5, 4, 4.1, 3.99, 3.98, 3.5, 3.495, np.nan, 3.6, 3.7, 3.3, 3.3, 3.3, 3.3, 3.3, 3.3, 3.0, 2.9,
    np.inf, 3, 3, 3, 3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
]  # fmt: skip


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("min_delta", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("min_rate", [0.0, 0.05])
def test_plateaus_of_torch(mode, min_delta, patience, min_rate):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience, min_delta, "abs", min_lr=min_rate, eps=0
    )
    schedule = ReduceOnPlateau(0.3, 0.5, patience, min_delta, min_rate, "metric", mode)
    sign = 1 if mode == "min" else -1
    rates = []
    for history in history_of(metric=[sign * x for x in LOSSES]):
        schedule.observe(history)
        scheduler.step(history["metric"][-1])
        rates.append(optimizer.param_groups[0]["lr"])
        assert schedule.current_rate == rates[-1]
        assert schedule(0) == rates[-1]
        assert schedule(np.arange(3)).tolist() == [rates[-1]] * 3
    assert len(set(rates)) > 2


def test_a_plateau_s_state_is_kept():
    whole = ReduceOnPlateau(0.3, 0.5, 2, monitor="loss")
    piece = ReduceOnPlateau(0.3, 0.5, 2, monitor="loss")
    for history in history_of(loss=[x for x in LOSSES if np.isfinite(x)]):
        whole.observe(history)
        piece.observe(history)
        assert piece == whole
        text = json.dumps(piece.get_config(), allow_nan=False)
        piece = schedule_from_config(json.loads(text))
    assert whole.current_rate < 0.1
    assert piece == whole
    assert whole != ReduceOnPlateau(0.3, 0.5, 2, monitor="loss")
    twin = copy.deepcopy(whole)
    twin.observe(history)
    assert twin != whole


def test_warm_up_passes_on_what_is_observed():
    schedule = WarmUp(ReduceOnPlateau(0.4, 0.5, patience=0, monitor="loss"), 3)
    fresh = schedule.get_config()
    for history in history_of(loss=[1, 1, 1]):
        schedule.observe(history)
    assert schedule(np.arange(5)).tolist() == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert schedule_from_config(json.loads(json.dumps(schedule.get_config()))) == schedule
    assert schedule_from_config(fresh) != schedule
    for other in EACH.values():
        other.observe(history)  # most do not look


def test_a_figure_that_is_not_recorded():
    schedule = ReduceOnPlateau(0.1)
    (history,) = history_of(loss=[1], seconds=[2])
    with pytest.raises(ValueError, match=r"'val_loss' is not recorded, but loss, seconds: is ther"):
        schedule.observe(history)
    assert schedule == ReduceOnPlateau(0.1)


# ------------------------------------------------------------------- training


@pytest.mark.parametrize(
    "schedule",
    [WarmUp(CosineDecay(0.5, 40), 10), lambda t: 0.5 / (t + 1), InverseScaling(0.5)],
    ids=["WarmUp", "callable", "InverseScaling"],
)
@pytest.mark.parametrize("way", ["fit", "batches"])
def test_every_update_has_its_rate(schedule, way):
    """Against NumPy, over fits of several epochs and a ragged last mini-batch."""
    net = pynn.MLP([7, 12, 4], "tanh", dtype="float64", seed=0)
    twin = NumpyMLP(net)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    sgd = pynn.SGD(schedule, momentum=0.8)
    first_rates = []
    t = 0
    for _ in range(4):
        first_rates.append(schedule(t))
        for i in range(0, 50, 15):
            twin.train_on_batch(x[i : i + 15], y[i : i + 15], schedule(t), 0.8)
            t += 1
    if way == "fit":
        recorded = []
        for epochs in (1, 3):
            history = net.fit(x, y, epochs=epochs, batch_size=15, optimizer=sgd, shuffle=False)
            recorded += history["learning_rate"]
        assert recorded == first_rates
    else:
        for _ in range(4):
            assert sgd.current_rate(net) == first_rates.pop(0)
            for i in range(0, 50, 15):
                net.train_on_batch(x[i : i + 15], y[i : i + 15], sgd)
    assert_close([*net.weights, *net.biases], twin, 1e-11)


def test_adam_with_a_schedule_is_torch_s():
    torch = pytest.importorskip("torch")
    net = pynn.MLP([7, 12, 4], "tanh", dtype="float64", seed=0)
    twin = NumpyMLP(net)
    x, y = make_samples(net.loss, 50, 7, 4, labels=True)
    tensors = [torch.from_numpy(p) for p in twin.parameters]  # of the same memory
    optimizer = torch.optim.AdamW(tensors, lr=0.02, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for _ in range(40):
        for i in range(0, 50, 10):
            gradients = twin.gradients(x[i : i + 10], y[i : i + 10])
            for tensor, g in zip(tensors, gradients, strict=True):
                tensor.grad = torch.from_numpy(np.ascontiguousarray(g))
            optimizer.step()
            scheduler.step()
    net.fit(
        x,
        y,
        epochs=40,
        batch_size=10,
        optimizer=pynn.AdamW(CosineDecay(0.02, 200), weight_decay=0.1),
        shuffle=False,
    )
    assert_close([*net.weights, *net.biases], twin, 1e-10)


def test_a_constant_schedule_has_the_bits_of_the_number():
    x, y = make_samples("mse", 50, 7, 4)
    nets = [pynn.MLP([7, 12, 4], loss="mse", seed=0) for _ in range(3)]
    for net, rate in zip(nets, (0.1, Constant(0.1), lambda _: 0.1), strict=True):
        net.fit(x, y, epochs=3, batch_size=7, optimizer=pynn.SGD(rate, 0.9))
    assert_same_bits(nets[0], nets[1])
    assert_same_bits(nets[0], nets[2])


# --------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "exception", "says"),
    [
        (lambda: Constant(0), ValueError, ["rate", "(0, inf)", "0"]),
        (lambda: Constant(None), TypeError, ["rate", "None"]),
        (lambda: StepDecay(-1, 5), ValueError, ["rate", "-1"]),
        (lambda: StepDecay(1, 0), ValueError, ["every", "0"]),
        (lambda: StepDecay(1, 2.5), TypeError, ["every", "2.5"]),
        (lambda: StepDecay(1, 5, 0), ValueError, ["factor", "0"]),
        (lambda: ExponentialDecay(1, np.nan), ValueError, ["factor", "nan"]),
        (lambda: ExponentialDecay(1, 0.5, -1), ValueError, ["every", "-1"]),
        (lambda: CosineDecay(np.inf, 5), ValueError, ["rate", "inf"]),
        (lambda: CosineDecay(1, 0), ValueError, ["steps", "0"]),
        (lambda: CosineDecay(1, 5, -0.1), ValueError, ["final", "-0.1"]),
        (lambda: InverseScaling(1, 0), ValueError, ["power", "0"]),
        (lambda: OneCycle("1", 5), TypeError, ["peak", "'1'"]),
        (lambda: OneCycle(1, 0), ValueError, ["steps", "0"]),
        (lambda: OneCycle(1, 5, pct_start=1), ValueError, ["pct_start", "[0, 1)", "1"]),
        (lambda: OneCycle(1, 5, div_factor=0), ValueError, ["div_factor", "0"]),
        (lambda: OneCycle(1, 5, final_div_factor=-1), ValueError, ["final_div_factor", "-1"]),
        (lambda: WarmUp(0, 5), ValueError, ["schedule", "0"]),
        (lambda: WarmUp("cosine", 5), TypeError, ["schedule", "'cosine'"]),
        (lambda: WarmUp(lambda t: 0.1, 5), TypeError, ["schedule", "function"]),
        (lambda: WarmUp(Constant, 5), TypeError, ["schedule", "Constant"]),
        (lambda: WarmUp(0.1, 0), ValueError, ["steps", "0"]),
        (lambda: ReduceOnPlateau(0), ValueError, ["rate", "0"]),
        (lambda: ReduceOnPlateau(1, factor=1), ValueError, ["factor", "(0, 1)", "1"]),
        (lambda: ReduceOnPlateau(1, patience=-1), ValueError, ["patience", "-1"]),
        (lambda: ReduceOnPlateau(1, min_delta=-1), ValueError, ["min_delta", "-1"]),
        (lambda: ReduceOnPlateau(1, min_rate=-1), ValueError, ["min_rate", "-1"]),
        (lambda: ReduceOnPlateau(1, min_rate=2), ValueError, ["min_rate", "1", "2"]),
        (lambda: ReduceOnPlateau(1, monitor=len), TypeError, ["monitor", "len"]),
        (lambda: ReduceOnPlateau(1, mode="up"), ValueError, ["mode", "auto", "'up'"]),
        (lambda: ReduceOnPlateau(1, monitor="size"), ValueError, ["mode", "'size'"]),
        (lambda: schedule_from_config("Constant"), TypeError, ["config", "'Constant'"]),
        (lambda: schedule_from_config({}), TypeError, ["name", "None"]),
        (lambda: schedule_from_config({"name": "Cos"}), ValueError, ["CosineDecay", "'Cos'"]),
        (lambda: schedule_from_config({"name": "Constant"}), ValueError, ["lacks 'rate'"]),
        (
            lambda: schedule_from_config({"name": "Constant", "rate": 1, "power": 2}),
            ValueError,
            ["Constant", "'power'"],
        ),
        (
            lambda: schedule_from_config({"name": "Constant", "rate": 1, "state": {}}),
            ValueError,
            ["Constant", "state"],
        ),
        (
            lambda: schedule_from_config({"name": "Constant", "rate": -1}),
            ValueError,
            ["rate", "-1"],
        ),
        (
            lambda: schedule_from_config({"name": "WarmUp", "schedule": {"rate": 1}, "steps": 1}),
            TypeError,
            ["name", "None"],
        ),
        (
            lambda: schedule_from_config({"name": "ReduceOnPlateau", "rate": 1, "state": 3}),
            ValueError,
            ["state", "3"],
        ),
        (
            lambda: schedule_from_config(
                {
                    "name": "ReduceOnPlateau",
                    "rate": 1,
                    "state": {"rate": 1, "best": None, "wait": -1},
                }
            ),
            ValueError,
            ["state['wait']", "-1"],
        ),
    ],
)
def test_errors(make, exception, says):
    with pytest.raises(exception) as caught:
        make()
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)


class Own(Schedule):
    def _rates(self, steps):
        return 0.1 + 0 * steps


def test_a_class_of_ones_own_is_not_written():
    assert Own()(3) == 0.1
    for schedule in (Own(), WarmUp(Own(), 5)):
        with pytest.raises(ValueError, match="Own is not one of pynn's schedules"):
            schedule.get_config()


def test_the_schedule_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Schedule()
