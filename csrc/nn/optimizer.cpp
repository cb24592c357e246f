#include "nn/optimizer.h"

#include "dispatch/dispatch.h"

namespace pynn {
namespace {

template <class T>
class Sgd final : public Optimizer<T> {
public:
    Sgd(T* parameters, T* velocity, SgdStep<T> step)
        : parameters_(parameters), velocity_(velocity), step_(step) {}

    void take(index_t offset, const T* gradient, index_t n) override {
        kernels<T>().sgd(step_, gradient, parameters_ + offset,
                         velocity_ ? velocity_ + offset : nullptr, n);
    }
    typename GradientSink<T>::Axpy axpy() const override {
        if (velocity_) return {nullptr, T(0)};
        return {parameters_, -step_.learning_rate};
    }

private:
    T* parameters_;
    T* velocity_;
    SgdStep<T> step_;
};

}  // namespace

template <class T>
std::unique_ptr<Optimizer<T>> make_sgd(T* parameters, T* velocity, T learning_rate, T momentum,
                                       bool nesterov) {
    return std::make_unique<Sgd<T>>(parameters, velocity,
                                    SgdStep<T>{learning_rate, momentum, nesterov});
}

template std::unique_ptr<Optimizer<float>> make_sgd(float*, float*, float, float, bool);
template std::unique_ptr<Optimizer<double>> make_sgd(double*, double*, double, double, bool);

}  // namespace pynn
