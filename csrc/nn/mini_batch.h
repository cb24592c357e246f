// Reading mini-batches: the caller's samples, targets and weights, gathered and converted.
#pragma once

#include <atomic>
#include <optional>

#include "nn/buffer.h"
#include "nn/loss.h"
#include "nn/matrix.h"
#include "nn/network.h"
#include "nn/staging.h"
#include "threads/barrier.h"

namespace pynn {

struct Dataset {
    Matrix x;                           // its rows and columns, and its values, or
    const CsrMatrix* sparse = nullptr;  // where they are
    const int64_t* labels = nullptr;    // one a target, or
    Matrix targets;                     // a row of values a sample
    const double* weights = nullptr;    // one a sample, or one a target, or none
    bool weight_per_target = false;
};

template <class T>
struct MiniBatch {
    const int64_t* order = nullptr;   // null: samples as they are
    index_t first = 0, rows = 0;      // in the epoch's order
    index_t rows_before = 0;          // rows of the same mini-batch that come before these
    const T* x = nullptr;             // gathered rows, or the caller's; null for sparse samples
    const int64_t* tokens = nullptr;  // instead of x, where the network reads integers
    bool gathers = false;             // x or tokens are still to be filled
    bool is_sparse = false;
    SparseBatch<T> sparse{};
    RowSource x_from{}, targets_from{};
    WeightSum weight{};  // of all its targets
};

// f(first, rows) for all rows of a range; in pieces of at most `most` rows that may end early where
// there is a watch.
template <class F>
void in_pieces(Range own, const TeamThread& thread, index_t most, F f) {
    const index_t piece = thread.watch ? most : own.size();
    for (index_t first = own.begin; first < own.end; first += piece) {
        if (!thread.goes_on()) return;
        f(first, std::min(piece, own.end - first));
    }
}

template <class T>
class MiniBatchReader {
public:
    explicit MiniBatchReader(const Network<T>& network) : network_(network) {}

    // Allocates for mini-batches of `batch` rows of `count`. `order`: of the samples, or null;
    // staged: column-major samples are copied to rows, many at a time.
    void begin(const Dataset& dataset, const int64_t* order, index_t epochs, index_t batch,
               index_t count, bool staged);

    // Frees the memory of staged samples.
    void end() { staging_.reset(); }

    // Stages the samples of the mini-batch at `first` and of those after it, unless they are
    // there. True for the thread that should know that this step takes longer.
    bool stage(const int64_t* order, index_t first, const TeamThread& thread);
    MiniBatch<T> at(const int64_t* order, index_t first, index_t rows);
    // The next mini-batch's rows for the products to prefetch, `flops` being their work until then.
    RowPrefetcher prefetcher(const MiniBatch<T>& batch, Range next, double flops) const;

    // Fills the thread's rows of batch.x or batch.tokens.
    void gather_samples(const MiniBatch<T>& batch, Range own, const TeamThread& thread);

    // Rows `own`: their targets; false if a label is no class.
    bool read_targets(const MiniBatch<T>& batch, Range own, Target<T>& target);
    // Their weights; false if one is negative or NaN.
    bool read_weights(const MiniBatch<T>& batch, Range own, SampleWeights<T>& weights);
    bool has_weights() const { return dataset_.weights != nullptr; }
    T* target_buffer(index_t row) { return smoothed_.data() + row * network_.outputs(); }

    // What was found changed in the caller's memory: a label, a token (the loss is NaN then), or a
    // row of a sparse matrix.
    bool has_bad_index() const { return bad_label_ || bad_token_.load() >= 0; }
    Changed find_changed(const MiniBatch<T>& batch) const;
    std::atomic<index_t>& bad_row() { return bad_row_; }

    // Stored values of the largest sparse mini-batch, and of the longest row.
    index_t max_stored() const { return max_stored_; }
    index_t longest_row() const { return longest_row_; }

private:
    const Network<T>& network_;
    Dataset dataset_;
    std::optional<StagingBuffer> staging_;  // of column-major samples
    Matrix prefetched_targets_;  // a sample's target is found by the same index as the sample
    Buffer<T> x_, targets_, smoothed_, weights_;  // smoothed_: targets that the loss makes
    Buffer<int64_t> labels_;
    Buffer<Range> taken_;  // of a sparse mini-batch, by row
    index_t max_stored_ = 0, longest_row_ = 0;
    Buffer<int64_t> tokens_;
    std::atomic<index_t> bad_row_{-1}, bad_token_{-1};  // rows
    std::atomic<int64_t> token_{0};                     // in row bad_token_
    std::atomic<bool> bad_label_{false};
};

}  // namespace pynn
