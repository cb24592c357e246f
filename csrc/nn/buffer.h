// Memory aligned to a cache line, which only grows.
#pragma once

#include <cstddef>
#include <new>

#include "kernels/kernel_table.h"

namespace pynn {

template <class T>
class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Buffer(Buffer&& other) noexcept : data_(other.data_), size_(other.size_) {
        other.data_ = nullptr;
        other.size_ = 0;
    }
    Buffer& operator=(Buffer&&) = delete;
    ~Buffer() { release(); }

    // At least n elements; what was in it is lost if it grows.
    T* reserve(index_t n) {
        if (n > size_) {
            release();
            data_ =
                static_cast<T*>(::operator new(static_cast<std::size_t>(n) * sizeof(T), alignment));
            size_ = n;
        }
        return data_;
    }
    T* data() { return data_; }
    const T* data() const { return data_; }

private:
    static constexpr std::align_val_t alignment{64};
    void release() {
        if (data_) ::operator delete(data_, alignment);
        data_ = nullptr;
        size_ = 0;
    }
    T* data_ = nullptr;
    index_t size_ = 0;
};

}  // namespace pynn
