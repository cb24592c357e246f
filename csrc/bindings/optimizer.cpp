#include "bindings/optimizer.h"

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings/module.h"

namespace pynn {
namespace {

Rule rule_named(const std::string& name) {
    if (name == "sgd") return Rule::sgd;
    if (name == "momentum") return Rule::momentum;
    if (name == "nesterov") return Rule::nesterov;
    if (name == "adam") return Rule::adam;
    if (name == "rmsprop") return Rule::rmsprop;
    throw std::invalid_argument("unknown rule '" + name + "'");
}

template <class T>
std::unique_ptr<BoundOptimizer<T>> bind_optimizer(const std::string& rule, py::array parameters,
                                                  std::optional<py::array> m,
                                                  std::optional<py::array> v,
                                                  std::vector<double> learning_rates, double beta1,
                                                  double beta2, double epsilon, double weight_decay,
                                                  py::array_t<int64_t> steps, double clip_norm,
                                                  bool plain_epsilon) {
    require(!learning_rates.empty(), "there is no learning rate");
    auto bound = std::make_unique<BoundOptimizer<T>>();
    Optimizer<T>& o = bound->optimizer;
    o.rule = rule_named(rule);
    require(m || o.rule == Rule::sgd, "this rule needs m");
    require(v || !(o.rule == Rule::adam || o.rule == Rule::rmsprop), "this rule needs v");
    o.w = writable<T>(parameters, "parameters");
    bound->arrays.push_back(parameters);
    const auto moment = [&](std::optional<py::array>& array, const char* name) -> T* {
        if (!array) return nullptr;
        require(array->size() == parameters.size(),
                (std::string(name) + " and parameters differ in size").c_str());
        bound->arrays.push_back(*array);
        return writable<T>(*array, name);
    };
    o.m = moment(m, "m");
    o.v = moment(v, "v");
    o.learning_rates = std::move(learning_rates);
    o.beta1 = beta1;
    o.beta2 = beta2;
    o.epsilon = epsilon;
    o.weight_decay = weight_decay;
    o.clip_norm = clip_norm;
    o.plain_epsilon = plain_epsilon;
    require(steps.size() == 1, "steps must hold one number");
    bound->steps = steps.mutable_data();
    bound->arrays.push_back(steps);
    return bound;
}

template <class T>
void bind_optimizer_of(py::module_& m, const std::string& suffix) {
    py::class_<BoundOptimizer<T>>(m, ("Optimizer" + suffix).c_str());
    m.def(("optimizer_" + suffix).c_str(), &bind_optimizer<T>, py::arg("rule"),
          py::arg("parameters"), py::arg("m"), py::arg("v"), py::arg("learning_rates"),
          py::arg("beta1"), py::arg("beta2"), py::arg("epsilon"), py::arg("weight_decay"),
          py::arg("steps").noconvert(), py::arg("clip_norm") = 0.0,
          py::arg("plain_epsilon") = false);
}

}  // namespace

void bind_optimizers(py::module_& m) {
    bind_optimizer_of<float>(m, "F32");
    bind_optimizer_of<double>(m, "F64");
}

}  // namespace pynn
