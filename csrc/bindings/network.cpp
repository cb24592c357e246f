// Networks and the training loop, once for each float type.
#include <pybind11/stl.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>

#include "bindings/access.h"
#include "bindings/dataset.h"
#include "bindings/forward_call.h"
#include "bindings/gil.h"
#include "bindings/loss.h"
#include "bindings/module.h"
#include "bindings/optimizer.h"
#include "bindings/without_gil.h"
#include "nn/layers/kinds.h"
#include "threads/fp_environment.h"

namespace pynn {
namespace {

// A network over an array of parameters that Python owns.
template <class T>
class BoundNetwork {
public:
    // Layers in topological order. Each is a dict: its "kind", its "reads" (indices of
    // earlier layers, -1 for the network's input), its settings, and where the input has another
    // shape than that of the output it reads, "reshape". Shapes are (time, height, width,
    // channels).
    BoundNetwork(const py::list& layers, const std::vector<index_t>& input_shape,
                 const py::dict& loss, bool target_per_position)
        : BoundNetwork(layers, input_shape, loss, target_per_position, std::make_shared<Use>()) {}

    // The same network for samples of another shape: with these parameters, and the same users.
    std::unique_ptr<BoundNetwork> reshaped(const std::vector<index_t>& input_shape) {
        std::unique_ptr<BoundNetwork> other(
            new BoundNetwork(description_, input_shape, loss_, target_per_position_, use_));
        require(other->block_size() == block_size(), "the shape changes the parameters");
        other->set_parameters(parameters_);
        for (index_t i = 0; i < network_.layer_count(); ++i) {
            for (index_t p = 0; p < 32; ++p) {
                const bool is_frozen = (network_.node(i).frozen >> p & 1) != 0;
                if (is_frozen) other->network_.set_trainable(i, p, false);
            }
        }
        return other;
    }

    Access& access() { return access_; }
    index_t block_size() const { return network_.block_size(); }
    // (layer, name, shape, offset, trained) of each parameter.
    py::list parameters() const {
        py::list all;
        for (index_t i = 0; i < network_.layer_count(); ++i) {
            index_t trained = network_.node(i).offset, state = network_.node(i).state_offset;
            for (const ParameterSpec& p : network_.layer(i).parameters()) {
                index_t& at = p.trained ? trained : state;
                all.append(py::make_tuple(i, p.name, py::tuple(py::cast(p.shape)), at, p.trained));
                at += p.size();
            }
        }
        return all;
    }
    // Each layer's output shape.
    py::list shapes() const {
        py::list all;
        for (index_t i = 0; i < network_.layer_count(); ++i) {
            const Shape& s = network_.shape(i).out;
            all.append(py::make_tuple(s.time, s.height, s.width, s.channels));
        }
        return all;
    }
    // `parameter`: index among the layer's trained parameters.
    void set_trainable(index_t layer, index_t parameter, bool trainable) {
        require(layer >= 0 && layer < network_.layer_count(), "no such layer");
        require(parameter >= 0 && parameter < 32, "no such parameter");
        std::optional<Access::Writing> writing;
        if (!access_.is_held_here()) writing.emplace(access_, Access::Writer::step);
        network_.set_trainable(layer, parameter, trainable);
    }

    // Take a step of the optimizer by `gradient`, which is laid out as the parameters.
    py::dict apply_gradient(const py::array& gradient, const BoundOptimizer<T>& optimizer,
                            py::array rng_position_array) {
        require(gradient.size() == network_.block_size(), "gradient has the wrong size");
        const T* const values = contiguous<T>(gradient, "gradient");
        std::optional<Access::Writing> writing;
        if (!access_.is_held_here()) writing.emplace(access_, Access::Writer::step);
        const TrainingLock busy(use_->busy);
        const Lease trainer(*this);
        Optimizer<T> from_here = optimizer.optimizer;
        from_here.steps_before = *optimizer.steps;
        vector_of<uint64_t>(rng_position_array, 2, "rng_position");
        uint64_t* const noise = static_cast<uint64_t*>(rng_position_array.mutable_data()) + 1;
        TrainResult result;
        {
            DefaultFpEnvironment usual;
            GilRelease release;
            result = trainer->apply_gradient(values, from_here, optimizer.steps, noise);
        }
        warn_of_shortage();
        return dict_of(result);
    }
    index_t parameter_count() const { return network_.parameter_count(); }

    void set_parameters(py::array parameters) {
        require(parameters.size() == network_.block_size(), "wrong number of parameters");
        network_.set_parameters(writable<T>(parameters, "parameters"));
        parameters_ = std::move(parameters);
    }

    // Compute the output of layer `layer`. With `predictions`, apply the loss's output activation.
    void forward(const py::object& x, index_t layer, bool predictions, py::array out) {
        require(layer >= 0 && layer < network_.layer_count(), "no such layer");
        const index_t layers = layer + 1;
        const CsrMatrix* const sparse = as_csr(x, network_.inputs());
        const Matrix m = sparse ? Matrix() : matrix_of(as_dense(x), network_.inputs(), "X");
        require(out.ndim() == 2 && out.shape(0) == (sparse ? sparse->rows : m.rows) &&
                    out.shape(1) == network_.shape(layers - 1).out.size(),
                "out has the wrong shape");
        if (sparse) check_sparse(*sparse, nullptr, sparse->rows);
        check_tokens(m, nullptr, m.rows, network_.vocabulary());
        T* const result = writable<T>(out, "out");
        const Pins pins = pins_of(x, nullptr, std::nullopt);
        const Access::Reading reading(access_);
        Changed changed;
        watched_without_gil([&](Watch& watch) {
            if (sparse) {
                changed = network_.forward(*sparse, layers, predictions, result, &watch);
            } else {
                changed = network_.forward(m, layers, predictions, result, &watch);
            }
        });
        refuse_changed(changed, classes());
    }

    // Compute the predictions of the next training step. `rng_position`: dropout's key and step.
    void forward_training(const py::object& x, const py::array& rng_position_array, py::array out) {
        Dataset dataset;
        dataset.x = x_of(x, network_.inputs(), dataset.sparse);
        require(dataset.x.rows >= 1, "there are no samples");
        require(
            out.ndim() == 2 && out.shape(0) == dataset.x.rows && out.shape(1) == network_.outputs(),
            "out has the wrong shape");
        if (dataset.sparse) check_sparse(*dataset.sparse, nullptr, dataset.x.rows);
        check_tokens(dataset.x, nullptr, dataset.x.rows, network_.vocabulary());
        T* const result = writable<T>(out, "out");
        const Access::Reading reading(access_);
        const RngPosition rng = rng_position(rng_position_array);
        const Lease trainer(*this);
        const Pins pins = pins_of(x, nullptr, std::nullopt);
        Changed changed;
        watched_without_gil([&](Watch& watch) {
            changed = trainer->predict_in_training(dataset, rng, result, &watch);
        });
        refuse_changed(changed, classes());
    }

    // `self` is this object in Python; the builtin keeps it alive.
    py::object forward_call(py::handle self) const { return make_forward_call(shared_, self); }

    // Return the sum of the loss over the rows. Write the gradient of its mean, laid out as the
    // parameters, to `gradient`. `rng_position`: dropout's key and step, or none.
    py::dict gradients(const py::object& x, const py::array& y, bool labels,
                       const std::optional<py::array>& weights, py::array gradient,
                       const std::optional<py::array>& rng_position_array) {
        const Access::Reading reading(access_);
        const Lease trainer(*this);
        require(gradient.size() == network_.block_size(), "gradient has the wrong size");
        Optimizer<T> copy{Rule::store_gradient, writable<T>(gradient, "gradient")};
        TrainOptions options;
        options.batch_size = std::max<index_t>(y.ndim() >= 1 ? y.shape(0) : 0, 1);
        take_rng_position(rng_position_array, options);
        std::exception_ptr failure;
        std::string sparse_fault;
        const TrainResult result = run(*trainer, x, y, labels, weights, std::nullopt, options, copy,
                                       nullptr, py::none(), failure, sparse_fault);
        require(sparse_fault.empty(), sparse_fault.c_str());
        if (failure) std::rethrow_exception(failure);
        refuse_changed(result.changed, classes());
        warn_of_shortage();
        return dict_of(result);
    }

    // Train. `epoch_stats` has a row per epoch: the sums of loss and penalties and the seconds,
    // written when the epoch is complete. `order` lists the samples of one epoch after another.
    // `rng_position`: dropout's key, and the number of steps so far, which is updated.
    py::dict train(const py::object& x, const py::array& y, bool labels,
                   const std::optional<py::array>& weights, const std::optional<py::array>& order,
                   index_t batch_size, const BoundOptimizer<T>& optimizer,
                   py::array rng_position_array, bool penalty_by_weight, py::array epoch_stats,
                   const py::object& report) {
        static_assert(sizeof(EpochStats) == 3 * sizeof(double));
        // Before reading the number of steps, which may change without a GIL.
        std::optional<Access::Writing> writing;
        if (!access_.is_held_here()) writing.emplace(access_, Access::Writer::step);
        const TrainingLock busy(use_->busy);
        const Lease trainer(*this);
        Optimizer<T> from_here = optimizer.optimizer;
        from_here.steps_before = *optimizer.steps;
        require(epoch_stats.ndim() == 2 && epoch_stats.shape(0) >= 1 && epoch_stats.shape(1) == 3,
                "epoch_stats has the wrong shape");
        TrainOptions options;
        options.epochs = epoch_stats.shape(0);
        options.batch_size = batch_size;
        options.penalty_by_weight = penalty_by_weight;
        take_rng_position(rng_position_array, options);
        auto* const rows =
            reinterpret_cast<EpochStats*>(writable<double>(epoch_stats, "epoch_stats"));
        options.advances_state = true;
        options.optimizer_counter = optimizer.steps;
        options.noise_counter = static_cast<uint64_t*>(rng_position_array.mutable_data()) + 1;
        std::exception_ptr failure;
        std::string sparse_fault;
        const TrainResult result = run(*trainer, x, y, labels, weights, order, options, from_here,
                                       rows, report, failure, sparse_fault);
        if (failure) std::rethrow_exception(failure);
        warn_of_shortage();
        py::dict out = dict_of(result);
        out["sparse_fault"] = sparse_fault;
        return out;
    }

    // Compute dx and the parameters' gradient, each if given, from the gradient `dout` of the
    // predictions.
    void backward(const py::array& x, const py::array& dout, std::optional<py::array> dx,
                  std::optional<py::array> gradient,
                  const std::optional<py::array>& rng_position_array) {
        Dataset dataset;
        dataset.x = matrix_of(x, network_.inputs(), "X");
        require(dout.size() == dataset.x.rows * network_.outputs(), "dout has the wrong size");
        std::optional<Optimizer<T>> copy;
        if (gradient) {
            require(gradient->size() == network_.block_size(), "gradient has the wrong size");
            copy = Optimizer<T>{Rule::store_gradient, writable<T>(*gradient, "gradient")};
        }
        const Pins pins = pins_of(x, &dout, std::nullopt);
        differentiate(dataset, contiguous<T>(dout, "dout"), dx, copy ? &*copy : nullptr,
                      rng_position_array);
    }

    // Compute dx from the mean loss of the samples.
    void input_gradient(const py::array& x, const py::array& y, bool labels,
                        const std::optional<py::array>& weights, py::array dx,
                        const std::optional<py::array>& rng_position_array) {
        const Pins pins = pins_of(x, &y, weights);
        differentiate(dataset_of(x, y, labels, weights, network_), nullptr, dx, nullptr,
                      rng_position_array);
    }

private:
    // Who reads and writes the parameters, of all networks that share them.
    struct Use {
        Access access;
        std::atomic<bool> busy{false};
    };

    BoundNetwork(const py::list& layers, const std::vector<index_t>& input_shape,
                 const py::dict& loss, bool target_per_position, std::shared_ptr<Use> use)
        : description_(layers),
          loss_(loss),
          target_per_position_(target_per_position),
          network_(make_nodes(layers), shape_of(input_shape), make_loss<T>(loss_settings(loss)),
                   target_per_position),
          trainer_(network_),
          use_(std::move(use)) {
        const LossSettings settings = loss_settings(loss);
        require(
            settings.name != "pinball" ||
                settings.quantiles.size() == static_cast<std::size_t>(network_.target_outputs()),
            "expected a quantile for each output");
    }

    static Shape shape_of(const std::vector<index_t>& s) {
        require(s.size() == 4, "a shape is (time, height, width, channels)");
        for (const index_t n : s) require(n >= 1, "shapes must be positive");
        return {s[0], s[1], s[2], s[3]};
    }

    static std::vector<Node<T>> make_nodes(const py::list& layers) {
        std::vector<Node<T>> nodes;
        for (const py::handle item : layers) {
            const py::dict description = py::cast<py::dict>(item);
            const index_t at = static_cast<index_t>(nodes.size());
            LayerSettings settings;
            Node<T> node;
            std::string kind;
            for (const auto& [key, value] : description) {
                const std::string name = py::cast<std::string>(key);
                if (name == "kind") {
                    kind = py::cast<std::string>(value);
                } else if (name == "reads") {
                    const auto inputs = py::cast<std::vector<index_t>>(value);
                    require(inputs.size() == 1 || inputs.size() == 2, "a layer has 1 or 2 inputs");
                    for (std::size_t k = 0; k < inputs.size(); ++k) {
                        require(inputs[k] >= network_input && inputs[k] < at,
                                "layers must be in topological order");
                        node.inputs[k] = inputs[k];
                    }
                } else if (name == "reshape") {
                    node.reshapes = true;
                    node.reshaped = shape_of(py::cast<std::vector<index_t>>(value));
                } else if (py::isinstance<py::str>(value)) {
                    settings.names[name] = py::cast<std::string>(value);
                } else {
                    settings.numbers[name] = py::cast<double>(value);
                }
            }
            node.layer = make_layer<T>(kind, settings);
            nodes.push_back(std::move(node));
        }
        require(!nodes.empty(), "a network has at least one layer");
        return nodes;
    }

    index_t classes() const { return network_.loss().classes(network_.target_outputs()); }

    // The position of random layers in their streams; without it they pass everything through.
    static RngPosition rng_position(const std::optional<py::array>& rng_position_array) {
        if (!rng_position_array) return {};
        const uint64_t* const values = vector_of<uint64_t>(*rng_position_array, 2, "rng_position");
        return {true, values[0], values[1]};
    }

    static void take_rng_position(const std::optional<py::array>& rng_position_array,
                                  TrainOptions& options) {
        const RngPosition rng = rng_position(rng_position_array);
        options.training = rng.training;
        options.key = rng.key;
        options.first_step = rng.step;
    }

    // Refuses a training call that begins within another one, from a signal's handler.
    class TrainingLock {
    public:
        explicit TrainingLock(std::atomic<bool>& flag) : flag_(flag) {
            if (flag_.exchange(true)) {
                throw std::runtime_error(
                    "this network is already being trained, by another "
                    "thread or by the call that this one was made from");
            }
        }
        ~TrainingLock() { flag_.store(false); }
        TrainingLock(const TrainingLock&) = delete;
        TrainingLock& operator=(const TrainingLock&) = delete;

    private:
        std::atomic<bool>& flag_;
    };

    // The buffers of the mini-batch: the network's, or temporary ones while those are in use.
    class Lease {
    public:
        explicit Lease(BoundNetwork& net) : taken_(net.leased_) {
            own_ = !taken_.exchange(true);
            if (!own_) further_ = std::make_unique<Trainer<T>>(net.network_);
            trainer_ = own_ ? &net.trainer_ : further_.get();
        }
        ~Lease() {
            if (own_) taken_.store(false);
        }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        Trainer<T>& operator*() const { return *trainer_; }
        Trainer<T>* operator->() const { return trainer_; }

    private:
        std::atomic<bool>& taken_;
        bool own_;
        std::unique_ptr<Trainer<T>> further_;
        Trainer<T>* trainer_;
    };

    void differentiate(const Dataset& dataset, const T* dout, std::optional<py::array> dx,
                       const Optimizer<T>* gradient,
                       const std::optional<py::array>& rng_position_array) {
        require(!dataset.sparse, "the gradient of a sparse X is dense: pass X.toarray()");
        require(dataset.x.rows >= 1, "there are no samples");
        require(!dx || dx->size() == dataset.x.rows * network_.inputs(), "dx has the wrong size");
        require(!dx || network_.vocabulary() == 0, "tokens have no gradient");
        check_labels(dataset, nullptr, dataset.x.rows, classes(), network_.target_positions());
        check_tokens(dataset.x, nullptr, dataset.x.rows, network_.vocabulary());
        T* const to = dx ? writable<T>(*dx, "dx") : nullptr;
        const RngPosition rng = rng_position(rng_position_array);
        // Running statistics follow a pass that is half a step of training.
        const bool advances_state = gradient && rng.training && network_.has_statistics();
        std::optional<Access::Reading> reading;
        std::optional<Access::Writing> writing;
        if (!advances_state) {
            reading.emplace(access_);
        } else if (!access_.is_held_here()) {
            writing.emplace(access_, Access::Writer::step);
        }
        const Lease trainer(*this);
        Changed changed;
        watched_without_gil([&](Watch& watch) {
            changed = trainer->differentiate_inputs(dataset, dout, to, gradient, rng,
                                                    advances_state, &watch);
        });
        refuse_changed(changed, classes());
    }

    // An exception of `report` ends the run and goes to `failure`. The fault of a sparse X, of
    // which no step is done, goes to `sparse_fault`.
    TrainResult run(Trainer<T>& trainer, const py::object& x, const py::array& y, bool labels,
                    const std::optional<py::array>& weights, const std::optional<py::array>& order,
                    TrainOptions options, const Optimizer<T>& optimizer, EpochStats* epoch_stats,
                    const py::object& report, std::exception_ptr& failure,
                    std::string& sparse_fault) {
        const Dataset dataset = dataset_of(x, y, labels, weights, network_);
        require(options.batch_size >= 1, "batch_size must be at least 1");
        options.count = dataset.x.rows;
        index_t all = options.count;
        if (order) {
            all = order->size();
            require(all % options.epochs == 0, "order has the wrong length");
            options.count = all / options.epochs;
            options.order = vector_of<int64_t>(*order, all, "order");
            for (index_t i = 0; i < all; ++i) {
                require(options.order[i] >= 0 && options.order[i] < dataset.x.rows,
                        "order is out of range");
            }
        }
        require(options.count >= 1, "there are no samples");
        // (Labels are checked where they are read.)
        check_tokens(dataset.x, options.order, all, network_.vocabulary());
        if (dataset.sparse) {
            sparse_fault = sparse_error(*dataset.sparse, options.order, all);
            if (!sparse_fault.empty()) return {};
        }
        const Pins pins = pins_of(x, &y, weights);

        DefaultFpEnvironment usual;
        GilRelease release;
        access_.admit_readers_if_due();
        return trainer.run(
            dataset, options, optimizer, epoch_stats,
            [&](const TrainResult& so_far) { return reported(report, so_far, failure, release); });
    }

    // Admit readers, handle signals (Ctrl-C) and report the progress; an exception stops the epoch.
    bool reported(const py::object& report, const TrainResult& so_far, std::exception_ptr& failure,
                  GilRelease& release) {
        try {
            access_.admit_readers();
        } catch (...) {
            failure = std::current_exception();
            return true;
        }
        const GilRelease::Taken taken(release);
        try {
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            if (report.is_none()) return false;
            const py::dict state = dict_of(so_far);
            PyObject* const answer = call_python(report.ptr(), state.ptr());
            if (!answer) throw py::error_already_set();
            Py_DECREF(answer);
            return false;
        } catch (const std::exception&) {
            failure = std::current_exception();
            return true;
        }
    }

    static const char* name_of(Failure failure) {
        switch (failure) {
            case Failure::loss:
                return "loss";
            case Failure::gradient:
                return "gradient";
            case Failure::parameters:
                return "parameters";
            case Failure::rate:
                return "rate";
            case Failure::update:
                return "update";
            case Failure::none:
                break;
        }
        return "";
    }

    static const char* name_of(Changed::Kind kind) {
        switch (kind) {
            case Changed::Kind::label:
                return "label";
            case Changed::Kind::token:
                return "token";
            default:
                return "indices";
        }
    }

    static py::dict dict_of(const TrainResult& r) {
        py::dict out;
        out["epochs"] = r.epochs;
        out["loss"] = r.stats.loss;
        out["samples"] = r.samples;
        out["batches"] = r.batches;
        out["steps"] = r.steps;
        out["finite"] = r.failure == Failure::none;
        out["failure"] = name_of(r.failure);
        out["bad_loss"] = r.bad_loss;
        out["largest_loss"] = r.largest_loss;
        out["changed_row"] = r.changed.row;
        out["changed_kind"] = name_of(r.changed.kind);
        out["changed_value"] = r.changed.value;
        out["changed_applied"] = r.changed.applied;
        return out;
    }

    py::list description_;
    py::dict loss_;
    bool target_per_position_;
    Network<T> network_;
    Trainer<T> trainer_;
    py::array parameters_;
    std::shared_ptr<Use> use_;
    Access& access_ = use_->access;
    Shared<T> shared_{network_, access_};
    std::atomic<bool> leased_{false};
};

template <class T>
void bind_network_of(py::module_& m, const char* name) {
    using Net = BoundNetwork<T>;
    py::class_<Net>(m, name)
        .def(py::init<const py::list&, const std::vector<index_t>&, const py::dict&, bool>(),
             py::arg("layers"), py::arg("input_shape"), py::arg("loss"),
             py::arg("target_per_position"))
        .def("reshaped", &Net::reshaped, py::arg("input_shape"))
        .def_property_readonly("parameter_count", &Net::parameter_count)
        .def_property_readonly("block_size", &Net::block_size)
        .def("parameters", &Net::parameters)
        .def("shapes", &Net::shapes)
        .def("set_trainable", &Net::set_trainable, py::arg("layer"), py::arg("parameter"),
             py::arg("trainable"))
        .def("apply_gradient", &Net::apply_gradient, py::arg("gradient"), py::arg("optimizer"),
             py::arg("rng_position"))
        .def(
            "reading",
            [](py::object net, bool copies) {
                return reading_block(net.cast<Net&>().access(), net, copies);
            },
            py::arg("copies") = false)
        .def(
            "writing",
            [](py::object net, bool fits) {
                return writing_block(net.cast<Net&>().access(), net, fits);
            },
            py::arg("fits") = false)
        .def("opened", [](py::object net) { return opened_block(net.cast<Net&>().access(), net); })
        .def("user_here", [](Net& net) { return static_cast<int>(net.access().user_here()); })
        .def("set_parameters", &Net::set_parameters, py::arg("parameters"))
        .def("forward", &Net::forward, py::arg("x"), py::arg("layer"), py::arg("predictions"),
             py::arg("out"))
        .def("forward_training", &Net::forward_training, py::arg("x"), py::arg("rng_position"),
             py::arg("out"))
        .def("forward_call", [](py::object net) { return net.cast<Net&>().forward_call(net); })
        .def("gradients", &Net::gradients, py::arg("x"), py::arg("y"), py::arg("labels"),
             py::arg("weights"), py::arg("gradient"), py::arg("rng_position"))
        .def("backward", &Net::backward, py::arg("x"), py::arg("dout"), py::arg("dx"),
             py::arg("gradient"), py::arg("rng_position"))
        .def("input_gradient", &Net::input_gradient, py::arg("x"), py::arg("y"), py::arg("labels"),
             py::arg("weights"), py::arg("dx"), py::arg("rng_position"))
        .def("train", &Net::train, py::arg("x"), py::arg("y"), py::arg("labels"),
             py::arg("weights"), py::arg("order"), py::arg("batch_size"), py::arg("optimizer"),
             py::arg("rng_position"), py::arg("penalty_by_weight"), py::arg("epoch_stats"),
             py::arg("report"));
}

// Copy `rows` of x (null: all) to a contiguous `out` of float32, float64 or x's type.
void gather_rows(const py::array& x, const std::optional<py::array>& rows, py::array out) {
    require(x.ndim() == 2 && out.ndim() == 2 && x.shape(1) == out.shape(1),
            "x and out must be matrices of as many columns");
    const Matrix m = matrix_of(x, x.shape(1), "x");
    const DType type = dtype_of(out);
    const index_t count = out.shape(0);
    require(type == m.dtype || type == DType::f32 || type == DType::f64, "out has another type");
    require(out.writeable() && (out.flags() & py::array::c_style) &&
                PyArray_ISBEHAVED(as_array(out.ptr())),
            "out must be writable and contiguous");
    const int64_t* order = nullptr;
    if (rows) {
        order = vector_of<int64_t>(*rows, count, "rows");
        for (index_t i = 0; i < count; ++i) {
            require(order[i] >= 0 && order[i] < m.rows, "a row is out of range");
        }
    } else {
        require(count == m.rows, "out has another number of rows");
    }
    require(m.rows <= max_staged_rows && count <= max_staged_rows, "too many rows");
    char* const to = static_cast<char*>(out.mutable_data());
    const index_t row_bytes = m.columns * item_size(type);
    DefaultFpEnvironment usual;
    GilRelease release;
    constexpr index_t rows_a_thread = 64;
    const int threads =
        threads_for(4.0 * static_cast<double>(count * m.columns), count / rows_a_thread);
    if (!order) {
        run_team(threads, [&](int index, int team) {
            const Range own = partition(count, index, team, 16);
            copy_rows(m, own.begin, own.size(), type, to + own.begin * row_bytes);
        });
        return;
    }
    Buffer<RowMove> moves;
    Buffer<uint32_t> starts;
    sort_rows(m, order, 0, count, moves.reserve(count), starts.reserve(row_groups(m) + 1));
    run_team(threads, [&](int index, int team) {
        const Range own = partition(row_groups(m), index, team);
        move_rows(m, moves.data(), starts.data(), own.begin, own.end, type, to);
    });
}

}  // namespace

void bind_network(py::module_& m) {
    m.attr("STAGING_BYTES") = staging_bytes;
    m.def("gather_rows", &gather_rows, py::arg("x"), py::arg("rows"), py::arg("out"));
    py::class_<BoundCsr>(m, "CsrMatrix")
        .def(py::init<py::array, py::array, py::array, index_t>(), py::arg("starts"),
             py::arg("columns"), py::arg("values"), py::arg("width"));
    bind_network_of<float>(m, "NetworkF32");
    bind_network_of<double>(m, "NetworkF64");
}

}  // namespace pynn
