// A window that moves over time, height and width: of a convolution or a pool.
#pragma once

#include <stdexcept>

#include "nn/layers/kinds.h"

namespace pynn {

struct Window {
    // By axis: time, height, width.
    index_t size[3], stride[3], dilation[3], before[3], after[3];

    index_t positions() const { return size[0] * size[1] * size[2]; }

    // Each output position reads the input position of the same index.
    bool is_plain() const {
        for (int axis = 0; axis < 3; ++axis) {
            if (size[axis] != 1 || stride[axis] != 1 || before[axis] != 0 || after[axis] != 0) {
                return false;
            }
        }
        return true;
    }

    Shape output_shape(const Shape& in) const {
        const index_t sizes[3] = {in.time, in.height, in.width};
        index_t out[3];
        for (int axis = 0; axis < 3; ++axis) {
            const index_t span = (size[axis] - 1) * dilation[axis] + 1;
            const index_t room = sizes[axis] + before[axis] + after[axis] - span;
            if (room < 0) throw std::invalid_argument("the input is smaller than the kernel");
            out[axis] = room / stride[axis] + 1;
        }
        return {out[0], out[1], out[2], in.channels};
    }

    // f(kernel position, output position, input position) for all that are not padding, output
    // position by output position, kernel positions in order.
    template <class F>
    void each(const Shape& in, const Shape& out, F f) const {
        index_t o = 0;
        for (index_t t = 0; t < out.time; ++t) {
            for (index_t y = 0; y < out.height; ++y) {
                for (index_t x = 0; x < out.width; ++x, ++o) {
                    index_t q = 0;
                    for (index_t kt = 0; kt < size[0]; ++kt) {
                        const index_t it = t * stride[0] - before[0] + kt * dilation[0];
                        for (index_t ky = 0; ky < size[1]; ++ky) {
                            const index_t iy = y * stride[1] - before[1] + ky * dilation[1];
                            for (index_t kx = 0; kx < size[2]; ++kx, ++q) {
                                const index_t ix = x * stride[2] - before[2] + kx * dilation[2];
                                if (it < 0 || it >= in.time || iy < 0 || iy >= in.height ||
                                    ix < 0 || ix >= in.width) {
                                    continue;
                                }
                                f(q, o, (it * in.height + iy) * in.width + ix);
                            }
                        }
                    }
                }
            }
        }
    }
};

inline Window window_of(const LayerSettings& s) {
    const char* const axes[3] = {"time", "height", "width"};
    Window w{};
    for (int axis = 0; axis < 3; ++axis) {
        const std::string name = axes[axis];
        w.size[axis] = s.size("size_" + name);
        w.stride[axis] = s.size("stride_" + name);
        w.dilation[axis] = s.size("dilation_" + name);
        w.before[axis] = static_cast<index_t>(s.number("before_" + name));
        w.after[axis] = static_cast<index_t>(s.number("after_" + name));
    }
    return w;
}

}  // namespace pynn
