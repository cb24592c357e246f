#include "nn/network.h"

#include <algorithm>
#include <atomic>

#include "threads/barrier.h"
#include "threads/oversubscription.h"
#include "threads/team.h"

namespace pynn {
namespace {

// A block of rows stays in the L2 cache beside the weights, or takes most of it where they do not.
constexpr index_t l2_block_bytes = 256 * 1024, far_block_bytes = 1024 * 1024;
constexpr index_t min_block_rows = 28, max_block_rows = 512;

}  // namespace

template <class T>
Network<T>::Network(std::vector<std::unique_ptr<Layer<T>>> layers, std::unique_ptr<Loss<T>> loss)
    : layers_(std::move(layers)), loss_(std::move(loss)) {
    constexpr index_t line = 64 / sizeof(T);
    max_width_ = inputs();
    for (index_t i = 0; i < layer_count(); ++i) {
        Layer<T>& layer = *layers_[static_cast<std::size_t>(i)];
        max_width_ = std::max(max_width_, layer.outputs());
        max_output_width_ = std::max(max_output_width_, layer.outputs());
        if (const index_t count = layer.parameter_count()) {
            parameter_groups_.push_back({i, parameter_count_, i + 1});
            layer.set_parameter_offset(parameter_count_);
            parameter_count_ += (count + line - 1) / line * line;
        } else if (layer.active_in_inference() && !parameter_groups_.empty() &&
                   parameter_groups_.back().stop == i) {
            parameter_groups_.back().stop = i + 1;
        }
        for (index_t piece = 0; piece < layer.penalty_pieces(); ++piece) {
            penalties_.push_back({i, piece});
        }
    }
}

template <class T>
index_t Network<T>::first_output_bias() const {
    const ParameterGroup& last = parameter_groups_.back();
    const Layer<T>& layer = this->layer(last.layer);
    return last.offset + layer.inputs() * layer.outputs();
}

template <class T>
bool Network<T>::is_constrained() const {
    return std::any_of(layers_.begin(), layers_.end(),
                       [](const auto& layer) { return layer->is_constrained(); });
}

template <class T>
double Network<T>::forward_flops() const {
    double total = 0;
    for (const auto& layer : layers_) total += 2.0 * static_cast<double>(layer->parameter_count());
    return total;
}

// Backward costs twice as much as forward, less the first layer's input gradient.
template <class T>
double Network<T>::step_flops() const {
    return 3.0 * forward_flops() -
           2.0 * static_cast<double>(layer(parameter_groups_.front().layer).parameter_count());
}

// Of the first layer's parameters a row needs those of its stored values only.
template <class T>
double Network<T>::forward_flops(double stored) const {
    const Layer<T>& first = layer(parameter_groups_.front().layer);
    const double outputs = static_cast<double>(first.outputs());
    return forward_flops() - 2.0 * static_cast<double>(first.parameter_count()) +
           2.0 * stored * outputs;
}

template <class T>
double Network<T>::step_flops(double stored) const {
    const Layer<T>& first = layer(parameter_groups_.front().layer);
    const double outputs = static_cast<double>(first.outputs());
    return 3.0 * forward_flops(stored) - 2.0 * stored * outputs;
}

// Few rows and large parameters: the threads divide each layer.
template <class T>
void Network<T>::forward_partitioned(const Matrix& x, index_t layers, bool predictions, int threads,
                                     T* out) const {
    // All of it is the caller's: nobody may throw while the others wait.
    thread_local std::vector<Scratch<T>> scratches;
    thread_local Buffer<T> buffers[3];
    if (scratches.size() < static_cast<std::size_t>(threads)) {
        scratches = std::vector<Scratch<T>>(static_cast<std::size_t>(threads));
    }
    for (Scratch<T>& scratch : scratches) {
        scratch.parameters_exceed_l2 = true;
        for (index_t l = 0; l < layers; ++l) layer(l).reserve(x.rows, scratch);
    }
    T* const between[] = {buffers[0].reserve(x.rows * max_width_),
                          buffers[1].reserve(x.rows * max_width_)};
    const T* const there = in_place<T>(x, 0);
    T* const gathered = there ? nullptr : buffers[2].reserve(x.rows * inputs());
    Scratch<T>* const first_scratch = scratches.data();
    const index_t n_out = layer(layers - 1).outputs();
    Barrier barrier;
    run_team(threads, [&](int index, int count) {
        const TeamThread thread{index, count, barrier};
        const Range own = partition(x.rows, index, count);
        if (gathered) {
            gather(x, nullptr, own.begin, own.size(), gathered + own.begin * inputs());
            thread.wait();
        }
        const T* input = there ? there : gathered;
        int turn = 0;
        for (index_t l = 0; l < layers; ++l) {
            if (!layer(l).active_in_inference()) continue;
            T* const output = l == layers - 1 ? out : between[turn];
            layer(l).forward_part(parameters_, input, output, x.rows, index, count,
                                  first_scratch[index]);
            thread.wait();
            input = output;
            turn = 1 - turn;
        }
        if (predictions) loss_->predict(out + own.begin * n_out, own.size(), n_out);
    });
}

template <class T>
void Network<T>::forward(const Matrix& x, index_t layers, bool predictions, T* out,
                         Watch* watch) const {
    // Blocks of rows go through all layers while they are in the L2 cache, beside the weights.
    // Those that are not there are fetched again for each block, so the blocks are large.
    const bool far = parameters_exceed_l2();
    const index_t block_bytes = far ? far_block_bytes : l2_block_bytes;
    const index_t width = in_place<T>(x, 0) ? max_output_width_ : max_width_;
    const index_t fitting = block_bytes / static_cast<index_t>(sizeof(T)) / width;
    const int threads =
        threads_for(forward_flops() * static_cast<double>(x.rows), max_parts(x.rows));
    constexpr index_t many_rows = 512;
    if (partitions_layers(threads) && x.rows < many_rows) {
        forward_partitioned(x, layers, predictions, threads, out);
        return;
    }
    // Threads take what is next, several times each: one that is slow (its processor is shared)
    // gets less. But each block reads all weights. No bit of a row depends on the rows beside it.
    const index_t turns = far || threads == 1 ? 1 : 4;
    constexpr index_t worth_reading = 16;
    const auto rows_per = [&](index_t blocks) { return (x.rows + blocks - 1) / blocks; };
    const index_t share =
        std::max(rows_per(turns * threads), std::min(rows_per(threads), worth_reading));
    const index_t block = std::min(share, std::clamp(fitting, min_block_rows, max_block_rows));
    std::atomic<index_t> next{0};
    const index_t n_out = layer(layers - 1).outputs();
    const auto work = [&](int index, int count) {
        thread_local Scratch<T> scratch;
        thread_local Buffer<T> buffers[3];
        scratch.parameters_exceed_l2 = far;
        index_t done = 0;
        for (;;) {
            if (watch && index == 0) watch->look();
            const index_t first = next.fetch_add(block, std::memory_order_relaxed);
            if (first >= x.rows || (watch && watch->stopped())) break;
            const index_t rows = std::min(block, x.rows - first);
            const T* input = in_place<T>(x, first);
            if (!input) {
                T* const gathered = buffers[2].reserve(block * inputs());
                gather(x, nullptr, first, rows, gathered);
                input = gathered;
            }
            T* const result = out + first * n_out;
            int turn = 0;
            for (index_t l = 0; l < layers; ++l) {
                if (!layer(l).active_in_inference()) continue;
                T* const output =
                    l == layers - 1 ? result : buffers[turn].reserve(block * max_width_);
                layer(l).forward(parameters_, input, output, rows, scratch);
                input = output;
                turn = 1 - turn;
            }
            if (predictions) loss_->predict(result, rows, n_out);
            done += rows;
        }
        if (index == 0 && count > 1) {
            TeamTimer::set_share(static_cast<double>(done) / static_cast<double>(x.rows));
        }
    };
    run_team(threads, work);
}

template <class T>
Changed Network<T>::forward(const CsrMatrix& x, index_t layers, bool predictions, T* out,
                            Watch* watch) const {
    const bool far = parameters_exceed_l2(true);
    const index_t block_bytes = far ? far_block_bytes : l2_block_bytes;
    const index_t fitting = block_bytes / static_cast<index_t>(sizeof(T)) / max_output_width_;
    const index_t stored = x.rows > 0 ? x.start(x.rows) - x.start(0) : 0;
    const double per_row =
        static_cast<double>(stored) / static_cast<double>(std::max<index_t>(x.rows, 1));
    const int threads =
        threads_for(forward_flops(per_row) * static_cast<double>(x.rows), max_parts(x.rows, true));
    const index_t share = (x.rows + 4 * threads - 1) / (4 * threads);
    const index_t block =
        std::max<index_t>(1, std::min(share, std::clamp(fitting, min_block_rows, max_block_rows)));
    const index_t longest = max_row_nnz(x);
    const index_t lowest = parameter_groups_.front().layer, n_out = layer(layers - 1).outputs();
    const SparseBatch<T> batch{&x, nullptr, 0, x.rows, nullptr, nullptr};
    std::atomic<index_t> next{0}, bad_row{-1};
    const auto work = [&](int index, int) {
        Scratch<T> scratch;
        scratch.parameters_exceed_l2 = far;
        scratch.sparse.space.reserve(longest);
        Buffer<T> buffers[2];
        for (;;) {
            if (watch && index == 0) watch->look();
            const index_t first = next.fetch_add(block, std::memory_order_relaxed);
            if (first >= x.rows || (watch && watch->stopped())) break;
            const index_t rows = std::min(block, x.rows - first);
            T* const result = out + first * n_out;
            int turn = 0;
            const T* input = nullptr;
            for (index_t l = lowest; l < layers; ++l) {
                if (!layer(l).active_in_inference()) continue;
                T* const output =
                    l == layers - 1 ? result : buffers[turn].reserve(block * max_output_width_);
                if (l == lowest) {
                    const Range own{first, first + rows};
                    layer(l).forward_sparse(parameters_, batch, own, output, scratch);
                } else {
                    layer(l).forward(parameters_, input, output, rows, scratch);
                }
                input = output;
                turn = 1 - turn;
            }
            if (predictions) loss_->predict(result, rows, n_out);
        }
        if (scratch.sparse.space.bad_row >= 0) bad_row = scratch.sparse.space.bad_row;
    };
    run_team(threads, work);
    return {bad_row};
}

template class Network<float>;
template class Network<double>;

}  // namespace pynn
