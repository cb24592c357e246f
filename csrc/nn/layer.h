// What the network and the trainer know of a layer. A kind of layer is one file.
//
// Rows of a mini-batch are independent of each other until the parameters' gradient, so a thread
// takes its rows through all layers forward and back without waiting for anybody; then, after a
// meeting, the threads divide the parameters. `forward` and `backward` therefore work on whatever
// rows they are given, and `follow_gradient` on whatever part of the parameters.
#pragma once

#include "nn/activation.h"
#include "nn/buffer.h"

namespace pynn {

// What a thread works with besides its operands.
template <class T>
struct Scratch {
    Buffer<char> workspace;  // of the products
    Buffer<T> gradient;      // a piece of a layer's gradient
    Ahead ahead{};           // what the products ask memory for
};

template <class T>
class Layer {
public:
    virtual ~Layer() = default;

    virtual index_t inputs() const = 0;
    virtual index_t outputs() const = 0;

    // The number of parameters, and where they are: at `offset` of the network's.
    virtual index_t parameter_count() const = 0;
    virtual void place(index_t offset) = 0;

    // The function that forward() applies last, to each output by itself.
    virtual Activation activation() const = 0;

    // Allocates all that the calls below need for up to `rows` rows: they run where nobody may
    // wait for a thread that failed.
    virtual void reserve(index_t rows, Scratch<T>& scratch) const = 0;

    // y (rows x outputs) from x (rows x inputs).
    virtual void forward(const T* parameters, const T* x, T* y, index_t rows,
                         Scratch<T>& scratch) const = 0;

    // dx = (delta's gradient with respect to x) * below'(x), where delta (rows x outputs) is the
    // loss's gradient before this layer's activation, and x is the output of an activation
    // `below`: so dx is the delta of the layer below.
    virtual void backward(const T* parameters, const T* delta, const T* x, Activation below, T* dx,
                          index_t rows, Scratch<T>& scratch) const = 0;

    // Computes part `index` of `count` of the parameters' gradient, summed over all `rows`, and
    // lets the parameters follow it, piece by piece while each is in cache.
    virtual void follow_gradient(const T* x, const T* delta, index_t rows, int index, int count,
                                 const Update<T>& update, Scratch<T>& scratch) const = 0;
};

}  // namespace pynn
