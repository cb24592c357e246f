// The shape of a sample's values between two layers: channels last, as NumPy lays them out.
#pragma once

#include "kernels/kernel_table.h"

namespace pynn {

struct Shape {
    index_t time = 1, height = 1, width = 1, channels = 1;

    // A dense layer and a norm treat each position by itself.
    index_t positions() const { return time * height * width; }
    index_t size() const { return positions() * channels; }
};

// The shapes of a layer's inputs and of its output, and how many values a sample keeps from forward
// to backward.
struct LayerShape {
    Shape in, out;
    index_t saved = 0;
    // Of the shapes, computed once: a small step has no time for it.
    index_t in_size = 0, out_size = 0, in_positions = 0;
};

}  // namespace pynn
