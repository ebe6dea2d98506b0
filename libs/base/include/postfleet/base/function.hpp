// UniqueFunction: a move-only callable, so that callbacks can own what they work on.
//
// Callables up to 56 octets are stored inline; a larger one costs one allocation. Calling an empty one is
// a bug. Threads: a value type; calling is as thread-safe as the callable.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "postfleet/base/require.hpp"

namespace postfleet {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
public:
    UniqueFunction() = default;
    UniqueFunction(std::nullptr_t) {}

    template <class F, class D = std::decay_t<F>>
        requires(!std::is_same_v<D, UniqueFunction> && std::is_invocable_r_v<R, D&, Args...>)
    UniqueFunction(F&& callable) {
        if constexpr (fits<D>()) {
            ::new (storage_) D(std::forward<F>(callable));
            operations_ = &kInline<D>;
        } else {
            ::new (storage_) D*(new D(std::forward<F>(callable)));
            operations_ = &kHeap<D>;
        }
    }

    UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
    UniqueFunction& operator=(UniqueFunction&& other) noexcept {
        if (this != &other) {
            reset();
            take(other);
        }
        return *this;
    }
    UniqueFunction(const UniqueFunction&) = delete;
    UniqueFunction& operator=(const UniqueFunction&) = delete;
    ~UniqueFunction() { reset(); }

    explicit operator bool() const { return operations_ != nullptr; }

    R operator()(Args... args) {
        require(operations_ != nullptr);
        return operations_->call(storage_, std::forward<Args>(args)...);
    }

    void reset() {
        if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(storage_);
    }

private:
    static constexpr std::size_t kInlineOctets = 56;

    struct Operations {
        R (*call)(void*, Args&&...);
        void (*move)(void* to, void* from);  // leaves `from` destroyed
        void (*destroy)(void*);
    };

    template <class D>
    static constexpr bool fits() {
        return sizeof(D) <= kInlineOctets && alignof(D) <= alignof(std::max_align_t) &&
               std::is_nothrow_move_constructible_v<D>;
    }

    template <class D>
    static constexpr Operations kInline{
        [](void* at, Args&&... args) -> R { return (*static_cast<D*>(at))(std::forward<Args>(args)...); },
        [](void* to, void* from) {
            ::new (to) D(std::move(*static_cast<D*>(from)));
            static_cast<D*>(from)->~D();
        },
        [](void* at) { static_cast<D*>(at)->~D(); }};

    template <class D>
    static constexpr Operations kHeap{
        [](void* at, Args&&... args) -> R { return (**static_cast<D**>(at))(std::forward<Args>(args)...); },
        [](void* to, void* from) { ::new (to) D*(*static_cast<D**>(from)); },
        [](void* at) { delete *static_cast<D**>(at); }};

    void take(UniqueFunction& other) {
        if (other.operations_ == nullptr) return;
        other.operations_->move(storage_, other.storage_);
        operations_ = std::exchange(other.operations_, nullptr);
    }

    alignas(std::max_align_t) std::byte storage_[kInlineOctets];
    const Operations* operations_ = nullptr;
};

using Callback = UniqueFunction<void()>;

}  // namespace postfleet
