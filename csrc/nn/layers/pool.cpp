// The maximum or the mean of each channel over a window, without the padding. A maximum's gradient
// goes to the first position that has it; NaN is the maximum of what contains one, as in NumPy.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "nn/layers/kinds.h"
#include "nn/layers/window.h"

namespace pynn {
namespace {

template <class T>
class Pool final : public Layer<T> {
public:
    explicit Pool(const LayerSettings& s) : window_(window_of(s)), of_max_(s.text("of") == "max") {
        if (!of_max_ && s.text("of") != "mean") {
            throw std::invalid_argument("a pool is of the mean or the max");
        }
    }

    void set_input_shape(const Shape& in) override {
        const Shape out = window_.output_shape(in);
        starts_.assign(static_cast<std::size_t>(out.positions() + 1), 0);
        reads_.clear();
        window_.each(in, out, [&](index_t, index_t o, index_t i) {
            starts_[static_cast<std::size_t>(o + 1)] += 1;
            reads_.push_back(i);
        });
        for (std::size_t o = 1; o < starts_.size(); ++o) {
            if (starts_[o] == 0) throw std::invalid_argument("a window has padding only");
            starts_[o] += starts_[o - 1];
        }
    }

    Shape output_shape(const Shape& in) const override { return window_.output_shape(in); }
    double flops(const Shape& in) const override {
        return static_cast<double>(output_shape(in).size() * window_.positions());
    }

    void forward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.shape->in.channels;
        each_output(io, [&](index_t i, index_t o, Range reads) {
            const T* const x = io.x + i * io.shape->in_size;
            T* const y = io.y + i * io.shape->out_size + o * n;
            const T* const first = x + read(reads.begin) * n;
            std::copy(first, first + n, y);
            for (index_t e = reads.begin + 1; e < reads.end; ++e) {
                const T* const value = x + read(e) * n;
                if (of_max_) {
                    for (index_t j = 0; j < n; ++j)
                        y[j] = exceeds(value[j], y[j]) ? value[j] : y[j];
                } else {
                    for (index_t j = 0; j < n; ++j) y[j] += value[j];
                }
            }
            if (of_max_) return;
            const T count = static_cast<T>(reads.size());
            for (index_t j = 0; j < n; ++j) y[j] /= count;
        });
    }

    void backward(const LayerIo<T>& io, Scratch<T>&) const override {
        const index_t n = io.shape->in.channels, size = io.rows * io.shape->in_size;
        std::fill(io.dx, io.dx + size, T(0));
        each_output(io, [&](index_t i, index_t o, Range reads) {
            const T* const x = io.x + i * io.shape->in_size;
            T* const dx = io.dx + i * io.shape->in_size;
            const T* const delta = io.delta + i * io.shape->out_size + o * n;
            if (of_max_) {
                for (index_t j = 0; j < n; ++j) {
                    index_t best = read(reads.begin) * n + j;
                    for (index_t e = reads.begin + 1; e < reads.end; ++e) {
                        const index_t at = read(e) * n + j;
                        if (exceeds(x[at], x[best])) best = at;
                    }
                    dx[best] += delta[j];
                }
                return;
            }
            const T count = static_cast<T>(reads.size());
            for (index_t e = reads.begin; e < reads.end; ++e) {
                T* const to = dx + read(e) * n;
                for (index_t j = 0; j < n; ++j) to[j] += delta[j] / count;
            }
        });
        differentiate_flushed(io.x_activation, io.x, io.dx, size);
    }

private:
    static bool exceeds(T a, T b) { return a > b || (std::isnan(a) && !std::isnan(b)); }
    index_t read(index_t e) const { return reads_[static_cast<std::size_t>(e)]; }

    // f(sample, output position, its range of reads_)
    template <class F>
    void each_output(const LayerIo<T>& io, F f) const {
        const index_t outputs = io.shape->out.positions();
        for (index_t i = 0; i < io.rows; ++i) {
            for (index_t o = 0; o < outputs; ++o) {
                const std::size_t at = static_cast<std::size_t>(o);
                f(i, o, Range{starts_[at], starts_[at + 1]});
            }
        }
    }

    Window window_;
    bool of_max_;
    std::vector<index_t> starts_, reads_;  // input positions by output position
};

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> make_pool(const LayerSettings& s) {
    return std::make_unique<Pool<T>>(s);
}

template std::unique_ptr<Layer<float>> make_pool(const LayerSettings&);
template std::unique_ptr<Layer<double>> make_pool(const LayerSettings&);

}  // namespace pynn
