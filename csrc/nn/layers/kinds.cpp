#include "nn/layers/kinds.h"

#include <stdexcept>

#include "nn/layers/dense.h"
#include "nn/layers/dropout.h"
#include "nn/layers/pointwise.h"

namespace pynn {
namespace {

template <class T>
std::unique_ptr<Layer<T>> make_activation(const LayerSettings& s) {
    const std::string name = s.text("function");
    return name == "softmax" ? make_softmax<T>() : make_pointwise<T>(activation_named(name));
}

template <class T>
std::unique_ptr<Layer<T>> make_dense_layer(const LayerSettings& s) {
    DenseSettings dense{s.size("inputs"), s.size("units")};
    dense.bias = s.flag("bias");
    dense.activation = activation_named(s.text("activation"));
    dense.l1 = s.number("l1", 0);
    dense.l2 = s.number("l2", 0);
    dense.max_norm = s.number("max_norm", 0);
    if (!derivative_from_output(dense.activation)) {
        throw std::invalid_argument("this activation is a layer by itself");
    }
    return make_dense<T>(dense);
}

template <class T>
std::unique_ptr<Layer<T>> make_dropout_layer(const LayerSettings& s) {
    const double rate = s.number("rate");
    if (!(rate >= 0 && rate < 1)) throw std::invalid_argument("dropout must be in [0, 1)");
    return make_dropout<T>(rate, static_cast<uint32_t>(s.number("number")));
}

template <class T>
struct Kind {
    const char* name;
    std::unique_ptr<Layer<T>> (*make)(const LayerSettings&);
};

template <class T>
constexpr Kind<T> kinds[] = {
    {"activation", make_activation<T>},
    {"add", make_add<T>},
    {"batch_norm", make_batch_norm<T>},
    {"convolution", make_convolution<T>},
    {"dense", make_dense_layer<T>},
    {"dropout", make_dropout_layer<T>},
    {"embedding", make_embedding<T>},
    {"global_pool", make_global_pool<T>},
    {"layer_norm", make_layer_norm<T>},
    {"pool", make_pool<T>},
    {"position_embedding", make_position_embedding<T>},
    {"rbf", make_rbf<T>},
};

}  // namespace

double LayerSettings::number(const std::string& name) const {
    const auto found = numbers.find(name);
    if (found == numbers.end()) throw std::invalid_argument("a layer needs a setting: " + name);
    return found->second;
}

double LayerSettings::number(const std::string& name, double otherwise) const {
    const auto found = numbers.find(name);
    return found == numbers.end() ? otherwise : found->second;
}

index_t LayerSettings::size(const std::string& name) const {
    const double value = number(name);
    if (!(value >= 1 && value <= 0x1p53)) throw std::invalid_argument(name + " must be positive");
    return static_cast<index_t>(value);
}

std::string LayerSettings::text(const std::string& name) const {
    const auto found = names.find(name);
    if (found == names.end()) throw std::invalid_argument("a layer needs a setting: " + name);
    return found->second;
}

template <class T>
std::unique_ptr<Layer<T>> make_layer(const std::string& kind, const LayerSettings& settings) {
    for (const Kind<T>& k : kinds<T>) {
        if (kind == k.name) return k.make(settings);
    }
    throw std::invalid_argument("unknown kind of layer: " + kind);
}

template std::unique_ptr<Layer<float>> make_layer(const std::string&, const LayerSettings&);
template std::unique_ptr<Layer<double>> make_layer(const std::string&, const LayerSettings&);

}  // namespace pynn
