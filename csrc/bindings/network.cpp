// Networks, optimisers and the training loop, once for each float type.
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/float_state.h"
#include "bindings/forward_call.h"
#include "bindings/module.h"
#include "nn/dense.h"
#include "nn/optimizer.h"
#include "nn/trainer.h"

namespace pynn {
namespace {

DType dtype_of(const py::array& a) {
    switch (PyArray_TYPE(as_array(a.ptr()))) {
        case NPY_FLOAT:
            return DType::f32;
        case NPY_DOUBLE:
            return DType::f64;
        case NPY_HALF:
            return DType::f16;
        case NPY_BOOL:
        case NPY_UBYTE:
            return DType::u8;
        case NPY_BYTE:
            return DType::i8;
        case NPY_SHORT:
            return DType::i16;
        case NPY_USHORT:
            return DType::u16;
        case NPY_INT:
            return DType::i32;
        case NPY_UINT:
            return DType::u32;
        case NPY_LONG:
            return sizeof(long) == 8 ? DType::i64 : DType::i32;
        case NPY_ULONG:
            return sizeof(long) == 8 ? DType::u64 : DType::u32;
        case NPY_LONGLONG:
            return DType::i64;
        case NPY_ULONGLONG:
            return DType::u64;
        default:
            throw py::type_error("unsupported dtype " + std::string(py::str(a.dtype())));
    }
}

Matrix matrix_of(const py::array& a, index_t columns, const char* name) {
    require(a.ndim() == 2 && a.shape(1) == columns,
            (std::string(name) + " has the wrong shape").c_str());
    require(PyArray_ISBEHAVED_RO(as_array(a.ptr())),
            (std::string(name) + " must be aligned and in native byte order").c_str());
    Matrix m;
    m.data = static_cast<const char*>(a.data());
    m.dtype = dtype_of(a);
    m.rows = a.shape(0);
    m.columns = columns;
    m.row_stride = a.strides(0);
    m.column_stride = a.strides(1);
    return m;
}

Samples samples_of(const py::array& x, const py::array& y, index_t inputs, index_t outputs,
                   bool labels) {
    Samples s;
    s.x = matrix_of(x, inputs, "X");
    require(y.ndim() >= 1 && y.shape(0) == x.shape(0), "X and y differ in length");
    if (labels) {
        require(py::isinstance<py::array_t<int64_t>>(y) && y.ndim() == 1 &&
                    (y.flags() & py::array::c_style),
                "labels must be a contiguous vector of int64");
        s.labels = static_cast<const int64_t*>(y.data());
        for (index_t i = 0; i < s.x.rows; ++i) {
            // (One output tells two classes apart.)
            require(s.labels[i] >= 0 && s.labels[i] < std::max<index_t>(outputs, 2),
                    "a label is not a class of the network");
        }
    } else {
        s.targets = matrix_of(y, outputs, "y");
    }
    return s;
}

// An optimiser whose steps act on arrays of the Python side, which it keeps alive.
template <class T>
struct BoundOptimizer {
    Optimizer<T> optimizer;
    int64_t* steps;  // so far
    std::vector<py::array> arrays;
};

Rule rule_named(const std::string& name) {
    if (name == "sgd") return Rule::sgd;
    if (name == "momentum") return Rule::momentum;
    if (name == "nesterov") return Rule::nesterov;
    if (name == "adam") return Rule::adam;
    if (name == "rmsprop") return Rule::rmsprop;
    throw std::invalid_argument("unknown rule '" + name + "'");
}

template <class T>
std::unique_ptr<BoundOptimizer<T>> bind_optimizer(const std::string& rule, py::array parameters,
                                                  std::optional<py::array> m,
                                                  std::optional<py::array> v,
                                                  std::vector<double> learning_rates, double beta1,
                                                  double beta2, double epsilon, double weight_decay,
                                                  py::array_t<int64_t> steps) {
    require(!learning_rates.empty(), "there is no learning rate");
    auto bound = std::make_unique<BoundOptimizer<T>>();
    Optimizer<T>& o = bound->optimizer;
    o.rule = rule_named(rule);
    require(m || o.rule == Rule::sgd, "this rule needs m");
    require(v || !(o.rule == Rule::adam || o.rule == Rule::rmsprop), "this rule needs v");
    o.w = writable<T>(parameters, "parameters");
    bound->arrays.push_back(parameters);
    const auto moment = [&](std::optional<py::array>& array, const char* name) -> T* {
        if (!array) return nullptr;
        require(array->size() == parameters.size(),
                (std::string(name) + " and parameters differ in size").c_str());
        bound->arrays.push_back(*array);
        return writable<T>(*array, name);
    };
    o.m = moment(m, "m");
    o.v = moment(v, "v");
    o.learning_rates = std::move(learning_rates);
    o.beta1 = beta1;
    o.beta2 = beta2;
    o.epsilon = epsilon;
    o.weight_decay = weight_decay;
    require(steps.size() == 1, "steps must hold one number");
    bound->steps = steps.mutable_data();
    bound->arrays.push_back(steps);
    return bound;
}

// A network over an array of parameters that belongs to the Python side.
template <class T>
class BoundNetwork {
public:
    BoundNetwork(const std::vector<index_t>& sizes, const std::vector<std::string>& activations,
                 bool bias, const std::string& loss)
        : network_(make_layers(sizes, activations, bias), make_loss<T>(loss)), trainer_(network_) {}

    index_t parameter_count() const { return network_.parameter_count(); }
    std::vector<index_t> offsets() const {
        std::vector<index_t> out;
        for (index_t l = 0; l < network_.layer_count(); ++l) out.push_back(network_.offset(l));
        return out;
    }

    void set_parameters(py::array parameters) {
        require(parameters.size() == network_.parameter_count(), "wrong number of parameters");
        network_.set_parameters(writable<T>(parameters, "parameters"));
        parameters_ = std::move(parameters);
    }

    void forward(const py::array& x, index_t layers, bool predictions, py::array out) const {
        require(layers >= 1 && layers <= network_.layer_count(), "no such layer");
        const Matrix m = matrix_of(x, network_.inputs(), "X");
        require(out.ndim() == 2 && out.shape(0) == m.rows &&
                    out.shape(1) == network_.layer(layers - 1).outputs(),
                "out has the wrong shape");
        T* const result = writable<T>(out, "out");
        KeepFloatState keep;
        py::gil_scoped_release release;
        network_.forward(m, layers, predictions, result);
    }

    // `self` is this object in Python, which the builtin keeps alive.
    py::object forward_call(py::handle self) const { return make_forward_call(network_, self); }

    // The mean loss; the parameters' gradient, laid out as they are, goes to `gradient`.
    py::dict gradients(const py::array& x, const py::array& y, bool labels, py::array gradient) {
        require(gradient.size() == network_.parameter_count(), "gradient has the wrong size");
        Optimizer<T> copy{Rule::copy, writable<T>(gradient, "gradient")};
        return run(x, y, labels, std::nullopt, x.shape(0), copy, py::none());
    }

    py::dict train_epoch(const py::array& x, const py::array& y, bool labels,
                         const std::optional<py::array>& order, index_t batch_size,
                         const BoundOptimizer<T>& optimizer, const py::object& report) {
        Optimizer<T> from_here = optimizer.optimizer;
        from_here.steps_before = *optimizer.steps;
        return run(x, y, labels, order, batch_size, from_here, report, optimizer.steps);
    }

private:
    static std::vector<std::unique_ptr<Layer<T>>> make_layers(
        const std::vector<index_t>& sizes, const std::vector<std::string>& activations, bool bias) {
        require(sizes.size() >= 2 && activations.size() == sizes.size() - 1,
                "expected an activation for each layer");
        std::vector<std::unique_ptr<Layer<T>>> layers;
        for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
            require(sizes[l] >= 1 && sizes[l + 1] >= 1, "layers must have a size of at least 1");
            layers.push_back(
                make_dense<T>(sizes[l], sizes[l + 1], bias, activation_named(activations[l])));
        }
        return layers;
    }

    // One training call at a time: the mini-batch's buffers and the weights are the network's.
    class Busy {
    public:
        explicit Busy(std::atomic<bool>& flag) : flag_(flag) {
            if (flag_.exchange(true)) {
                throw std::runtime_error(
                    "this network is already being trained, by another "
                    "thread or by the call that this one was made from");
            }
        }
        ~Busy() { flag_.store(false); }
        Busy(const Busy&) = delete;
        Busy& operator=(const Busy&) = delete;

    private:
        std::atomic<bool>& flag_;
    };

    py::dict run(const py::array& x, const py::array& y, bool labels,
                 const std::optional<py::array>& order, index_t batch_size,
                 const Optimizer<T>& optimizer, const py::object& report,
                 int64_t* steps = nullptr) {
        const Samples samples = samples_of(x, y, network_.inputs(), network_.outputs(), labels);
        require(batch_size >= 1, "batch_size must be at least 1");
        const int64_t* indices = nullptr;
        index_t count = samples.x.rows;
        if (order) {
            require(py::isinstance<py::array_t<int64_t>>(*order) && order->ndim() == 1 &&
                        (order->flags() & py::array::c_style),
                    "order must be a contiguous vector of int64");
            indices = static_cast<const int64_t*>(order->data());
            count = order->shape(0);
            for (index_t i = 0; i < count; ++i) {
                require(indices[i] >= 0 && indices[i] < samples.x.rows, "order is out of range");
            }
        }
        require(count >= 1, "there are no samples");

        Busy busy(busy_);
        std::exception_ptr failure;
        EpochResult result;
        {
            KeepFloatState keep;
            py::gil_scoped_release release;
            result = trainer_.run(
                samples, indices, count, batch_size, optimizer,
                [&](const EpochResult& so_far) { return reported(report, so_far, failure); });
        }
        if (steps) *steps += result.batches;
        if (failure) std::rethrow_exception(failure);
        return dict_of(result);
    }

    // Lets Python see signals (Ctrl-C) and the progress; an exception stops the epoch.
    static bool reported(const py::object& report, const EpochResult& so_far,
                         std::exception_ptr& failure) {
        py::gil_scoped_acquire acquire;
        try {
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            if (!report.is_none()) report(dict_of(so_far));
            return false;
        } catch (...) {
            failure = std::current_exception();
            return true;
        }
    }

    static py::dict dict_of(const EpochResult& r) {
        py::dict out;
        out["loss"] = r.loss;
        out["samples"] = r.samples;
        out["batches"] = r.batches;
        out["finite"] = r.finite;
        out["bad_loss"] = r.bad_loss;
        return out;
    }

    Network<T> network_;
    Trainer<T> trainer_;
    py::array parameters_;
    std::atomic<bool> busy_{false};
};

template <class T>
void bind(py::module_& m, const std::string& suffix) {
    using Net = BoundNetwork<T>;
    py::class_<BoundOptimizer<T>>(m, ("Optimizer" + suffix).c_str());
    m.def(("optimizer_" + suffix).c_str(), &bind_optimizer<T>, py::arg("rule"),
          py::arg("parameters"), py::arg("m"), py::arg("v"), py::arg("learning_rates"),
          py::arg("beta1"), py::arg("beta2"), py::arg("epsilon"), py::arg("weight_decay"),
          py::arg("steps").noconvert());
    py::class_<Net>(m, ("Network" + suffix).c_str())
        .def(py::init<const std::vector<index_t>&, const std::vector<std::string>&, bool,
                      const std::string&>(),
             py::arg("sizes"), py::arg("activations"), py::arg("bias"), py::arg("loss"))
        .def_property_readonly("parameter_count", &Net::parameter_count)
        .def_property_readonly("offsets", &Net::offsets)
        .def("set_parameters", &Net::set_parameters, py::arg("parameters"))
        .def("forward", &Net::forward, py::arg("x"), py::arg("layers"), py::arg("predictions"),
             py::arg("out"))
        .def("forward_call", [](py::object net) { return net.cast<Net&>().forward_call(net); })
        .def("gradients", &Net::gradients, py::arg("x"), py::arg("y"), py::arg("labels"),
             py::arg("gradient"))
        .def("train_epoch", &Net::train_epoch, py::arg("x"), py::arg("y"), py::arg("labels"),
             py::arg("order"), py::arg("batch_size"), py::arg("optimizer"), py::arg("report"));
}

}  // namespace

void bind_network(py::module_& m) {
    bind<float>(m, "F32");
    bind<double>(m, "F64");
}

}  // namespace pynn
