#include "nn/passes.h"

#include <algorithm>

#include "dispatch/dispatch.h"

namespace pynn {

template <class T>
void Passes<T>::reserve(index_t batch, int threads, bool is_sparse) {
    const std::size_t layers = static_cast<std::size_t>(network_.layer_count());
    const index_t first = is_sparse ? network_.first_parametric() : 0;
    if (outputs_.size() < layers) {
        outputs_ = std::vector<Buffer<T>>(layers);
        deltas_ = std::vector<Buffer<T>>(layers);
        saved_ = std::vector<Buffer<T>>(layers);
        statistics_ = std::vector<Buffer<T>>(layers);
    }
    for (index_t i = first; i < network_.layer_count(); ++i) {
        const std::size_t at = static_cast<std::size_t>(i);
        const LayerShape& shape = network_.shape(i);
        outputs_[at].reserve(batch * shape.out.size());
        deltas_[at].reserve(batch * shape.out.size());
        saved_[at].reserve(batch * shape.saved);
        statistics_[at].reserve(network_.layer(i).statistics_size());
        for (int k = 0; k < 2; ++k) {
            if (network_.node(i).accumulates[k]) added_[k].reserve(batch * shape.in.size());
        }
    }
    if (scratch_.size() < static_cast<std::size_t>(threads)) {
        scratch_ = std::vector<Scratch<T>>(static_cast<std::size_t>(threads));
    }
    for (Scratch<T>& scratch : scratch_) {
        scratch.parameters_exceed_l2 = network_.parameters_exceed_l2(is_sparse);
        for (index_t i = is_sparse ? first + 1 : 0; i < network_.layer_count(); ++i) {
            network_.layer(i).reserve(batch, network_.shape(i), scratch);
        }
    }
}

template <class T>
void Passes<T>::reserve_sparse(const MiniBatchReader<T>& reader, index_t batch, int threads) {
    for (Scratch<T>& scratch : scratch_) {
        scratch.sparse.space.bad_row = -1;
        scratch.sparse.columns.take_bad_row();
        network_.layer(network_.first_parametric())
            .reserve_sparse(batch, reader.max_stored(), reader.longest_row(), threads, scratch);
    }
}

template <class T>
LayerIo<T> Passes<T>::io(index_t i, const MiniBatch<T>& batch, Range own,
                         const Scratch<T>& scratch) {
    const Node<T>& node = network_.node(i);
    const LayerShape& shape = network_.shape(i);
    const index_t in = own.begin * shape.in_size;
    LayerIo<T> io;
    io.parameters = network_.parameters();
    io.shape = &shape;
    io.rows = own.size();
    if (node.inputs[0] != network_input) {
        io.x = outputs_[static_cast<std::size_t>(node.inputs[0])].data() + in;
    } else if (batch.tokens) {
        io.tokens = batch.tokens + in;
    } else {
        io.x = batch.x + in;
    }
    if (node.inputs[1] != no_input) {
        io.x2 = (node.inputs[1] == network_input ? batch.x : outputs(node.inputs[1])) + in;
    }
    io.y = outputs(i, own.begin);
    io.delta = deltas(i, own.begin);
    io.frozen = node.frozen;
    if (shape.saved > 0) {
        io.saved = saved_[static_cast<std::size_t>(i)].data() + own.begin * shape.saved;
    }
    if (uses_statistics(i, scratch)) {
        io.statistics = statistics_[static_cast<std::size_t>(i)].data();
    }
    return io;
}

template <class T>
bool Passes<T>::passes_down(index_t i, index_t lowest, const T* dx) const {
    const auto needs = [&](index_t input) {
        return input == network_input ? dx != nullptr : input >= lowest;
    };
    const Node<T>& node = network_.node(i);
    return needs(node.inputs[0]) || needs(node.inputs[1]);
}

template <class T>
LayerIo<T> Passes<T>::backward_io(index_t i, const MiniBatch<T>& batch, Range own, index_t lowest,
                                  T* dx, const Scratch<T>& scratch) {
    const Node<T>& node = network_.node(i);
    LayerIo<T> io = this->io(i, batch, own, scratch);
    const index_t in = own.begin * network_.shape(i).in_size;
    for (int k = 0; k < 2; ++k) {
        const index_t input = node.inputs[k];
        if (input == no_input || (input < 0 ? !dx : input < lowest)) continue;
        T* const to = node.accumulates[k] ? added_[k].data() : input < 0 ? dx : deltas(input);
        const bool fuses = input >= 0 && network_.node(input).readers == 1;
        const Activation f = fuses ? network_.node(input).activation : Activation::identity;
        (k == 0 ? io.dx : io.dx2) = to + in;
        (k == 0 ? io.x_activation : io.x2_activation) = f;
    }
    return io;
}

template <class T>
void Passes<T>::add_gradients(index_t i, Range own, T* dx) {
    const Node<T>& node = network_.node(i);
    const index_t n = network_.shape(i).in_size;
    for (int k = 0; k < 2; ++k) {
        const index_t input = node.inputs[k];
        if (!node.accumulates[k] || (input < 0 && !dx)) continue;
        const T* const from = added_[k].data() + own.begin * n;
        T* const to = (input < 0 ? dx : deltas(input)) + own.begin * n;
        for (index_t j = 0; j < own.size() * n; ++j) to[j] += from[j];
    }
}

template <class T>
void Passes<T>::differentiate_output(index_t i, Range own) {
    if (network_.node(i).readers == 1) return;
    differentiate_flushed(network_.node(i).activation, outputs(i, own.begin), deltas(i, own.begin),
                          own.size() * network_.shape(i).out_size);
}

template <class T>
void Passes<T>::forward_layers(index_t first, index_t last, const MiniBatch<T>& batch,
                               const TeamThread& thread) {
    Scratch<T>& scratch = this->scratch(thread);
    const Range own = partition(batch.rows, thread.index, thread.count);
    in_pieces(own, thread, network_.watched_rows(), [&](index_t row, index_t rows) {
        scratch.rng.first_row = batch.rows_before + row;
        for (index_t i = first; i < last && thread.goes_on(); ++i) {
            network_.layer(i).forward(io(i, batch, {row, row + rows}, scratch), scratch);
        }
    });
}

template <class T>
void Passes<T>::forward(const MiniBatch<T>& batch, MiniBatchReader<T>& reader,
                        const TeamThread& thread) {
    Scratch<T>& scratch = this->scratch(thread);
    const Range own = partition(batch.rows, thread.index, thread.count);
    const index_t layers = network_.layer_count();
    index_t first = 0;
    if (batch.is_sparse) {
        const index_t lowest = network_.first_parametric();
        bool finite = true;
        in_pieces(own, thread, network_.watched_rows(), [&](index_t row, index_t rows) {
            network_.layer(lowest).forward_sparse(network_.parameters(), batch.sparse,
                                                  {row, row + rows}, outputs(lowest, row), scratch);
            finite = finite && scratch.sparse.finite;
        });
        scratch.sparse.finite = finite;
        if (scratch.sparse.space.bad_row >= 0) reader.bad_row() = scratch.sparse.space.bad_row;
        first = lowest + 1;
    } else if (batch.gathers) {
        reader.gather_samples(batch, own, thread);
    }
    const auto compute_statistics = [&](index_t i) {
        const Layer<T>& layer = network_.layer(i);
        for (int phase = 0; phase < layer.forward_phases(); ++phase) {
            layer.forward_statistics(io(i, batch, {0, batch.rows}, scratch), phase, thread.index,
                                     thread.count, statistics_[static_cast<std::size_t>(i)].data(),
                                     scratch);
            thread.wait();
        }
    };
    if (network_.partitions_layers(thread.count, batch.is_sparse)) {
        scratch.rng.first_row = batch.rows_before;
        if (batch.is_sparse || batch.gathers) thread.wait();
        for (index_t i = first; i < layers; ++i) {
            if (uses_statistics(i, scratch)) compute_statistics(i);
            if (thread.goes_on()) {
                network_.layer(i).forward_part(io(i, batch, {0, batch.rows}, scratch), thread.index,
                                               thread.count, scratch);
            }
            thread.wait();
        }
        return;
    }
    for (index_t last; first < layers; first = last) {
        if (uses_statistics(first, scratch)) {
            thread.wait();
            compute_statistics(first);
        }
        last = first + 1;
        while (last < layers && !uses_statistics(last, scratch)) ++last;
        forward_layers(first, last, batch, thread);
    }
}

template <class T>
void Passes<T>::backward(const MiniBatch<T>& batch, index_t lowest, T* dx,
                         const TeamThread& thread) {
    Scratch<T>& scratch = this->scratch(thread);
    const Range own = partition(batch.rows, thread.index, thread.count);
    const index_t bottom = dx ? 0 : lowest;
    const auto compute_statistics = [&](index_t i) {
        const Layer<T>& layer = network_.layer(i);
        thread.wait();
        for (int phase = 0; phase < layer.backward_phases(); ++phase) {
            layer.backward_statistics(io(i, batch, {0, batch.rows}, scratch), phase, thread.index,
                                      thread.count, statistics_[static_cast<std::size_t>(i)].data(),
                                      scratch);
            thread.wait();
        }
    };
    const auto adds = [&](index_t i) {
        return network_.node(i).accumulates[0] || network_.node(i).accumulates[1];
    };
    if (network_.partitions_layers(thread.count, batch.is_sparse)) {
        scratch.rng.first_row = batch.rows_before;
        for (index_t i = network_.layer_count() - 1; i >= bottom; --i) {
            differentiate_output(i, own);
            if (uses_statistics(i, scratch)) compute_statistics(i);
            if (!passes_down(i, lowest, dx)) continue;
            thread.wait();
            if (thread.goes_on()) {
                network_.layer(i).backward_part(
                    backward_io(i, batch, {0, batch.rows}, lowest, dx, scratch), thread.index,
                    thread.count, scratch);
            }
            if (adds(i)) {
                thread.wait();
                add_gradients(i, own, dx);
            }
        }
        return;
    }
    // Down to the next layer with statistics, for all rows; then its statistics, and on with it.
    bool differentiated = false;
    for (index_t top = network_.layer_count() - 1; top >= bottom;) {
        index_t stop = top - 1;
        while (stop >= bottom && !uses_statistics(stop, scratch)) --stop;
        if (!differentiated && uses_statistics(top, scratch)) {
            stop = top;  // (the last layer)
        }
        in_pieces(own, thread, network_.watched_rows(), [&](index_t row, index_t rows) {
            const Range piece{row, row + rows};
            scratch.rng.first_row = batch.rows_before + row;
            for (index_t i = top; i > stop && thread.goes_on(); --i) {
                if (!(differentiated && i == top)) differentiate_output(i, piece);
                if (!passes_down(i, lowest, dx)) continue;
                network_.layer(i).backward(backward_io(i, batch, piece, lowest, dx, scratch),
                                           scratch);
                if (adds(i)) add_gradients(i, piece, dx);
            }
        });
        if (stop >= bottom) {
            differentiate_output(stop, own);
            compute_statistics(stop);
        }
        differentiated = true;
        top = stop;
    }
}

template <class T>
void Passes<T>::update(const MiniBatch<T>& batch, MiniBatchReader<T>& reader,
                       const TeamThread& thread, const OptimizerStep<T>& step) {
    Scratch<T>& scratch = this->scratch(thread);
    for (const index_t i : network_.parametric_layers()) {
        if (!network_.node(i).trainable) continue;
        const Layer<T>& layer = network_.layer(i);
        if (batch.is_sparse && i == network_.first_parametric()) {
            layer.update_parameters_sparse(batch.sparse, deltas(i), network_.node(i).frozen,
                                           thread.index, thread.count, step, scratch);
            const index_t bad_row = scratch.sparse.columns.take_bad_row();
            if (bad_row >= 0) reader.bad_row() = bad_row;
            continue;
        }
        layer.update_parameters(io(i, batch, {0, batch.rows}, scratch), thread.index, thread.count,
                                step, scratch);
    }
}

template <class T>
void Passes<T>::advance_state(index_t rows) {
    if (!network_.has_statistics()) return;
    for (index_t i = 0; i < network_.layer_count(); ++i) {
        if (!uses_statistics(i, scratch_.front())) continue;
        network_.layer(i).advance_state(network_.parameters(), network_.shape(i), rows,
                                        statistics_[static_cast<std::size_t>(i)].data());
    }
}

// A product with something infinite or NaN has no finite element, so these are the gradients whose
// parameters must not follow them. (The network's input has been checked.)
template <class T>
bool Passes<T>::sources_are_finite(const MiniBatch<T>& batch, const TeamThread& thread) {
    const Range own = partition(batch.rows, thread.index, thread.count);
    if (own.size() == 0) return true;
    const auto is_finite = [&](const T* rows, index_t n) {
        return kernels<T>().all_finite(rows, own.size() * n);
    };
    const index_t first = batch.is_sparse ? network_.first_parametric() : 0;
    for (const index_t i : network_.parametric_layers()) {
        if (!network_.node(i).trainable) continue;
        const LayerShape& shape = network_.shape(i);
        if (!is_finite(deltas(i, own.begin), shape.out.size())) return false;
        const index_t input = network_.node(i).inputs[0];
        if (input >= first && !is_finite(outputs(input, own.begin), shape.in.size())) return false;
    }
    return true;
}

template class Passes<float>;
template class Passes<double>;

}  // namespace pynn
