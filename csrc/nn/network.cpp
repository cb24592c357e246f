#include "nn/network.h"

#include <algorithm>
#include <atomic>

#include "threads/barrier.h"
#include "threads/oversubscription.h"
#include "threads/team.h"

namespace pynn {
namespace {

// A block of rows stays in the L2 cache with the weights, or takes most of it where they do not.
constexpr index_t l2_block_bytes = 256 * 1024, far_block_bytes = 1024 * 1024;
constexpr index_t min_block_rows = 28, max_block_rows = 512;

template <class T>
index_t round_to_line(index_t n) {
    constexpr index_t line = 64 / sizeof(T);
    return (n + line - 1) / line * line;
}

}  // namespace

template <class T>
Network<T>::Network(std::vector<Node<T>> nodes, const Shape& input, std::unique_ptr<Loss<T>> loss,
                    bool target_per_position)
    : nodes_(std::move(nodes)), input_(input), loss_(std::move(loss)) {
    connect();
    place_parameters();
    assign_buffers();
    find_trainable();
    if (target_per_position) target_positions_ = shapes_.back().out.positions();
    for (index_t i = 0; i < layer_count(); ++i) {
        has_statistics_ |= node(i).has_statistics;
        if (const index_t n = layer(i).vocabulary()) {
            vocabulary_ = vocabulary_ > 0 ? std::min(vocabulary_, n) : n;
        }
        forward_flops_ += layer(i).flops(shape(i).in);
        for (index_t piece = 0; piece < layer(i).penalty_pieces(); ++piece) {
            penalties_.push_back({i, piece});
        }
    }
}

// Shapes, the readers of each output, and who of them adds to its gradient: all but the last, which
// comes first on the way back.
template <class T>
void Network<T>::connect() {
    max_width_ = inputs();
    max_positions_ = 1;
    for (index_t i = 0; i < layer_count(); ++i) {
        Node<T>& node = nodes_[static_cast<std::size_t>(i)];
        const index_t from = node.inputs[0];
        LayerShape shape;
        shape.in = node.reshapes ? node.reshaped : from < 0 ? input_ : this->shape(from).out;
        node.layer->set_input_shape(shape.in);
        shape.out = node.layer->output_shape(shape.in);
        shape.saved = node.layer->saved_size(shape.in);
        shape.in_size = shape.in.size();
        shape.out_size = shape.out.size();
        shape.in_positions = shape.in.positions();
        node.has_statistics = node.layer->statistics_size() > 0;
        node.activation = node.layer->activation();
        shapes_.push_back(shape);
        max_width_ = std::max(max_width_, shape.out.size());
        max_output_width_ = std::max(max_output_width_, shape.out.size());
        max_positions_ = std::max(max_positions_, shape.out.positions());
        for (const index_t input : node.inputs) {
            if (input >= 0) nodes_[static_cast<std::size_t>(input)].readers += 1;
        }
    }
    std::vector<bool> has_gradient(nodes_.size() + 1, false);
    for (index_t i = layer_count() - 1; i >= 0; --i) {
        Node<T>& node = nodes_[static_cast<std::size_t>(i)];
        for (int k = 0; k < 2; ++k) {
            if (node.inputs[k] == no_input) continue;
            const std::size_t at = static_cast<std::size_t>(node.inputs[k] + 1);
            node.accumulates[k] = has_gradient[at];
            has_gradient[at] = true;
        }
    }
}

template <class T>
void Network<T>::place_parameters() {
    for (index_t i = 0; i < layer_count(); ++i) {
        Node<T>& node = nodes_[static_cast<std::size_t>(i)];
        node.parameters = node.layer->parameter_count();
        node.state = node.layer->state_count();
        node.offset = parameter_count_;
        if (node.parameters == 0) continue;
        parametric_.push_back(i);
        parameter_count_ += round_to_line<T>(node.parameters);
    }
    block_size_ = parameter_count_;
    for (Node<T>& node : nodes_) {
        node.state_offset = block_size_;
        block_size_ += round_to_line<T>(node.state);
        if (node.parameters > 0 || node.state > 0) {
            node.layer->set_offsets(node.offset, node.state_offset);
        }
    }
}

// In inference an output is needed until its last reader has run: then its buffer is free for
// another. A chain needs two.
template <class T>
void Network<T>::assign_buffers() {
    std::vector<index_t> last_reader(nodes_.size(), -1);
    for (index_t i = 0; i < layer_count(); ++i) {
        Node<T>& node = nodes_[static_cast<std::size_t>(i)];
        const index_t from = node.inputs[0];
        node.value = node.layer->active_in_inference() ? i : value_of(from);
        for (const index_t input : node.inputs) {
            const index_t value = value_of(input);
            if (value >= 0 && node.value == i) last_reader[static_cast<std::size_t>(value)] = i;
        }
    }
    std::vector<index_t> owner;  // by buffer: the node whose output is in it
    for (index_t i = 0; i < layer_count(); ++i) {
        Node<T>& node = nodes_[static_cast<std::size_t>(i)];
        if (node.value != i) continue;
        std::size_t b = 0;
        while (b < owner.size() && last_reader[static_cast<std::size_t>(owner[b])] >= i) ++b;
        if (b == owner.size()) owner.push_back(i);
        owner[b] = i;
        node.buffer = static_cast<index_t>(b);
    }
    buffers_ = static_cast<index_t>(owner.size());
}

template <class T>
void Network<T>::set_trainable(index_t layer, index_t parameter, bool trainable) {
    Node<T>& changed = nodes_[static_cast<std::size_t>(layer)];
    const uint32_t bit = uint32_t{1} << parameter;
    changed.frozen = trainable ? changed.frozen & ~bit : changed.frozen | bit;
    find_trainable();
}

template <class T>
void Network<T>::find_trainable() {
    trainable_ranges_.clear();
    lowest_trainable_ = layer_count();
    for (const index_t i : parametric_) {
        Node<T>& node = nodes_[static_cast<std::size_t>(i)];
        node.trainable = false;
        const index_t row = node.layer->sparse_row();
        const auto continues = [&](index_t begin) {
            return row == 0 && !trainable_ranges_.empty() && trainable_ranges_.back().row == 0 &&
                   trainable_ranges_.back().range.end == begin;
        };
        Range own{node.offset, node.offset};
        uint32_t bit = 1;
        for (const ParameterSpec& p : node.layer->parameters()) {
            if (!p.trained) continue;
            own = {own.end, own.end + p.size()};
            if ((node.frozen & bit) == 0) {
                node.trainable = true;
                if (continues(own.begin)) {
                    trainable_ranges_.back().range.end = own.end;
                } else {
                    trainable_ranges_.push_back({own, row});
                }
            }
            bit <<= 1;
        }
        if (node.trainable) lowest_trainable_ = std::min(lowest_trainable_, i);
        // What lies between two layers' parameters belongs to the first.
        if (continues(own.end)) {
            trainable_ranges_.back().range.end = node.offset + round_to_line<T>(node.parameters);
        }
    }
}

template <class T>
index_t Network<T>::first_output_bias() const {
    const index_t offset = parametric_.empty() ? -1 : layer(parametric_.back()).bias_offset();
    return offset >= 0 ? offset : parameter_count_;
}

template <class T>
bool Network<T>::is_constrained() const {
    return std::any_of(nodes_.begin(), nodes_.end(),
                       [](const auto& node) { return node.layer->is_constrained(); });
}

// Backward costs twice as much as forward, less the first layer's input gradient.
template <class T>
double Network<T>::step_flops() const {
    const index_t first = first_parametric();
    return 3.0 * forward_flops() - layer(first).flops(shape(first).in);
}

// Of the first layer's parameters a row needs those of its stored values only.
template <class T>
double Network<T>::forward_flops(double stored) const {
    const index_t first = first_parametric();
    const double outputs = static_cast<double>(shape(first).out.size());
    return forward_flops() - layer(first).flops(shape(first).in) + 2.0 * stored * outputs;
}

template <class T>
double Network<T>::step_flops(double stored) const {
    const double outputs = static_cast<double>(shape(first_parametric()).out.size());
    return 3.0 * forward_flops(stored) - 2.0 * stored * outputs;
}

template <class T>
void Network<T>::forward_block(index_t first, index_t last, const T* input, const int64_t* tokens,
                               const T* below, index_t rows, index_t block, T* result,
                               std::vector<Buffer<T>>& buffers, Scratch<T>& scratch) const {
    const auto output_of = [&](index_t i) -> const T* {
        const index_t value = value_of(i);
        if (value == network_input) return input;
        if (value < first) return below;
        return buffers[static_cast<std::size_t>(node(value).buffer)].data();
    };
    if (last == network_input) std::copy(input, input + rows * inputs(), result);
    for (index_t i = first; i <= last; ++i) {
        const Node<T>& n = node(i);
        if (n.value != i) continue;
        T* const y = i == last
                         ? result
                         : buffers[static_cast<std::size_t>(n.buffer)].reserve(block * max_width_);
        n.layer->forward(io(i, rows, input, tokens, output_of, y), scratch);
    }
}

// Few rows and large parameters: the threads divide each layer.
template <class T>
Changed Network<T>::forward_partitioned(const Matrix& x, index_t layers, bool predictions,
                                        int threads, T* out) const {
    // All memory is the caller's: a thread must not throw while the others wait.
    thread_local std::vector<Scratch<T>> scratches;
    thread_local std::vector<Buffer<T>> buffers;
    thread_local Buffer<T> gathered_rows;
    thread_local Buffer<int64_t> gathered_tokens;
    if (scratches.size() < static_cast<std::size_t>(threads)) {
        scratches = std::vector<Scratch<T>>(static_cast<std::size_t>(threads));
    }
    for (Scratch<T>& scratch : scratches) {
        scratch.parameters_exceed_l2 = true;
        for (index_t l = 0; l < layers; ++l) layer(l).reserve(x.rows, shape(l), scratch);
    }
    if (buffers.size() < static_cast<std::size_t>(buffers_)) {
        buffers = std::vector<Buffer<T>>(static_cast<std::size_t>(buffers_));
    }
    std::vector<Buffer<T>>& between = buffers;
    for (index_t b = 0; b < buffers_; ++b) {
        between[static_cast<std::size_t>(b)].reserve(x.rows * max_width_);
    }
    Changed changed;
    const T* input = nullptr;
    T* gathered = nullptr;
    const int64_t* tokens = nullptr;
    if (vocabulary_ > 0) {
        int64_t* const read = gathered_tokens.reserve(x.rows * inputs());
        changed = read_tokens(x, 0, x.rows, read);
        tokens = read;
    } else {
        input = in_place<T>(x, 0);
        if (!input) input = gathered = gathered_rows.reserve(x.rows * inputs());
    }
    Scratch<T>* const first_scratch = scratches.data();
    const index_t last = value_of(layers - 1), n_out = shape(layers - 1).out_size;
    Barrier barrier;
    run_team(threads, [&](int index, int count) {
        const TeamThread thread{index, count, barrier};
        const Range own = partition(x.rows, index, count);
        if (gathered) {
            gather(x, nullptr, own.begin, own.size(), gathered + own.begin * inputs());
            thread.wait();
        }
        const auto output_of = [&](index_t i) -> const T* {
            const index_t value = value_of(i);
            if (value == network_input) return input;
            return between[static_cast<std::size_t>(node(value).buffer)].data();
        };
        for (index_t l = 0; l <= last; ++l) {
            const Node<T>& n = node(l);
            if (n.value != l) continue;
            T* const y = l == last ? out : between[static_cast<std::size_t>(n.buffer)].data();
            n.layer->forward_part(io(l, x.rows, input, tokens, output_of, y), index, count,
                                  first_scratch[index]);
            thread.wait();
        }
        if (predictions) {
            loss_->predict(out + own.begin * n_out, own.size() * target_positions_,
                           n_out / target_positions_);
        }
    });
    return changed;
}

template <class T>
Changed Network<T>::read_tokens(const Matrix& x, index_t first, index_t rows, int64_t* to) const {
    const BadToken bad = gather_tokens(x, nullptr, first, rows, vocabulary_, to);
    return {bad.row, Changed::Kind::token, bad.token};
}

template <class T>
Changed Network<T>::forward(const Matrix& x, index_t layers, bool predictions, T* out,
                            Watch* watch) const {
    // Blocks of rows go through all layers while they are in the L2 cache, with the weights. Where
    // the weights do not stay there, they are fetched again for each block, so blocks are large.
    const bool far = parameters_exceed_l2();
    const index_t block_bytes = far ? far_block_bytes : l2_block_bytes;
    const index_t width = in_place<T>(x, 0) ? max_output_width_ : max_width_;
    const index_t fitting = block_bytes / static_cast<index_t>(sizeof(T)) / width;
    const int threads =
        threads_for(forward_flops() * static_cast<double>(x.rows), max_parts(x.rows));
    constexpr index_t many_rows = 512;
    if (partitions_layers(threads) && x.rows < many_rows) {
        return forward_partitioned(x, layers, predictions, threads, out);
    }
    // Each thread takes several blocks, one after another: one that is slow (its processor is
    // shared) gets less. But each block reads all weights. No bit of a row depends on other rows.
    const index_t turns = far || threads == 1 ? 1 : 4;
    constexpr index_t worth_reading = 16;
    const auto rows_per = [&](index_t blocks) { return (x.rows + blocks - 1) / blocks; };
    const index_t share =
        std::max(rows_per(turns * threads), std::min(rows_per(threads), worth_reading));
    const index_t least = std::max<index_t>(1, min_block_rows / max_positions_);
    const index_t block = std::min(share, std::clamp(fitting, least, max_block_rows));
    std::atomic<index_t> next{0};
    std::atomic<bool> has_bad_token{false};
    Changed changed;  // by the first thread that finds such a token
    const index_t last = value_of(layers - 1), n_out = shape(layers - 1).out_size;
    const auto work = [&](int index, int count) {
        thread_local Scratch<T> scratch;
        thread_local std::vector<Buffer<T>> buffers;
        thread_local Buffer<T> gathered_rows;
        thread_local Buffer<int64_t> gathered_tokens;
        if (buffers.size() < static_cast<std::size_t>(buffers_)) {
            buffers = std::vector<Buffer<T>>(static_cast<std::size_t>(buffers_));
        }
        scratch.parameters_exceed_l2 = far;
        index_t done = 0;
        for (;;) {
            if (watch && index == 0) watch->look();
            const index_t first = next.fetch_add(block, std::memory_order_relaxed);
            if (first >= x.rows || (watch && watch->stopped())) break;
            const index_t rows = std::min(block, x.rows - first);
            const T* input = nullptr;
            int64_t* tokens = nullptr;
            if (vocabulary_ > 0) {
                tokens = gathered_tokens.reserve(block * inputs());
                const Changed found = read_tokens(x, first, rows, tokens);
                if (found.row >= 0 && !has_bad_token.exchange(true)) changed = found;
            } else if (!(input = in_place<T>(x, first))) {
                T* const gathered = gathered_rows.reserve(block * inputs());
                gather(x, nullptr, first, rows, gathered);
                input = gathered;
            }
            T* const result = out + first * n_out;
            forward_block(0, last, input, tokens, nullptr, rows, block, result, buffers, scratch);
            if (predictions) {
                loss_->predict(result, rows * target_positions_, n_out / target_positions_);
            }
            done += rows;
        }
        if (index == 0 && count > 1) {
            TeamTimer::set_share(static_cast<double>(done) / static_cast<double>(x.rows));
        }
    };
    run_team(threads, work);
    return changed;
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
    const index_t lowest = first_parametric();
    const index_t last = value_of(layers - 1), n_out = shape(layers - 1).out_size;
    const SparseBatch<T> batch{&x, nullptr, 0, x.rows, nullptr, nullptr};
    std::atomic<index_t> next{0}, bad_row{-1};
    const auto work = [&](int index, int) {
        Scratch<T> scratch;
        scratch.parameters_exceed_l2 = far;
        scratch.sparse.space.reserve(longest);
        std::vector<Buffer<T>> buffers(static_cast<std::size_t>(buffers_));
        Buffer<T> lowest_rows;
        for (;;) {
            if (watch && index == 0) watch->look();
            const index_t first = next.fetch_add(block, std::memory_order_relaxed);
            if (first >= x.rows || (watch && watch->stopped())) break;
            const index_t rows = std::min(block, x.rows - first);
            T* const result = out + first * n_out;
            T* const output =
                lowest == last ? result : lowest_rows.reserve(block * shape(lowest).out.size());
            layer(lowest).forward_sparse(parameters_, batch, {first, first + rows}, output,
                                         scratch);
            forward_block(lowest + 1, last, nullptr, nullptr, output, rows, block, result, buffers,
                          scratch);
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
