"""Networks from and for PyTorch, compared with its outputs."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from layer_cases import CASES, layer_kinds, make_case

import pynn
from pynn._types import ACTIVATIONS, OUTPUT_ACTIVATIONS
from pynn.convert import from_torch, to_torch
from pynn.convert._build import dense_layers
from pynn.formats import torch as conversion

torch = pytest.importorskip("torch")
nn = torch.nn

DTYPES = ["float32", "float64"]
LOSSES = ["softmax_cross_entropy", "sigmoid_cross_entropy", "mse"]
X = np.random.default_rng(1).normal(size=(9, 5))


def outputs(module, x=X, dtype="float32"):
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(x, dtype))).numpy()


# ------------------------------------------------------------------ the table


def test_every_activation_has_a_module_that_is_read_as_it():
    assert set(conversion.ACTIVATIONS) == {*ACTIVATIONS, *OUTPUT_ACTIVATIONS}
    assert set(conversion.ACTIVATIONS) >= set(pynn.ops.ACTIVATIONS)
    for name in conversion.ACTIVATIONS:
        for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
            part = conversion.make_activation(name, dtype)
            layers = conversion.read_module(nn.Sequential(nn.Linear(2, 2), part)).layers
            read = [layer.config["name"] for layer in layers if layer.kind == "Activation"]
            assert read == [name] * (name != "identity")


def test_every_kind_of_layer_is_written_and_read_as_it(make_layers):
    spec = make_layers(output="softmax", dropout=(0.1, 0.0, 0.5))
    read = conversion.read_module(conversion.make_module(spec)).layers
    for new, old in zip(read, spec.layers, strict=True):
        assert (new.kind, new.output_shape, new.config) == (old.kind, old.output_shape, old.config)
        for role, array in old.arrays.items():
            np.testing.assert_array_equal(new.arrays[role], array)
    flatten = conversion.read_module(nn.Sequential(nn.Flatten(), nn.Linear(2, 2))).layers[0]
    assert type(conversion.make_module(replace(spec, layers=(flatten,)))[0]) is nn.Flatten


def test_a_layer_that_torch_cannot_express_is_named(make_layers):
    spec = make_layers()
    odd = replace(spec.layers[0], kind="Odd")
    with pytest.raises(ValueError, match="torch cannot express the layer Odd; it has Dense, Drop"):
        conversion.make_module(replace(spec, layers=(odd,)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ACTIVATIONS, *OUTPUT_ACTIVATIONS])
def test_modules_compute_the_activations(make_layers, forward, assert_close, name, dtype):
    hidden = name if name in ACTIVATIONS else "tanh"
    layers = make_layers(hidden=hidden, output=name, dtype=dtype)
    module = conversion.make_module(layers, logits=False)
    assert_close(outputs(module, dtype=dtype), forward(layers, X.astype(dtype)))


def test_softplus_is_pynns_above_torchs_threshold():
    for dtype in DTYPES:
        module = conversion.make_activation("softplus", np.dtype(dtype))
        x = np.linspace(-50, 60, 2000).astype(dtype)
        np.testing.assert_allclose(outputs(module, x, dtype), pynn.softplus(x), rtol=1e-6)
        if dtype == "float64":
            np.testing.assert_allclose(
                outputs(module, x, dtype), pynn.softplus(x), rtol=1e-14, atol=0
            )


# ------------------------------------------------------------------- to torch


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", pynn.ops.ACTIVATIONS)
def test_to_torch_computes_the_networks_outputs(assert_close, name, loss, bias, dtype):
    net = pynn.MLP([5, 7, 6, 3], name, loss, bias=bias, dtype=dtype, seed=0)
    for b in net.biases:
        b[...] = np.linspace(-1, 1, len(b))
    module = to_torch(net)
    assert not module.training
    assert_close(outputs(module, dtype=dtype), net(X.astype(dtype)))


def test_to_torch_takes_copies_and_draws_nothing():
    net = pynn.MLP([5, 3], seed=0)
    state = torch.random.get_rng_state()
    module = to_torch(net)
    assert torch.equal(torch.random.get_rng_state(), state)
    before = outputs(module)
    for array in (*net.weights, *net.biases):
        array[...] = 9
    np.testing.assert_array_equal(outputs(module), before)
    assert all(p.requires_grad and p.is_contiguous() for p in module.parameters())


@pytest.mark.parametrize(
    ("loss", "torch_loss"),
    [
        ("softmax_cross_entropy", nn.CrossEntropyLoss()),
        ("sigmoid_cross_entropy", nn.BCEWithLogitsLoss()),
    ],
)
def test_logits_are_what_torchs_losses_take(loss, torch_loss):
    net = pynn.MLP([5, 4, 3], "tanh", loss, dtype="float64", seed=0)
    module = to_torch(net, logits=True)
    if loss == "softmax_cross_entropy":
        y = np.arange(9) % 3
        target, factor = torch.from_numpy(y), 1
    else:
        y = (np.arange(27).reshape(9, 3) % 2).astype(float)
        target, factor = torch.from_numpy(y), 3  # torch's is a mean over outputs too
    result = torch_loss(module(torch.from_numpy(X)), target)
    result.backward()
    expected, dW, db = net.gradients(X, y)
    np.testing.assert_allclose(result.item() * factor, expected, rtol=1e-12)
    for linear, dw, d in zip([module[0], module[2]], dW, db, strict=True):
        np.testing.assert_allclose(linear.weight.grad.numpy().T * factor, dw, atol=1e-13)
        np.testing.assert_allclose(linear.bias.grad.numpy() * factor, d, atol=1e-13)


def test_dropout_is_where_the_network_has_it(make_layers):
    layers = make_layers(hidden="relu", dropout=(0.1, 0.0, 0.5))
    module = conversion.make_module(layers, logits=False)
    kinds = [type(part) for part in module]
    assert kinds == [
        nn.Dropout,
        nn.Linear,
        nn.ReLU,
        nn.Linear,
        nn.ReLU,
        nn.Dropout,
        nn.Linear,
    ]
    assert (module[0].p, module[5].p) == (0.1, 0.5)
    np.testing.assert_array_equal(outputs(module), outputs(module))


def test_a_module_with_exp_can_be_pickled(make_layers):
    module = conversion.make_module(make_layers(output="exp"), logits=False)
    copy = pickle.loads(pickle.dumps(module))
    assert type(copy[-1]) is pynn.convert.torch.Exp
    np.testing.assert_array_equal(outputs(copy), outputs(module))
    with pytest.raises(AttributeError, match="Exq"):
        _ = pynn.convert.torch.Exq


def test_errors_of_to_torch():
    with pytest.raises(TypeError, match=r"net must be a pynn\.MLP, got list"):
        to_torch([])
    with pytest.raises(TypeError, match="logits must be True or False"):
        to_torch(pynn.MLP([2, 2]), logits=1)


# ----------------------------------------------------------------- from torch


def sequence(*middle, dtype=None):
    torch.manual_seed(0)
    parts = []
    for i, part in enumerate(middle):
        parts += [nn.Linear((5, 7, 6, 4)[i], (7, 6, 4, 3)[i], dtype=dtype), part]
    last = (5, 7, 6, 4)[len(middle)]
    return nn.Sequential(*parts, nn.Linear(last, 3, dtype=dtype)).eval()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", pynn.ops.ACTIVATIONS)
def test_from_torch_computes_the_modules_outputs(assert_close, name, dtype):
    kind = np.dtype(dtype)
    parts = [conversion.make_activation(name, kind) for _ in range(2)]
    module = sequence(*parts, dtype=getattr(torch, dtype))
    net = from_torch(module)
    assert net.activations == (name, name, "identity")
    assert (net.loss, net.dtype, net.layer_sizes) == ("squared_error", kind, (5, 7, 6, 3))
    assert_close(net(X.astype(dtype)), outputs(module, dtype=dtype))


def test_every_activation_is_read_where_it_is():
    make, kind = conversion.make_activation, np.dtype("float32")
    parts = [(nn.Linear(2, 2), make(name, kind)) for name in ACTIVATIONS]
    module = nn.Sequential(
        *(part for pair in parts for part in pair), nn.Linear(2, 2), nn.Softmax(1)
    )
    read = [activation for _, activation in conversion.read_module(module).steps()]
    assert read == [*ACTIVATIONS, "softmax"]


@pytest.mark.parametrize(
    ("end", "loss", "expected_loss", "expected_output"),
    [
        (None, None, "squared_error", "identity"),
        (nn.Identity(), "mse", "mse", "identity"),
        (nn.Tanh(), None, "squared_error", "tanh"),
        (nn.Tanh(), "mse", "mse", "tanh"),
        (nn.Softmax(-1), "mse", "mse", "softmax"),
        (nn.Softplus(), "poisson", "poisson", "softplus"),
        (conversion.own_module("Exp")(), None, "poisson", "exp"),
        (nn.Softmax(-1), None, "softmax_cross_entropy", "softmax"),
        (nn.Softmax(1), "softmax_cross_entropy", "softmax_cross_entropy", "softmax"),
        (None, "softmax_cross_entropy", "softmax_cross_entropy", "softmax"),
        (nn.Sigmoid(), None, "sigmoid_cross_entropy", "sigmoid"),
        (nn.Sigmoid(), "mse", "mse", "sigmoid"),
        (None, "sigmoid_cross_entropy", "sigmoid_cross_entropy", "sigmoid"),
    ],
)
def test_the_loss_follows_from_the_end(assert_close, end, loss, expected_loss, expected_output):
    module = sequence(nn.Tanh())
    if end is not None:
        module.append(end)
    net = from_torch(module, loss)
    assert (net.loss, net.activations[-1]) == (expected_loss, expected_output)
    expected = outputs(module)
    if expected_output in ("softmax", "sigmoid") and end is None:
        logits = torch.from_numpy(expected)
        expected = (logits.softmax(1) if expected_output == "softmax" else logits.sigmoid()).numpy()
    assert_close(net(X.astype("float32")), expected)


def test_a_poisson_module(assert_close):
    module = sequence(nn.Tanh())
    net = from_torch(module, "poisson")
    assert net.activations[-1] == "exp"
    assert_close(net(X.astype("float32")), np.exp(outputs(module)))
    again = from_torch(to_torch(net))
    assert (again.loss, again.activations) == ("poisson", net.activations)


def test_nested_sequences_flatten_and_identity(assert_close):
    inner = nn.Sequential(nn.Linear(5, 6), nn.Identity(), nn.Sequential(nn.Tanh()))
    module = nn.Sequential(nn.Identity(), nn.Flatten(), inner, nn.Sequential(), nn.Linear(6, 3))
    net = from_torch(module)
    assert net.activations == ("tanh", "identity")
    assert_close(net(X.astype("float32")), outputs(module))


def test_a_subclass_of_sequential_with_its_forward(assert_close):
    class Net(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(5, 3), nn.Tanh())

    module = Net()
    assert_close(from_torch(module)(X.astype("float32")), outputs(module))


def test_biases_none_or_some(assert_close):
    none = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
    some = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3))
    assert from_torch(none).biases == ()
    net = from_torch(some)
    np.testing.assert_array_equal(net.biases[0], np.zeros(4))
    for module in (none, some):
        assert_close(from_torch(module)(X.astype("float32")), outputs(module))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes(dtype):
    module = nn.Sequential(nn.Linear(5, 3, dtype=dtype))
    net = from_torch(module)
    assert net.dtype == ("float64" if dtype == torch.float64 else "float32")
    np.testing.assert_array_equal(
        net.weights[0], module[0].weight.detach().to(torch.float64).numpy().T
    )
    assert from_torch(module, dtype="float64").dtype == np.float64


def test_copies_and_the_seed():
    module = sequence(nn.ReLU())
    net = from_torch(module, seed=3)
    before = net(X)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(7)
    np.testing.assert_array_equal(net(X), before)
    assert net.rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back(loss, dtype):
    net = pynn.MLP([5, 7, 3], "tanh", loss, dtype=dtype, seed=0)
    again = from_torch(to_torch(net), loss)
    assert (again.loss, again.activations, again.dtype) == (net.loss, net.activations, net.dtype)
    np.testing.assert_array_equal(again(X), net(X))


# -------------------------------------------------------------------- dropout


def rates(module):
    return [dense.dropout for dense in dense_layers(conversion.read_module(module))]


def test_dropout_belongs_to_the_next_layers_input():
    L = [nn.Linear(2, 2) for _ in range(3)]
    act = nn.Tanh
    drop = nn.Dropout
    assert rates(nn.Sequential(drop(0.3), L[0], act(), drop(0.1), L[1], act(), L[2])) == [
        0.3,
        0.1,
        0,
    ]
    # Before an activation that scales with its input it is the same as after it.
    assert rates(nn.Sequential(L[0], drop(0.2), nn.ReLU(), L[1])) == [0, 0.2]
    # Two leave what one with this rate leaves.
    np.testing.assert_allclose(
        rates(nn.Sequential(L[0], act(), drop(0.2), drop(0.5), L[1])), [0, 0.6], rtol=1e-15
    )
    assert rates(nn.Sequential(L[0], act(), drop(0.0), L[1], drop(0.0))) == [0, 0]


def test_dropout_is_carried_over():
    module = nn.Sequential(
        nn.Dropout(0.2), nn.Linear(5, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3)
    )
    net = from_torch(module)
    assert net.dropout == (0.2, 0.5)
    assert [part.p for part in to_torch(net) if type(part) is nn.Dropout] == [0.2, 0.5]


# --------------------------------------------------------------------- errors


class Own(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class OwnLinear(nn.Linear):
    def forward(self, x):
        return -super().forward(x)


def hooked():
    linear = nn.Linear(2, 2)
    linear.register_forward_pre_hook(lambda module, inputs: None)
    return linear


L = nn.Linear
ERRORS = {
    "unknown": (
        [L(2, 2), nn.InstanceNorm1d(2)],
        r"module\[1\] is InstanceNorm1d\(2.*expected Linear",
    ),
    "nested": (
        [L(2, 2), nn.Sequential(nn.ReLU(), nn.Conv1d(1, 1, 1))],
        r"module\[1\]\[1\] is Conv1d",
    ),
    "own forward": ([L(2, 2), Own(nn.Linear(2, 2))], r"module\[1\] is Own"),
    "own linear": ([OwnLinear(2, 2)], r"module\[0\] is OwnLinear"),
    "hooks": ([hooked()], r"module\[0\] is Linear.*hooks"),
    "hooks within": ([L(2, 2), nn.Sequential(hooked())], r"module\[1\]\[0\] is Linear.*hooks"),
    "normalized": (
        [nn.utils.parametrizations.weight_norm(L(2, 2))],
        r"module\[0\] is Parametrized",
    ),
    "lazy": ([nn.LazyLinear(2)], r"module\[0\] is LazyLinear"),
    "slope": ([L(2, 2), nn.LeakyReLU(0.2)], r"module\[1\] is LeakyReLU.*0\.01 was expected"),
    "alpha": ([L(2, 2), nn.ELU(2.0)], r"module\[1\] is ELU.*alpha=1 was"),
    "tanh gelu": ([L(2, 2), nn.GELU("tanh")], r"module\[1\] is GELU.*approximate='none'"),
    "beta": ([L(2, 2), nn.Softplus(2)], r"module\[1\] is Softplus.*beta=1"),
    "threshold": ([L(2, 2), nn.Softplus(1, 5)], r"module\[1\] is Softplus.*threshold=20"),
    "axis": ([L(2, 2), nn.Softmax(0)], r"module\[1\] is Softmax.*dim=-1 or dim=1"),
    "no axis": ([L(2, 2), nn.Softmax()], r"module\[1\] is Softmax.*dim=-1 or dim=1"),
    "log softmax": ([L(2, 2), nn.LogSoftmax(1)], r"module\[1\] is LogSoftmax"),
    "flatten all": ([nn.Flatten(0), L(2, 2)], r"module\[0\] is Flatten.*default"),
    "chain": ([L(2, 3), nn.ReLU(), L(4, 2)], r"module\[2\].* takes 4 inputs.* 3 outputs"),
    "empty": ([], "no Linear"),
    "drop all": (
        [L(2, 2), nn.ReLU(), nn.Dropout(1.0), L(2, 2)],
        r"module\[2\] is Dropout.*below 1",
    ),
    "channels": ([L(2, 2), nn.ReLU(), nn.Dropout2d(0.5), L(2, 2)], r"module\[2\] is Dropout2d"),
    "complex": ([L(2, 2, dtype=torch.complex64)], r"module\[0\]\.weight has no real.*complex64"),
    "meta": ([L(2, 2, device="meta")], r"module\[0\]\.weight has no real values.*meta"),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_what_cannot_be_expressed(case):
    parts, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        from_torch(nn.Sequential(*parts))


def test_other_errors_of_from_torch():
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Sequential, got MLP"):
        from_torch(pynn.MLP([2, 2]))
    with pytest.raises(ValueError, match="module is Bilinear"):
        from_torch(nn.Bilinear(2, 2, 2))
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(
        ValueError, match=r"module ends in relu, which loss does not fit: .*softmax"
    ):
        from_torch(module, "softmax_cross_entropy")
    with pytest.raises(ValueError, match="loss must be one of"):
        from_torch(module, "hinge")
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        from_torch(module, dtype="int8")


# ----------------------------------------------------------- networks of layers


def layer_outputs(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_layers_there_and_back(assert_close, case, dtype):
    net, x = make_case(case, dtype)
    module = to_torch(net)
    result = layer_outputs(module, x)
    assert result.dtype == dtype
    assert_close(result, net(x))
    again = from_torch(module, net.loss, input_shape=net.input_shape)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again(x), net(x))


def test_every_layer_is_written():
    assert conversion.KINDS.keys() == layer_kinds()


@pytest.mark.parametrize("case", CASES)
def test_modules_of_layers_can_be_pickled(case):
    net, x = make_case(case)
    module = to_torch(net)
    copy = pickle.loads(pickle.dumps(module))
    np.testing.assert_array_equal(layer_outputs(copy, x), layer_outputs(module, x))


@pytest.mark.parametrize("case", [name for name in CASES if "dropout" not in name])
def test_gradients_of_layers_are_torchs(case):
    """In evaluation mode: statistics and dropout do not matter, and every layer is used."""
    net, x = make_case(case, "float64")
    module = to_torch(net, logits=True)
    y = np.arange(len(x) * int(np.prod(net.output_shape[:-1]))) % 3
    y = y.reshape(len(x), *net.output_shape[:-1])
    logits = module(torch.from_numpy(x)).reshape(-1, 3)
    loss = nn.CrossEntropyLoss()(logits, torch.from_numpy(y.ravel()))
    loss.backward()
    given = sum(float(p.grad.square().sum()) for p in module.parameters())
    expected, gradients = net.gradients(x, y)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)
    total = sum(float(np.square(g).sum()) for g in gradients.values())
    np.testing.assert_allclose(given, total, rtol=1e-9)


def test_trained_and_fixed_parameters():
    layers = [
        pynn.layers.PositionEmbedding("sinusoidal"),
        pynn.layers.RBF(4, train_widths=False),
        pynn.layers.BatchNorm(0.9),
        pynn.layers.Flatten(),
        pynn.layers.Dense(3),
    ]
    net = pynn.Sequential(layers, (6, 5), seed=0)
    module = to_torch(net)
    assert len(list(module.parameters())) == len(net.trainable_parameters)
    assert (module[2].momentum, module[2].eps) == (pytest.approx(0.1), 0.001)
    again = from_torch(module)
    assert again.layers[0] == layers[0]
    assert again.layers[2] == layers[2]
    assert not again.layers[1].train_widths
    assert again.trainable_parameters == net.trainable_parameters


def test_batch_norm_in_training_mode_is_torchs():
    net, x = make_case("batch norm over time", "float64")
    module = to_torch(net).train()
    np.testing.assert_allclose(
        module(torch.from_numpy(x)).detach().numpy(), net(x, training=True), rtol=1e-12, atol=1e-13
    )


PLAIN = {
    "batch norm": ([nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)], None),
    "batch norm first": ([nn.BatchNorm1d(5), nn.Linear(5, 3)], None),
    "no affine": ([nn.BatchNorm1d(5, affine=False), nn.Linear(5, 3)], None),
    "layer norm": ([nn.LayerNorm(5), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 3)], None),
    "no bias": ([nn.Linear(5, 4), nn.LayerNorm(4, bias=False), nn.Linear(4, 3)], None),
    "flatten": ([nn.Flatten(), nn.Linear(24, 3)], (4, 6)),
    "unflatten": ([nn.Linear(5, 6), nn.Unflatten(1, (2, 3)), nn.LayerNorm(3), nn.Flatten()], None),
    "over time": ([nn.Linear(5, 4), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)], (6, 5)),
    "softmax inside": ([nn.Linear(5, 4), nn.Softmax(1), nn.Linear(4, 3)], None),
    "two functions": ([nn.Linear(5, 4), nn.ReLU(), nn.Tanh(), nn.Linear(4, 3)], None),
    "function first": ([nn.Tanh(), nn.Linear(5, 3)], None),
    "function last": ([nn.Linear(5, 3), nn.ReLU(), nn.Tanh()], None),
    "dropout last": ([nn.Linear(5, 3), nn.Dropout(0.5)], None),
    "dropout inside": ([nn.Linear(5, 4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 3)], None),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", PLAIN)
def test_plain_modules_that_are_no_mlp(assert_close, case, dtype):
    parts, shape = PLAIN[case]
    torch.manual_seed(0)
    module = nn.Sequential(*parts).to(getattr(torch, dtype)).eval()
    for name, tensor in module.state_dict().items():
        if tensor.ndim == 1 and "num_batches" not in name:
            tensor.uniform_(0.5, 2)
    net = from_torch(module, input_shape=shape)
    assert (type(net), net.dtype) == (pynn.Sequential, dtype)
    x = np.random.default_rng(0).normal(size=(9, *net.input_shape)).astype(dtype)
    assert_close(net(x), layer_outputs(module, x))


def test_tokens(assert_close):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 3)).eval()
    net = from_torch(module, "softmax_cross_entropy", input_shape=6)
    x = np.random.default_rng(0).integers(0, 9, size=(5, 6))
    assert_close(net(x), torch.softmax(torch.from_numpy(layer_outputs(module, x)), 1).numpy())
    assert [type(layer) for layer in net.layers] == [
        pynn.layers.Embedding,
        pynn.layers.Flatten,
        pynn.layers.Dense,
    ]
    assert net.fit(x, x[:, 0] % 3, epochs=2)


def test_an_mlp_stays_one_where_its_shape_is_given():
    module = nn.Sequential(nn.Linear(5, 3))
    assert type(from_torch(module, input_shape=5)) is pynn.MLP
    assert type(from_torch(module, input_shape=(6, 5))) is pynn.Sequential


LAYER_ERRORS = {
    "tokens": ([nn.Embedding(9, 4)], None, r"module\[0\] is Embedding.*pass input_shape=\(time,\)"),
    "padding": ([nn.Embedding(9, 4, padding_idx=0)], 6, r"module\[0\] is Embedding.*padding_idx"),
    "later tokens": (
        [nn.Linear(5, 4), nn.Embedding(9, 4)],
        5,
        r"module\[1\] is Embedding.*layer 1 \(Embedding\): it reads tokens",
    ),
    "channels first": (
        [nn.BatchNorm1d(5), nn.Linear(5, 3)],
        (6, 5),
        r"module\[0\] is BatchNorm1d.*inputs of shape \(6, 5\); pynn has its channels last",
    ),
    "softmax over time": (
        [nn.Linear(5, 4), nn.Softmax(1), nn.Linear(4, 3)],
        (6, 5),
        r"module\[1\] is Softmax\(dim=1\), whose axis is not the last one",
    ),
    "no statistics": (
        [nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3)],
        None,
        r"module\[0\] is BatchNorm1d.*track_running_stats=True",
    ),
    "no momentum": ([nn.BatchNorm1d(5, momentum=None)], None, r"module\[0\] is BatchN.*a momentum"),
    "two axes": ([nn.LayerNorm((6, 5))], None, r"module\[0\] is LayerNorm.*the last"),
    "channels": (
        [nn.Linear(5, 4), nn.LayerNorm(3), nn.Linear(3, 3)],
        None,
        r"module\[1\] is LayerNorm.*gamma has shape \(3,\); for inputs of shape \(4,\) it must "
        r"have shape \(4,\); for inputs of another shape than \(5,\) pass input_shape",
    ),
    "linear": (
        [nn.LayerNorm(5), nn.Linear(4, 3)],
        5,
        r"module\[1\] is Linear.*kernel has shape \(4, 3\); for inputs of shape \(5,\)",
    ),
    "unflatten": (
        [nn.Linear(5, 6), nn.Unflatten(1, (4, 2))],
        5,
        r"module\[1\] is Unflat.*do not fit",
    ),
    "unflatten time": ([nn.Unflatten(2, (4, 2))], (6, 8), r"module\[0\] is Unflat.*dim=1"),
    "no weights": ([nn.ReLU(), nn.Dropout(0.1)], None, "module has no Linear|before any Linear"),
    "softmax loss": ([nn.LayerNorm(5), nn.Tanh()], None, None),
}


@pytest.mark.parametrize("case", LAYER_ERRORS)
def test_layers_that_cannot_be_expressed(case):
    parts, shape, message = LAYER_ERRORS[case]
    if message is None:
        with pytest.raises(ValueError, match=r"is Tanh\(\) ends in tanh, which loss does not fit"):
            from_torch(nn.Sequential(*parts), "softmax_cross_entropy")
        return
    with pytest.raises(ValueError, match=message):
        from_torch(nn.Sequential(*parts), input_shape=shape)


def test_projections_that_pynn_has_not():
    Residual = pynn.convert.torch.Residual
    same = Residual(nn.Sequential(nn.Linear(5, 5)), nn.Linear(5, 5))
    with pytest.raises(ValueError, match=r"module\[0\] is (?s:.*)keeps the number of channels"):
        from_torch(nn.Sequential(same))
    none = Residual(nn.Sequential(nn.Linear(5, 1)))
    with pytest.raises(ValueError, match=r"(?s)module\[0\] is Residual.*has no projection\.bias"):
        from_torch(nn.Sequential(none))


def test_any_length(assert_close):
    layers = [pynn.layers.Dense(4, "tanh"), pynn.layers.GlobalAvgPool1D(), pynn.layers.Dense(3)]
    net = pynn.Sequential(layers, (None, 5), seed=0)
    again = from_torch(to_torch(net), net.loss, input_shape=(None, 5))
    for length in (1, 4):
        x = np.ones((2, length, 5), np.float32)
        assert_close(layer_outputs(to_torch(net), x), net(x))
        np.testing.assert_array_equal(again(x), net(x))
