"""The claims of the gallery's first six examples, recomputed from the names they leave."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def relu(z):
    return np.maximum(z, 0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class TestLearnedFeatures:
    @pytest.fixture
    def ran(self, example):
        return example("plot_01_learned_features")

    def test_the_last_layer_is_the_linear_regression(self, ran):
        from sklearn.linear_model import LinearRegression

        net, x, y = ran["net"], ran["x"][:, None], ran["y"]
        features = np.tanh(x @ net.weights[0] + net.biases[0])
        fitted = LinearRegression().fit(features, y).predict(features)
        np.testing.assert_allclose(net(x)[:, 0], fitted, atol=1e-3)

    def test_learned_features_need_fewer_coefficients(self, ran):
        clean, grid = ran["target"](ran["grid"]), ran["grid"]
        polynomial = np.polynomial.Polynomial.fit(ran["x"], ran["y"], 16)
        assert ran["parameters"] == 10
        assert rms(ran["net"](grid[:, None])[:, 0] - clean) < rms(polynomial(grid) - clean)

    def test_the_output_is_the_logistic_regression(self, ran):
        net, logistic = ran["classifier"], ran["logistic"]
        np.testing.assert_allclose(logistic.coef_[0], net.weights[2][:, 0], atol=0.02)
        np.testing.assert_allclose(logistic.intercept_, net.biases[2], atol=0.02)
        assert ran["apart"] < 1e-3
        assert ran["on_inputs"] < 0.6
        assert ran["on_features"] > 0.98


class TestDepthWithoutNonlinearity:
    @pytest.fixture
    def ran(self, example):
        return example("plot_02_depth_without_nonlinearity")

    def test_layers_collapse_into_one_matrix(self, ran):
        net = ran["nets"]["three layers, identity"]
        matrix = np.linalg.multi_dot(net.weights)
        np.testing.assert_allclose(ran["matrix"], matrix, atol=1e-14)
        b1, b2, b3 = net.biases
        bias = np.linalg.multi_dot([b1, net.weights[1], net.weights[2]]) + b2 @ net.weights[2] + b3
        np.testing.assert_allclose(ran["bias"], bias, atol=1e-14)
        assert ran["difference"] < 1e-14

    def test_only_relu_gets_beyond_the_line(self, ran):
        from sklearn.linear_model import LogisticRegression

        X, labels = ran["X"], ran["labels"]
        line = LogisticRegression(C=1e9, tol=1e-10).fit(X, labels)
        for name in ("one layer", "three layers, identity"):
            np.testing.assert_allclose(
                ran["nets"][name](X), line.predict_proba(X), atol=1e-4, err_msg=name
            )
            assert ran["accuracy"][name] < 0.6
        assert ran["accuracy"]["three layers, ReLU"] > 0.99

    def test_the_narrow_network_finds_the_best_matrix_of_its_rank(self, ran):
        assert np.linalg.matrix_rank(ran["maps"]["narrow"]) == 2
        u, s, vt = np.linalg.svd(ran["truth"])
        np.testing.assert_allclose(ran["maps"]["narrow"], u[:, :2] * s[:2] @ vt[:2], atol=0.02)

    def test_depth_learns_one_direction_after_another(self, ran):
        def half_way(name):
            path = np.array(ran["paths"][name])
            return np.argmax(path > 0.5 * ran["strengths"], axis=0)

        shallow, deep = half_way("one layer"), half_way("four layers")
        assert np.all(np.diff(deep) > 0)
        assert np.ptp(shallow) < 0.1 * np.ptp(deep)


class TestVanishingGradients:
    @pytest.fixture
    def ran(self, example):
        return example("plot_03_vanishing_gradients")

    def test_gradient_sizes(self, ran):
        """Against NumPy's backpropagation through ten layers, for the first layer's weights."""
        import pynn

        X, y = ran["X"][ran["train"]].astype(float), ran["y"][ran["train"]]
        for name in ran["LOOKS"]:
            net = pynn.MLP([64, *[64] * 10, 10], name, init=ran["INIT"][name], seed=0)
            weights = [W.astype(float) for W in net.weights]
            function, slope = {
                "sigmoid": (sigmoid, lambda h: h * (1 - h)),
                "tanh": (np.tanh, lambda h: 1 - h**2),
                "relu": (relu, lambda h: h > 0),
            }[name]
            layers = [X]
            for W in weights[:-1]:
                layers.append(function(layers[-1] @ W))
            logits = layers[-1] @ weights[-1]
            delta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            delta[np.arange(len(y)), y] -= 1
            delta /= len(y)
            sizes = []
            for W, h in zip(weights[::-1], layers[::-1], strict=True):
                sizes.append(rms(h.T @ delta))
                delta = (delta @ W.T) * slope(h)
            np.testing.assert_allclose(ran["start"][name], sizes[::-1], rtol=1e-2)

    def test_a_quarter_per_layer_for_the_sigmoid_alone(self, ran):
        assert ran["factor"](ran["start"]["sigmoid"]) == pytest.approx(0.25, abs=0.02)
        for name in ("tanh", "relu"):
            assert ran["factor"](ran["start"][name]) == pytest.approx(1, abs=0.1)
        ratio = ran["course"]["tanh"][0, 0] / ran["course"]["sigmoid"][0, 0]
        assert 1e5 < ratio < 1e6
        assert np.all(ran["course"]["sigmoid"][:, 0] < 1e-7)

    def test_deep_sigmoids_learn_nothing(self, ran):
        assert ran["final"]["sigmoid"] == pytest.approx(np.log(10), abs=0.05)
        sigmoid_accuracy, tanh_accuracy, relu_accuracy = ran["accuracy"].mean(axis=2)
        assert sigmoid_accuracy[0] > 0.9
        assert np.all(sigmoid_accuracy[3:] < 0.2)
        assert np.all(tanh_accuracy > 0.96)
        assert np.all(relu_accuracy > 0.96)


class TestUniversalApproximation:
    @pytest.fixture
    def ran(self, example):
        return example("plot_04_universal_approximation")

    @pytest.mark.parametrize("name", ["continuous", "discontinuous"])
    def test_errors_fall_with_the_width(self, ran, name):
        truth = ran["functions"][name](ran["fine"])[:, 0]
        errors = np.array([rms(fit - truth) for fit in ran["fits"][name]])
        np.testing.assert_allclose(errors, ran["mean_error"][name].min(axis=1))
        assert np.all(np.diff(errors) < 0)
        slope = np.polyfit(np.log(ran["widths"]), np.log(errors), 1)[0]
        assert slope == pytest.approx({"continuous": -0.83, "discontinuous": -0.39}[name], abs=0.1)

    def test_the_largest_error_falls_only_without_jumps(self, ran):
        largest = {name: errors.min(axis=1) for name, errors in ran["largest_error"].items()}
        assert np.all(np.diff(largest["continuous"]) < 0)
        assert largest["continuous"][-1] < 0.12
        assert np.all(largest["discontinuous"] > 0.99)  # half of the largest jump


class TestBackpropagationChecked:
    @pytest.fixture
    def ran(self, example):
        return example("plot_05_backpropagation_checked")

    def test_the_gradient_is_that_of_numpy(self, ran):
        import pynn

        net = pynn.MLP([6, 8, 8, 3], "tanh", "squared_error", dtype="float64", seed=0)
        (W1, W2, W3), X, y = net.weights, ran["X"], ran["y"]
        h1 = np.tanh(X @ W1)
        h2 = np.tanh(h1 @ W2)
        d3 = (h2 @ W3 - y) / len(X)
        d2 = d3 @ W3.T * (1 - h2**2)
        d1 = d2 @ W2.T * (1 - h1**2)
        arrays = [X.T @ d1, h1.T @ d2, h2.T @ d3, d1.sum(0), d2.sum(0), d3.sum(0)]
        expected = np.concatenate([array.ravel() for array in arrays])
        np.testing.assert_allclose(ran["exact"], expected, rtol=1e-10, atol=1e-14)

    @pytest.mark.parametrize(("central", "order", "best"), [(False, 1, 1e-6), (True, 2, 1e-9)])
    def test_the_error_is_a_v(self, ran, central, order, best):
        errors, steps = ran["errors"][central], ran["steps"]
        assert errors.min() < best
        lowest = errors.argmin()
        right = slice(lowest + 2, len(steps) - 2)
        slope = np.polyfit(np.log(steps[right]), np.log(errors[right]), 1)[0]
        assert slope == pytest.approx(order, abs=0.1)
        slope = np.polyfit(np.log(steps[: lowest - 1]), np.log(errors[: lowest - 1]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.15)
        assert steps[lowest] == pytest.approx(ran["eps"] ** (1 / (order + 1)), rel=4)

    def test_backpropagation_costs_a_few_losses(self, ran):
        # (Wide margins: the machine may be busy.)
        assert np.median(ran["backward"] / ran["forward"]) < 20
        assert 2 * ran["counts"][-1] * ran["forward"][-1] > 1000 * ran["backward"][-1]


class TestLossSurface:
    @pytest.fixture
    def ran(self, example):
        return example("plot_06_loss_surface")

    def test_the_stationary_points_are_what_they_are_called(self, ran):
        x, y = ran["x"][:, 0], ran["bump"]

        def loss(w, b):
            return np.mean((sigmoid(w * x + b) - y) ** 2)

        assert sorted(ran["kinds"]) == ["minimum"] * 3 + ["saddle"] * 2
        h = 0.02
        for (w, b), kind in zip(ran["stationary"], ran["kinds"], strict=True):
            p = sigmoid(w * x + b)
            slope = 2 * (p - y) * p * (1 - p) / len(x)
            assert abs(slope.sum()) < 1e-8
            assert abs(slope @ x) < 1e-8
            assert ran["loss_at"]((w, b)) == pytest.approx(loss(w, b), rel=1e-12)
            turn = np.linspace(0, 2 * np.pi, 360)
            around = [loss(w + h * np.cos(t), b + h * np.sin(t)) for t in turn]
            assert (min(around) > loss(w, b)) == (kind == "minimum")
            assert max(around) > loss(w, b)

    def test_where_the_paths_end(self, ran):
        def end(name, start):
            return ran["loss_at"](ran["paths"][name, start][-1])

        gradient_descent, _, momentum = ran["METHODS"]
        lowest, second, high = (
            ran["loss_at"](p)
            for p, kind in zip(ran["stationary"], ran["kinds"], strict=True)
            if kind == "minimum"
        )
        for name in ran["METHODS"]:
            assert end(name, (-6.0, 3.0)) == pytest.approx(high, abs=2e-3)
            assert {len(ran["paths"][name, start]) for start in ran["STARTS"]} == {801}
        for start in ((-4.0, -3.0), (1.0, -7.0)):
            assert end(gradient_descent, start) == pytest.approx(lowest, abs=1e-4)
            assert end(momentum, start) == pytest.approx(second, abs=1e-3)

    def test_changed_networks_compute_the_same(self, ran):
        X = ran["X"]
        W1, W2, b1, b2 = ran["trained"][0]
        expected = relu(X @ W1 + b1) @ W2 + b2
        for name in ("units permuted", "units rescaled"):
            V1, V2, c1, c2 = ran["others"][name]
            np.testing.assert_allclose(relu(X @ V1 + c1) @ V2 + c2, expected, atol=1e-12)
            assert not np.allclose(V1, W1)

    def test_hills_between_them(self, ran):
        for values in ran["ways"].values():
            assert max(values) > 100 * max(values[0], values[-1])
        np.testing.assert_allclose(ran["curve"], ran["curve"][0], rtol=1e-10)
