#include "nn/mini_batch.h"

#include <algorithm>

namespace pynn {

template <class T>
void MiniBatchReader<T>::begin(const Dataset& dataset, const int64_t* order, index_t epochs,
                               index_t batch, index_t count, bool staged) {
    dataset_ = dataset;
    bad_row_ = -1;
    bad_token_ = -1;
    bad_label_ = false;
    staging_.emplace();
    if (staged) {
        staging_->begin(dataset_.x, staging_dtype<T>(dataset_.x), dataset_.targets,
                        staging_dtype<T>(dataset_.targets), batch, count, order != nullptr);
    }
    prefetched_targets_ = staging_->targets_are_staged() ? Matrix() : dataset_.targets;
    if (dataset_.labels) {
        prefetched_targets_.data = reinterpret_cast<const char*>(dataset_.labels);
        prefetched_targets_.row_stride =
            static_cast<index_t>(sizeof(int64_t)) * network_.target_positions();
    }
    targets_.reserve(batch * network_.outputs());
    smoothed_.reserve(batch * network_.outputs());
    weights_.reserve(batch * network_.target_positions());
    labels_.reserve(batch * network_.target_positions());
    if (dataset_.sparse) {
        const CsrMatrix& x = *dataset_.sparse;
        taken_.reserve(batch);
        max_stored_ = 0;
        for (index_t epoch = 0; epoch < (order ? epochs : 1); ++epoch) {
            const int64_t* const named = order ? order + epoch * count : nullptr;
            max_stored_ = std::max(max_stored_, max_batch_nnz(x, named, count, batch));
        }
        longest_row_ = max_row_nnz(x);
        return;
    }
    if (network_.vocabulary() > 0) {
        tokens_.reserve(batch * network_.inputs());
        return;
    }
    const RowSource rows = staging_->x({&dataset_.x, order, 0});
    if (rows.order || !in_place<T>(*rows.m, 0)) x_.reserve(batch * network_.inputs());
}

template <class T>
bool MiniBatchReader<T>::stage(const int64_t* order, index_t first, const TeamThread& thread) {
    if (!staging_->is_used() || staging_->contains(order, first)) return false;
    if (thread.index == 0) staging_->sort(order, first);
    thread.wait();  // (Every thread has seen what the buffer held before.)
    if (thread.index == 0) staging_->mark_filled(order, first);
    staging_->fill(order, first, thread.index, thread.count);
    thread.wait();
    return thread.index == 0;
}

template <class T>
MiniBatch<T> MiniBatchReader<T>::at(const int64_t* order, index_t first, index_t rows) {
    MiniBatch<T> batch;
    batch.order = order;
    batch.first = first;
    batch.rows = rows;
    const index_t positions = network_.target_positions();
    if (!dataset_.weights) {
        batch.weight = WeightSum{static_cast<double>(rows * positions)};
    } else if (dataset_.weight_per_target) {
        batch.weight = sum_weights(dataset_.weights, order, first, rows, positions);
    } else {
        batch.weight = sum_weights(dataset_.weights, order, first, rows);
        batch.weight.scaled *= static_cast<double>(positions);
    }
    batch.targets_from = staging_->targets({&dataset_.targets, order, first});
    if (dataset_.sparse) {
        const index_t lowest = network_.first_parametric();
        batch.is_sparse = true;
        batch.sparse = {
            dataset_.sparse, order, first, rows, lowest > 0 ? &network_.layer(lowest - 1) : nullptr,
            taken_.data()};
        return batch;
    }
    batch.x_from = staging_->x({&dataset_.x, order, first});
    if (network_.vocabulary() > 0) {
        batch.tokens = tokens_.data();
        batch.gathers = true;
        return batch;
    }
    batch.x = batch.x_from.order ? nullptr : in_place<T>(*batch.x_from.m, batch.x_from.first);
    batch.gathers = batch.x == nullptr;
    if (batch.gathers) batch.x = x_.data();
    return batch;
}

template <class T>
RowPrefetcher MiniBatchReader<T>::prefetcher(const MiniBatch<T>& batch, Range next,
                                             double flops) const {
    return make_row_prefetcher(dataset_.x, prefetched_targets_, batch.order,
                               batch.first + batch.rows + next.begin, next.size(), flops);
}

template <class T>
void MiniBatchReader<T>::gather_samples(const MiniBatch<T>& batch, Range own,
                                        const TeamThread& thread) {
    const RowSource& from = batch.x_from;
    in_pieces(own, thread, network_.watched_rows(), [&](index_t row, index_t rows) {
        if (batch.tokens) {
            const BadToken bad =
                gather_tokens(*from.m, from.order, from.first + row, rows, network_.vocabulary(),
                              tokens_.data() + row * network_.inputs());
            if (bad.row >= 0) {
                token_ = bad.token;
                bad_token_ = bad.row;
            }
            return;
        }
        gather(*from.m, from.order, from.first + row, rows, x_.data() + row * network_.inputs());
    });
}

template <class T>
bool MiniBatchReader<T>::read_targets(const MiniBatch<T>& batch, Range own, Target<T>& target) {
    if (dataset_.labels) {
        const index_t positions = network_.target_positions();
        int64_t* const labels = labels_.data() + own.begin * positions;
        const index_t classes = network_.loss().classes(network_.target_outputs());
        target.labels = labels;
        if (read_labels(dataset_.labels, batch.order, batch.first + own.begin, own.size(),
                        positions, classes, labels)) {
            return true;
        }
        bad_label_ = true;
        return false;
    }
    T* const values = targets_.data() + own.begin * network_.outputs();
    const RowSource& from = batch.targets_from;
    gather(*from.m, from.order, from.first + own.begin, own.size(), values);
    target.values = values;
    return true;
}

template <class T>
bool MiniBatchReader<T>::read_weights(const MiniBatch<T>& batch, Range own,
                                      SampleWeights<T>& weights) {
    weights.total = batch.weight.scaled;
    if (!dataset_.weights) return true;
    const index_t positions = network_.target_positions();
    T* const values = weights_.data() + own.begin * positions;
    bool usable = true;
    for (index_t i = 0; i < own.size(); ++i) {
        const index_t at = batch.first + own.begin + i;
        const index_t row = batch.order ? static_cast<index_t>(batch.order[at]) : at;
        for (index_t p = 0; p < positions; ++p) {
            const double weight =
                dataset_.weights[dataset_.weight_per_target ? row * positions + p : row];
            usable &= weight >= 0;
            values[i * positions + p] = static_cast<T>(batch.weight.of(weight));
        }
    }
    weights.weights = values;
    return usable;
}

template <class T>
Changed MiniBatchReader<T>::find_changed(const MiniBatch<T>& batch) const {
    if (bad_token_ >= 0) return {bad_token_, Changed::Kind::token, token_};
    if (!dataset_.labels || !bad_label_) return {bad_row_};
    const index_t positions = network_.target_positions();
    const index_t classes = network_.loss().classes(network_.target_outputs());
    const index_t i = find_bad_label(labels_.data(), batch.rows * positions, classes);
    if (i < 0) return {};
    const index_t at = batch.first + i / positions;
    return {batch.order ? static_cast<index_t>(batch.order[at]) : at, Changed::Kind::label,
            labels_.data()[i]};
}

template class MiniBatchReader<float>;
template class MiniBatchReader<double>;

}  // namespace pynn
