// A program without Python for test_cross_compiled.py: runs every kernel of one instruction set on
// fixed inputs and prints a line for each result, its name and a hash of its bits. Two programs
// whose kernels agree bit for bit print the same lines, whatever the processor.
//
// Compile with -DPYNN_ISA_TABLE=kernel_table_<name> and link the object of csrc/kernels/kernels.cpp
// for that instruction set. With a result's name as its argument the program prints that result's
// bits instead, an element a line, to see where two sets part.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/kernel_table.h"

namespace pynn {
extern const KernelTable PYNN_ISA_TABLE;
}

namespace {

using pynn::Epilogue;
using pynn::index_t;

// ---------------------------------------------------------------- results

// FNV-1a, over bytes in the same order on every processor.
class Hash {
public:
    void add(std::uint64_t value, int bytes) {
        for (int i = 0; i < bytes; ++i) {
            state_ = (state_ ^ (value & 0xff)) * 0x100000001b3u;
            value >>= 8;
        }
    }
    std::uint64_t value() const { return state_; }

private:
    std::uint64_t state_ = 0xcbf29ce484222325u;
};

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

// Every NaN counts as the same: its sign and payload are the processor's.
template <class T>
BitsOf<T> bits_of(T x) {
    if (x != x) x = std::numeric_limits<T>::quiet_NaN();
    BitsOf<T> bits;
    std::memcpy(&bits, &x, sizeof x);
    return bits;
}
template <class T>
T from_bits(BitsOf<T> bits) {
    T x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

std::string wanted;  // the result whose bits are to be printed, or empty

template <class T>
void report(const std::string& name, const std::vector<T>& values) {
    constexpr int size = static_cast<int>(sizeof(T));
    Hash hash;
    for (const T x : values) {
        hash.add(bits_of(x), size);
        if (name == wanted) {
            std::printf("%0*llx %.17g\n", 2 * size, static_cast<unsigned long long>(bits_of(x)),
                        static_cast<double>(x));
        }
    }
    if (wanted.empty()) {
        std::printf("%s: %016llx\n", name.c_str(), static_cast<unsigned long long>(hash.value()));
    }
}

template <class T>
void append(std::vector<T>& all, const std::vector<T>& more) {
    all.insert(all.end(), more.begin(), more.end());
}

// Room for a result of n values; a write beyond them shows in the hash.
template <class T>
std::vector<T> room(index_t n) {
    return std::vector<T>(static_cast<std::size_t>(n + 20), T(0.5));
}

template <class T>
std::string title(const std::string& name) {
    return (sizeof(T) == 4 ? "float32 " : "float64 ") + name;
}
std::string shape(index_t m, index_t n) { return std::to_string(m) + "x" + std::to_string(n); }
std::string shape(index_t m, index_t k, index_t n) { return shape(m, k) + "x" + std::to_string(n); }

// ---------------------------------------------------------------- inputs

// xorshift64*, and numbers made of it by exact operations alone.
class Random {
public:
    explicit Random(const std::string& seed) {
        Hash hash;
        for (const char c : seed) hash.add(static_cast<unsigned char>(c), 1);
        state_ = hash.value() | 1;
    }
    std::uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1du;
    }
    index_t below(index_t n) {
        return static_cast<index_t>((next() >> 32) % static_cast<std::uint64_t>(n));
    }
    // In [-2, 2), a whole number of 2**-23 (2**-52): all bits of the significand are in use.
    template <class T>
    T uniform() {
        constexpr int digits = std::numeric_limits<T>::digits;
        constexpr std::int64_t one = std::int64_t(1) << (digits - 1);
        const auto whole = static_cast<std::int64_t>(next() >> (63 - digits)) - 2 * one;
        return static_cast<T>(whole) * (T(1) / static_cast<T>(one));
    }

private:
    std::uint64_t state_;
};

template <class T>
std::vector<T> ordinary(index_t n, const std::string& seed, T scale = 1) {
    Random random(seed);
    std::vector<T> out(static_cast<std::size_t>(n));
    for (T& x : out) x = random.uniform<T>() * scale;
    return out;
}

// Where functions turn: zeros, the ends of the type, and the limits of the exponential, each with
// its neighbors and with both signs.
template <class T>
std::vector<T> turning_points() {
    using L = std::numeric_limits<T>;
    std::vector<T> out = {L::infinity(), -L::infinity(), L::quiet_NaN(), -L::quiet_NaN(), 0, -T(0)};
    for (const double x :
         {1e-30,  1e-10,  0.01,  0.3466, 0.5,     0.6931,  0.7072, 1.0,   1.0397, 2.0,   9.0,
          10.0,   16.6,   17.33, 18.0,   20.0,    36.7,    38.0,   87.33, 88.0,   88.72, 89.0,
          103.28, 103.98, 104.0, 112.0,  708.397, 709.783, 710.0,  744.5, 745.14, 746.0, 760.0}) {
        const BitsOf<T> bits = bits_of(static_cast<T>(x));
        for (int i = -1; i <= 1; ++i) {
            const T near = from_bits<T>(static_cast<BitsOf<T>>(bits + static_cast<BitsOf<T>>(i)));
            out.push_back(near);
            out.push_back(-near);
        }
    }
    for (const T x : {L::denorm_min(), L::min(), L::max(), L::epsilon()}) {
        for (const T y : {x, x - x / 4, x / 2}) {
            out.push_back(y);
            out.push_back(-y);
        }
    }
    return out;
}

// Turning points, middling and widely spread numbers, and any bits at all, by turns.
template <class T>
std::vector<T> mixed(index_t n, const std::string& seed) {
    const std::vector<T> turning = turning_points<T>();
    Random random(seed);
    std::vector<T> out(static_cast<std::size_t>(n));
    for (T& x : out) {
        switch (random.below(4)) {
            case 0:
                x = turning[static_cast<std::size_t>(
                    random.below(static_cast<index_t>(turning.size())))];
                break;
            case 1:
                x = random.uniform<T>() * T(8);
                break;
            case 2:
                x = random.uniform<T>() * T(64);
                for (index_t halvings = random.below(40); halvings > 0; --halvings) x /= 2;
                break;
            default:
                x = from_bits<T>(static_cast<BitsOf<T>>(random.next() >> (64 - 8 * sizeof(T))));
        }
    }
    return out;
}

// Rows to be summed: mostly ordinary, every third with one to three turning points.
template <class T>
std::vector<T> rows_with_turning_points(index_t m, index_t n, const std::string& seed) {
    const std::vector<T> turning = turning_points<T>();
    std::vector<T> out = ordinary<T>(m * n, seed, 4);
    Random random(seed + " turning points");
    for (index_t i = 0; i < m; i += 3) {
        for (index_t count = random.below(3) + 1; count > 0; --count) {
            // One in two is infinite, NaN or zero.
            const auto kinds = random.below(2) ? 6 : static_cast<index_t>(turning.size());
            out[static_cast<std::size_t>(i * n + random.below(n))] =
                turning[static_cast<std::size_t>(random.below(kinds))];
        }
    }
    return out;
}

// ---------------------------------------------------------------- element by element

constexpr index_t tails = 37;  // lengths 0 to 36: every part of a vector, alone and after others
constexpr index_t many = 6011;

// f(x, y, n) for short and long operands.
template <class T, class F>
void check_unary(const std::string& what, F f) {
    const std::string name = title<T>(what);
    std::vector<T> all;
    for (index_t n = 0; n < tails; ++n) {
        const std::vector<T> x = mixed<T>(n, name + std::to_string(n));
        std::vector<T> y = room<T>(n);
        f(x.data(), y.data(), n);
        append(all, y);
    }
    report(name + " tails", all);
    std::vector<T> x = mixed<T>(many, name), y = room<T>(many);
    f(x.data(), y.data(), many);
    report(name, y);
    f(x.data(), x.data(), many);
    report(name + " in place", x);
}

// f(dy, y, dx, n)
template <class T, class F>
void check_binary(const std::string& what, F f) {
    const std::string name = title<T>(what);
    std::vector<T> all;
    for (index_t n = 0; n < tails; ++n) {
        const std::string seed = name + std::to_string(n);
        const std::vector<T> dy = mixed<T>(n, seed), y = mixed<T>(n, seed + "y");
        std::vector<T> dx = room<T>(n);
        f(dy.data(), y.data(), dx.data(), n);
        append(all, dx);
    }
    report(name + " tails", all);
    std::vector<T> dy = mixed<T>(many, name), y = mixed<T>(many, name + "y"), dx = room<T>(many);
    f(dy.data(), y.data(), dx.data(), many);
    report(name, dx);
    f(dy.data(), y.data(), dy.data(), many);
    report(name + " in place", dy);
}

template <class T>
void check_elementwise(const pynn::Kernels<T>& kernels) {
    check_unary<T>("relu", kernels.relu);
    check_unary<T>("sigmoid", kernels.sigmoid);
    check_unary<T>("tanh", kernels.tanh);
    check_unary<T>("exp", kernels.exp);
    check_unary<T>("softplus", kernels.softplus);
    check_unary<T>("silu", kernels.silu);
    check_unary<T>("gelu", kernels.gelu);
    check_unary<T>("gelu_tanh", kernels.gelu_tanh);
    check_unary<T>("flushed_sigmoid", kernels.flushed_sigmoid);
    check_unary<T>("flushed_exp", kernels.flushed_exp);
    check_unary<T>("flushed_softplus", kernels.flushed_softplus);
    check_unary<T>("flushed_silu", kernels.flushed_silu);
    check_unary<T>("flushed_gelu", kernels.flushed_gelu);
    check_unary<T>("flush_tiny", kernels.flush_tiny);
    check_binary<T>("relu_backward", kernels.relu_backward);
    check_binary<T>("sigmoid_backward", kernels.sigmoid_backward);
    check_binary<T>("tanh_backward", kernels.tanh_backward);
    check_binary<T>("exp_backward", kernels.exp_backward);
    check_binary<T>("softplus_backward", kernels.softplus_backward);
    check_binary<T>("silu_backward", kernels.silu_backward);
    check_binary<T>("gelu_backward", kernels.gelu_backward);
    check_binary<T>("gelu_tanh_backward", kernels.gelu_tanh_backward);
    check_binary<T>("flushed_silu_backward", kernels.flushed_silu_backward);
    check_binary<T>("flushed_gelu_backward", kernels.flushed_gelu_backward);
    for (const T factor : {T(0), T(0.3), T(-2)}) {
        check_unary<T>("scale " + std::to_string(factor),
                       [&](const T* x, T* y, index_t n) { kernels.scale(factor, x, y, n); });
    }
    const pynn::RngStream noise{0x123456789abcdef0u, 0x1fffffffeu, 3};
    for (const index_t first : {index_t(0), index_t(1), index_t(63), index_t(1) << 38}) {
        for (const std::uint32_t threshold : {0u, 0x40000000u, 0xffffffffu}) {
            check_unary<T>("dropout " + shape(first, static_cast<index_t>(threshold)),
                           [&](const T* x, T* y, index_t n) {
                               kernels.dropout(noise, threshold, T(1.3), x, y, first, n);
                           });
        }
    }
    for (const T alpha : {T(0), T(0.3), T(1), T(-2)}) {
        const std::string with = " alpha " + std::to_string(alpha);
        check_unary<T>("elu" + with, [&](const T* x, T* y, index_t n) {  //
            kernels.elu(alpha, x, y, n);
        });
        check_unary<T>("leaky_relu" + with,
                       [&](const T* x, T* y, index_t n) { kernels.leaky_relu(alpha, x, y, n); });
        check_binary<T>("elu_backward" + with, [&](const T* dy, const T* y, T* dx, index_t n) {
            kernels.elu_backward(alpha, dy, y, dx, n);
        });
        check_binary<T>("leaky_relu_backward" + with,
                        [&](const T* dy, const T* y, T* dx, index_t n) {
                            kernels.leaky_relu_backward(alpha, dy, y, dx, n);
                        });
    }
}

// ---------------------------------------------------------------- row by row

constexpr index_t row_lengths[] = {1, 2, 3, 5, 8, 10, 15, 16, 17, 23, 31, 32, 33, 46, 100, 333};

template <class T>
void check_rows(const pynn::Kernels<T>& kernels) {
    for (const index_t n : row_lengths) {
        const index_t m = n < 50 ? 61 : 19;
        for (const bool turning : {false, true}) {
            const std::string what = shape(m, n) + (turning ? " with turning points" : "");
            const auto name = [&](const char* kernel) { return title<T>(kernel) + " " + what; };
            const auto input = [&](const char* which) {
                return turning ? rows_with_turning_points<T>(m, n, name(which))
                               : ordinary<T>(m * n, name(which), 4);
            };
            const std::vector<T> x = input("x"), dy = input("dy");
            std::vector<T> y = room<T>(m * n), dx = room<T>(m * n);
            kernels.softmax(x.data(), y.data(), m, n);
            report(name("softmax"), y);
            kernels.softmax_backward(dy.data(), y.data(), dx.data(), m, n);
            report(name("softmax_backward"), dx);
            kernels.log_softmax(x.data(), y.data(), m, n);
            report(name("log_softmax"), y);
            kernels.log_softmax_backward(dy.data(), y.data(), dx.data(), m, n);
            report(name("log_softmax_backward"), dx);
            std::vector<T> same = x;
            kernels.softmax(same.data(), same.data(), m, n);
            report(name("softmax in place"), same);
            same = x;
            kernels.log_softmax(same.data(), same.data(), m, n);
            report(name("log_softmax in place"), same);
        }
    }
}

template <class T>
void check_sums(const pynn::Kernels<T>& kernels) {
    for (const index_t m : {0, 1, 5, 511, 512, 513, 1100}) {
        const std::string name = title<T>("column_sums of " + std::to_string(m) + " rows");
        std::vector<T> all;
        for (const index_t n : {1, 2, 3, 4, 7, 16, 17, 33, 46, 64, 67, 130}) {
            const std::vector<T> x = ordinary<T>(m * (n + 3), name + std::to_string(n));
            std::vector<T> out = room<T>(n);
            kernels.column_sums(x.data(), n + 3, out.data(), m, n);
            append(all, out);
        }
        report(name, all);
    }
    for (const index_t m : {0, 1, 5, 100}) {
        const std::string name = title<T>("clip_column_norms of " + std::to_string(m) + " rows");
        std::vector<T> all;
        for (const index_t n : {1, 2, 3, 4, 7, 16, 17, 33, 46}) {
            std::vector<T> x = ordinary<T>(m * (n + 3), name + std::to_string(n));
            kernels.clip_column_norms(T(2), x.data(), n + 3, m, n);
            append(all, x);
        }
        report(name, all);
    }
    std::vector<double> sums, squares, sizes;
    std::vector<T> finite;
    for (index_t n = 0; n < 2000; n += n < 70 ? 1 : 643) {
        std::vector<T> x = ordinary<T>(n, title<T>("sum of ") + std::to_string(n));
        sums.push_back(kernels.sum(x.data(), n));
        squares.push_back(kernels.sum_squares(x.data(), n));
        sizes.push_back(kernels.sum_abs(x.data(), n));
        finite.push_back(kernels.all_finite(x.data(), n));
        for (index_t i = 0; i < n; i += n < 70 ? 1 : 29) {
            T& odd = x[static_cast<std::size_t>(i)];
            const T before = odd;
            odd = turning_points<T>()[static_cast<std::size_t>(i % 4)];  // infinite or NaN
            finite.push_back(kernels.all_finite(x.data(), n));
            sums.push_back(kernels.sum(x.data(), n));
            odd = before;
        }
    }
    report(title<T>("sum"), sums);
    report(title<T>("sum_squares"), squares);
    report(title<T>("sum_abs"), sizes);
    report(title<T>("all_finite"), finite);
}

template <class T>
void check_loss(const std::string& what, void (*loss)(const pynn::LossRows<T>&)) {
    for (const index_t n : row_lengths) {
        for (const index_t m : {1, 16, 37}) {
            for (const bool turning : {false, true}) {
                const std::string name =
                    title<T>(what + " " + shape(m, n) + (turning ? " with turning points" : ""));
                std::vector<T> z =
                    turning ? rows_with_turning_points<T>(m, n, name) : ordinary<T>(m * n, name, 4);
                std::vector<T> target = ordinary<T>(m * n, name + "target");
                Random random(name + "labels");
                std::vector<std::int64_t> labels(static_cast<std::size_t>(m));
                // (A single output of the sigmoid has labels 0 and 1.)
                const index_t classes = n == 1 && what != "softmax_cross_entropy" ? 2 : n;
                for (std::int64_t& label : labels) label = random.below(classes);
                std::vector<T> gradient = room<T>(m * n), losses = room<T>(m);
                pynn::LossRows<T> rows{};
                rows.m = m;
                rows.n = n;
                rows.z = z.data();
                rows.scale = T(1) / static_cast<T>(m);
                rows.gradient = gradient.data();
                rows.loss = losses.data();
                rows.delta = T(0.75);
                const std::vector<T> quantile = ordinary<T>(n, name + "quantile");
                rows.quantile = quantile.data();

                rows.labels = labels.data();
                loss(rows);
                report(name + " labels", losses);
                report(name + " labels gradient", gradient);
                rows.labels = nullptr;
                rows.target = target.data();
                loss(rows);
                report(name + " values", losses);
                report(name + " values gradient", gradient);
                rows.gradient = z.data();
                loss(rows);
                report(name + " values gradient in place", z);
            }
        }
    }
}

template <class T>
void check_updates(const pynn::Kernels<T>& kernels) {
    using pynn::Rule;
    const std::pair<const char*, Rule> rules[] = {
        {"copy", Rule::store_gradient}, {"sgd", Rule::sgd},   {"momentum", Rule::momentum},
        {"nesterov", Rule::nesterov},   {"adam", Rule::adam}, {"rmsprop", Rule::rmsprop}};
    for (const auto& [rule_name, rule] : rules)
        for (const bool penalized : {false, true}) {
            const std::string name =
                title<T>(std::string("update ") + rule_name + (penalized ? " with penalties" : ""));
            pynn::OptimizerStep<T> u{};
            if (penalized) u.l1 = T(0.01), u.l2 = T(0.3);
            u.rule = rule;
            u.rate = T(0.1);
            u.decay = T(0.99);
            u.beta1 = T(0.9);
            u.beta2 = T(0.95);
            u.one_minus_beta1 = T(1 - 0.9);
            u.one_minus_beta2 = T(1 - 0.95);
            u.epsilon = T(1e-8);
            std::vector<T> all;
            const auto run = [&](const std::vector<T>& g, std::vector<T> w, std::vector<T> m,
                                 std::vector<T> v, int steps) {
                u.w = w.data();
                u.p = w.data();
                u.m = m.data();
                u.v = v.data();
                for (int i = 0; i < steps; ++i) {
                    kernels.update(u, g.data(), 0, static_cast<index_t>(g.size()));
                }
                append(all, w);
                append(all, m);
                append(all, v);
            };
            for (index_t n = 0; n < tails; ++n) {
                run(ordinary<T>(n, name + "g"), room<T>(n), room<T>(n), room<T>(n), 3);
            }
            std::vector<T> v = ordinary<T>(many, name + "v");
            for (T& x : v) x = x * x;
            run(mixed<T>(many, name + "g"), ordinary<T>(many, name + "w"),
                ordinary<T>(many, name + "m"), v, 1);
            report(name, all);
        }
}

// ---------------------------------------------------------------- products

enum class Layout { rows, columns, strided, reversed, paged, paged_columns };

const char* name_of(Layout layout) {
    constexpr const char* names[] = {"rows",     "columns", "strided",
                                     "reversed", "paged",   "paged-columns"};
    return names[static_cast<int>(layout)];
}

// A matrix in a block of memory that ends where it ends.
template <class T>
struct Matrix {
    std::vector<T> values;
    const T* start;
    index_t row, column;

    Matrix(index_t m, index_t n, Layout layout, const std::string& seed, bool turning) {
        const auto pages = [](index_t k) { return (k + 1023) / 1024 * 1024; };
        switch (layout) {
            case Layout::rows:
                row = n + 1, column = 1;
                break;
            case Layout::columns:
                row = 1, column = m + 1;
                break;
            case Layout::strided:
            case Layout::reversed:
                row = 2 * n + 3, column = 2;
                break;
            case Layout::paged:
                row = pages(n), column = 1;
                break;
            case Layout::paged_columns:
                row = 1, column = pages(m);
                break;
        }
        const index_t last = m == 0 || n == 0 ? 0 : (m - 1) * row + (n - 1) * column;
        values =
            turning ? rows_with_turning_points<T>(1, last + 1, seed) : ordinary<T>(last + 1, seed);
        start = values.data();
        if (layout == Layout::reversed) {
            start += last;
            row = -row;
            column = -column;
        }
    }
};

constexpr const char* epilogues[] = {"store",     "bias",  "bias and relu",
                                     "times 0.7", "scale", "relu_backward"};
constexpr int epilogue_count = 6;

// With a workspace, of which what packing leaves out is NaN.
template <class T>
void multiply(const pynn::Kernels<T>& kernels, pynn::Gemm<T> g) {
    const auto bytes = static_cast<std::size_t>(kernels.gemm_workspace(g));
    std::vector<T> workspace(bytes / sizeof(T) + 64 / sizeof(T),
                             std::numeric_limits<T>::quiet_NaN());
    const auto address = reinterpret_cast<std::uintptr_t>(workspace.data());
    g.workspace = reinterpret_cast<void*>((address + 63) / 64 * 64);
    kernels.gemm(g);
}

// The product's c, with what stands between its rows.
template <class T>
std::vector<T> product(const pynn::Kernels<T>& kernels, index_t m, index_t k, index_t n, Layout a,
                       Layout b, int epilogue, index_t gap, const std::string& seed,
                       bool turning = false) {
    using L = std::numeric_limits<T>;
    const Matrix<T> left(m, k, a, seed + "a", turning), right(k, n, b, seed + "b", turning);
    const index_t c_row = n + gap;
    std::vector<T> c = ordinary<T>(m * c_row + 20, seed + "c");
    const std::vector<T> y = ordinary<T>(m * c_row, seed + "y");
    const std::vector<T> bias = ordinary<T>(n, seed + "bias");
    pynn::Gemm<T> g{};
    g.m = m;
    g.n = n;
    g.k = k;
    g.a = left.start;
    g.a_row = left.row;
    g.a_col = left.column;
    g.b = right.start;
    g.b_row = right.row;
    g.b_col = right.column;
    g.c = c.data();
    g.c_row = c_row;
    switch (epilogue) {
        case 0:
            g.epilogue = Epilogue::store;
            break;
        case 1:
        case 2:
            g.epilogue = Epilogue::bias;
            g.bias = bias.data();
            g.floor = epilogue == 1 ? -L::infinity() : T(0);
            break;
        case 3:
        case 4:
            g.epilogue = Epilogue::scale;
            g.alpha = T(0.7);
            g.beta = epilogue == 3 ? T(0) : T(-0.3);
            if (epilogue == 3) c.assign(c.size(), L::quiet_NaN());  // not read
            break;
        default:
            g.epilogue = Epilogue::relu_backward;
            g.y = y.data();
            g.y_row = c_row;
    }
    multiply(kernels, g);
    return c;
}

// Several pieces whose a lies in rows, in columns, or behind a table of either; in one product and
// in two, of which the second continues the first one's sums.
template <class T>
void check_pieces(const pynn::Kernels<T>& kernels) {
    const index_t m = 31, n = 45;
    for (const int kind : {0, 1, 2, 3}) {
        for (const index_t count : {1, 2, 6}) {
            for (const index_t k : {1, 9, 70, 300}) {
                const std::string name =
                    title<T>("gemm pieces " + std::to_string(kind) + " " + std::to_string(count) +
                             " of " + std::to_string(k));
                Random random(name);
                const std::vector<T> a = ordinary<T>(count * (m + 3) * (k + 3), name + "a");
                const std::vector<T> b = ordinary<T>(count * k * (n + 2), name + "b");
                std::vector<std::int32_t> table;
                for (index_t i = 0; i < count * (m + k); ++i) {
                    table.push_back(static_cast<std::int32_t>(random.below(3 * m) - m / 2));
                }
                std::vector<pynn::GemmPiece<T>> pieces;
                for (index_t i = 0; i < count; ++i) {
                    pynn::GemmPiece<T> p{};
                    p.k = k;
                    p.a = a.data() + i * k;
                    p.a_row = kind == 0 ? k + 2 : 1;
                    p.a_col = kind == 1 ? m + 1 : 1;
                    if (kind == 2) p.a_rows = table.data() + i * m;
                    if (kind == 3) p.a_cols = table.data() + i * k;
                    p.b = b.data() + i * k * (n + 2);
                    p.b_row = count == 2 ? 1 : n + 2;
                    p.b_col = count == 2 ? k : 1;
                    pieces.push_back(p);
                }
                pynn::Gemm<T> g{};
                g.m = m;
                g.n = n;
                g.k = count * k;
                g.c_row = n + 1;
                g.pieces = pieces.data();
                g.piece_count = count;
                std::vector<T> whole = room<T>(m * (n + 1)), parts = whole, open = whole;
                g.c = whole.data();
                multiply(kernels, g);
                report(name, whole);
                if (count == 1) continue;
                g.c = parts.data();
                g.k = k;
                g.piece_count = 1;
                g.acc_out = open.data();
                g.acc_out_row = n + 1;
                multiply(kernels, g);
                g.k = (count - 1) * k;
                g.pieces = pieces.data() + 1;
                g.piece_count = count - 1;
                g.k_before = k;
                g.acc_in = open.data();
                g.acc_in_row = n + 1;
                g.acc_out = nullptr;
                multiply(kernels, g);
                report(name + " in two", parts);
            }
        }
    }
}

template <class T>
void check_products(const pynn::Kernels<T>& kernels) {
    // Every tile with every part of a last vector, from a and b where they are and packed.
    for (index_t m = 1; m <= 30; ++m) {
        for (const Layout b : {Layout::rows, Layout::columns}) {
            const std::string name =
                title<T>("gemm edges m " + std::to_string(m) + " b " + name_of(b));
            std::vector<T> all;
            for (index_t n = 1; n <= 131; n += n < 36 ? 1 : 5) {
                const auto epilogue = static_cast<int>((m + n) % epilogue_count);
                append(all, product(kernels, m, 4, n, Layout::rows, b, epilogue, m % 3,
                                    name + std::to_string(n)));
            }
            report(name, all);
        }
    }
    const auto check = [&](index_t m, index_t k, index_t n, Layout a, Layout b, int epilogue,
                           bool turning) {
        std::string name =
            title<T>("gemm " + shape(m, k, n) + " a " + name_of(a) + " b " + name_of(b) + " " +
                     epilogues[epilogue] + (turning ? " with turning points" : ""));
        std::vector<T> all =
            product(kernels, m, k, n, a, b, epilogue, 0, name + "contiguous", turning);
        append(all, product(kernels, m, k, n, a, b, epilogue, 3, name + "apart", turning));
        report(name, all);
    };
    struct Shape {
        index_t m, k, n;
    };
    for (const Shape s :
         {Shape{1, 1, 1}, Shape{1, 0, 1}, Shape{5, 0, 7}, Shape{1, 45, 10}, Shape{45, 10, 1},
          Shape{19, 1, 35}, Shape{7, 46, 17}, Shape{33, 100, 45}, Shape{3, 513, 5},
          Shape{70, 40, 10}, Shape{70, 40, 5}, Shape{1, 1025, 46}, Shape{46, 1100, 1}}) {
        for (const Layout a : {Layout::rows, Layout::columns, Layout::strided, Layout::reversed}) {
            for (const Layout b :
                 {Layout::rows, Layout::columns, Layout::strided, Layout::reversed}) {
                for (int e = 0; e < epilogue_count; ++e) {
                    check(s.m, s.k, s.n, a, b, e, false);
                    // (Two infinite factors and more would make everything NaN.)
                    if (a == b && s.k < 50) check(s.m, s.k, s.n, a, b, e, true);
                }
            }
        }
    }
    // Where a long k is cut.
    for (const index_t k : {2, 3, 511, 512, 513, 1023, 1024, 1025, 1537}) {
        for (int e = 0; e < epilogue_count; ++e) {
            check(5, k, 19, Layout::rows, Layout::rows, e, false);
            check(1, k, 33, Layout::columns, Layout::columns, e, false);
            check(33, k, 1, Layout::rows, Layout::rows, e, false);
        }
    }
    // What is packed and cut into blocks: rows that are pages apart, wide b.
    for (int e = 0; e < epilogue_count; ++e) {
        check(31, 70, 131, Layout::paged, Layout::paged, e, false);
        check(31, 70, 131, Layout::paged_columns, Layout::paged_columns, e, false);
        check(3, 7, 1101, Layout::rows, Layout::columns, e, false);
    }
    check(233, 530, 131, Layout::paged, Layout::paged, 4, false);
    check(233, 530, 131, Layout::paged_columns, Layout::columns, 5, false);
    check(29, 520, 1101, Layout::paged, Layout::paged, 2, false);
}

// Rows as tiles turn them, and what a sparse matrix needs.
template <class T>
void check_copies(const pynn::Kernels<T>& kernels) {
    for (const index_t rows : {1, 3, 8, 17, 40}) {
        for (const index_t columns : {1, 4, 15, 33}) {
            const std::string name = title<T>("copy " + shape(rows, columns));
            Random random(name);
            std::vector<T> from(static_cast<std::size_t>(rows * columns));
            for (T& x : from) x = random.uniform<T>();
            std::vector<T> all;
            for (const bool turned : {false, true}) {
                std::vector<T> to = room<T>(rows * (columns + 2));
                kernels.copy(from.data(), turned ? 1 : columns, turned ? rows : 1, rows, columns,
                             to.data(), columns + 2);
                append(all, to);
            }
            report(name, all);
        }
    }
}

template <class T>
void check_sparse(const pynn::Kernels<T>& kernels) {
    constexpr index_t width = 1600;  // beyond two cuts of a long sum
    for (index_t n = 1; n <= 150; n += n < 36 ? 1 : 19) {
        const std::string name = std::to_string(n);
        Random random(name);
        std::vector<T> b(static_cast<std::size_t>(width * n)), bias(static_cast<std::size_t>(n));
        for (T& x : b) x = random.uniform<T>();
        for (T& x : bias) x = random.uniform<T>();
        std::vector<T> products, sums;
        for (const index_t step : {1, 7, 90, 700}) {
            std::vector<std::int32_t> columns;
            std::vector<T> values;
            for (index_t j = random.below(step); j < width; j += 1 + random.below(step)) {
                columns.push_back(static_cast<std::int32_t>(j));
                values.push_back(random.uniform<T>());
            }
            const auto count = static_cast<index_t>(columns.size());
            for (const int kind : {0, 1, 2}) {  // alone, with bias, with bias and ReLU
                std::vector<T> c = room<T>(n);
                pynn::SparseProduct<T> p{};
                p.n = n;
                p.count = count;
                p.columns = columns.data();
                p.values = values.data();
                p.b = b.data();
                p.b_row = n;
                p.b_exceeds_l2 = kind == 1;
                p.c = c.data();
                p.bias = kind > 0 ? bias.data() : nullptr;
                p.floor = kind > 1 ? T(0) : -std::numeric_limits<T>::infinity();
                kernels.sparse_product(p);
                append(products, c);
            }
            std::vector<T> c = room<T>(width * n);
            std::vector<std::uint8_t> touched(static_cast<std::size_t>(width));
            pynn::SparseOuter<T> p{};
            p.n = n;
            p.count = count;
            p.columns = columns.data();
            p.values = values.data();
            p.row = bias.data();
            p.c = c.data();
            p.touched = touched.data();
            kernels.sparse_outer(p);
            append(sums, c);
            for (const std::uint8_t mark : touched) sums.push_back(T(mark));
        }
        report(title<T>("sparse_product " + name), products);
        report(title<T>("sparse_outer " + name), sums);
    }
}

template <class T>
void check_all(const pynn::Kernels<T>& kernels) {
    check_elementwise(kernels);
    check_rows(kernels);
    check_sums(kernels);
    check_loss<T>("softmax_cross_entropy", kernels.softmax_cross_entropy);
    check_loss<T>("sigmoid_cross_entropy", kernels.sigmoid_cross_entropy);
    check_loss<T>("squared_error", kernels.squared_error);
    check_loss<T>("absolute_error", kernels.absolute_error);
    check_loss<T>("huber", kernels.huber);
    check_loss<T>("pinball", kernels.pinball);
    check_loss<T>("poisson", kernels.poisson);
    check_loss<T>("poisson_of_mean", kernels.poisson_of_mean);
    check_updates(kernels);
    check_products(kernels);
    check_pieces(kernels);
    check_copies(kernels);
    check_sparse(kernels);
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1) wanted = arguments[1];
    if (wanted.empty()) std::printf("fused: %s\n", pynn::PYNN_ISA_TABLE.fused ? "yes" : "no");
    check_all(pynn::PYNN_ISA_TABLE.f32);
    check_all(pynn::PYNN_ISA_TABLE.f64);
    return 0;
}
