"""The table of a network's layers."""

import copy
import pickle

import numpy as np
import pytest

import pynn
from pynn.summary import Summary, summary


def table(text):
    """The cells of the printed table, by the columns' places in its header."""
    rules = [i for i, line in enumerate(text.splitlines()) if set(line) == {"-"}]
    header, *rows = (text.splitlines()[i] for i in (rules[0] + 1, *range(rules[1] + 1, rules[2])))
    names = [name for name in header.split("  ") if name]
    starts = [header.index(name) for name in names]
    # The last column is flush right: it begins where the one before it ends.
    starts[-1] = starts[-2] + len(names[-2])
    ends = [*starts[1:], len(header)]
    return [
        {name.strip(): row[a:b].strip() for name, a, b in zip(names, starts, ends, strict=True)}
        for row in rows
    ]


def test_printed_table():
    net = pynn.MLP([784, 300, 10], "tanh", seed=0)
    text = str(summary(net))
    assert text.splitlines()[0] == "MLP, loss softmax_cross_entropy, float32"
    assert table(text) == [
        {"layer": "input", "activation": "", "output shape": "(n, 784)", "parameters": "0"},
        {
            "layer": "hidden 0",
            "activation": "tanh",
            "output shape": "(n, 300)",
            "parameters": f"{784 * 300 + 300:,}",
        },
        {
            "layer": "output",
            "activation": "softmax",
            "output shape": "(n, 10)",
            "parameters": f"{300 * 10 + 10:,}",
        },
    ]
    assert len({len(line) for line in text.splitlines()[1:7]}) == 1


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_totals_are_those_of_the_arrays(bias, dtype):
    net = pynn.MLP([5, 7, 4, 2], ["relu", "tanh"], "mse", bias=bias, dtype=dtype, seed=0)
    result = summary(net)
    arrays = net.weights + net.biases
    assert result.parameters == sum(a.size for a in arrays)
    padding = result.memory - sum(a.nbytes for a in arrays)
    assert 0 <= padding <= 64 * len(net.weights)
    assert result.optimizer_memory == 0
    assert f"{sum(w.size for w in net.weights)} weights" in result
    assert f"{sum(b.size for b in net.biases)} biases" in result
    assert f"{result.memory:,} bytes" in result


@pytest.mark.parametrize(
    ("optimizer", "moments"), [(pynn.SGD(), 0), (pynn.SGD(momentum=0.9), 1), (pynn.Adam(), 2)]
)
def test_memory_of_the_optimizer(optimizer, moments):
    net = pynn.MLP([5, 7, 2], loss="mse", seed=0)
    net.optimizer = optimizer
    assert summary(net).optimizer_memory == 0
    for _ in range(2):
        net.train_on_batch(np.ones((3, 5)), np.ones((3, 2)), optimizer)
    result = summary(net)
    # Moments of the parameters, and a count of steps.
    assert 0 <= result.optimizer_memory - moments * result.memory <= 64
    assert f"{optimizer}, 2 steps: {result.optimizer_memory:,} bytes" in result.replace("  ", " ")


def test_settings_have_columns_where_they_are_in_use():
    net = pynn.MLP([4, 6, 3], dropout=[0.2, 0.5], l2=[1e-4, 0.0], max_norm=[3.0, 0.0], seed=0)
    rows = table(str(summary(net)))
    assert [row["dropout"] for row in rows] == ["0.2", "0.5", ""]
    assert [row["L2"] for row in rows] == ["", "0.0001", ""]
    assert [row["max norm"] for row in rows] == ["", "3", ""]
    assert all("L1" not in row for row in rows)


def test_a_network_without_hidden_layers():
    rows = table(str(summary(pynn.MLP([3, 1], loss="sigmoid_cross_entropy"))))
    assert [row["layer"] for row in rows] == ["input", "output"]


def test_it_is_a_string_that_prints_itself():
    result = summary(pynn.MLP([4, 6, 3], seed=0))
    assert isinstance(result, str)
    assert repr(result) == str(result) == f"{result}"
    for other in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert type(other) is Summary
        assert other == result
        assert other.rows == result.rows


def test_notebooks_get_a_table():
    html = summary(pynn.MLP([4, 6, 3], seed=0))._repr_html_()
    assert html.count("<tr>") == 4
    for part in ("<th>layer</th>", "<td>hidden 0</td>", "<td>(n, 6)</td>", "51 parameters"):
        assert part in html


def test_something_else_is_refused():
    with pytest.raises(TypeError, match=r"net must be a network of pynn's, got list"):
        summary([4, 6, 3])
