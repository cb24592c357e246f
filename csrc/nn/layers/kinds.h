// The kinds of layers by name: what a description from outside becomes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/layer.h"

namespace pynn {

// A layer's settings by name, as plain values. A missing one raises std::invalid_argument, unless
// there is a default.
class LayerSettings {
public:
    std::map<std::string, double> numbers;
    std::map<std::string, std::string> names;

    double number(const std::string& name) const;
    double number(const std::string& name, double otherwise) const;
    index_t size(const std::string& name) const;  // at least 1
    bool flag(const std::string& name) const { return number(name) != 0; }
    std::string text(const std::string& name) const;
};

// Throws std::invalid_argument for an unknown kind or setting.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const std::string& kind, const LayerSettings& settings);

// One for each kind, in the file of the same name.
template <class T>
std::unique_ptr<Layer<T>> make_add(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_batch_norm(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_convolution(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_embedding(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_global_pool(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_layer_norm(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_pool(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_position_embedding(const LayerSettings& settings);
template <class T>
std::unique_ptr<Layer<T>> make_rbf(const LayerSettings& settings);

}  // namespace pynn
