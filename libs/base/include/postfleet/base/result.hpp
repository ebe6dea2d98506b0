// Result: the value of an operation of ours, or why it failed.
//
// A failure is something this process tried and could not do (disk full, broker away, deadline over).
// What a remote server answered to mail is an outcome, not a failure: see mail/disposition.hpp.
// ErrorKind says what the caller can do about it; the text is for people: what, where, how to mend it.
//
// Threads: a value type.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "postfleet/base/require.hpp"

namespace postfleet {

enum class ErrorKind {
    InvalidArgument,    // the input is wrong; trying again does not help
    NotFound,           // no such thing
    AlreadyExists,      // it is there, or another process holds it
    ResourceExhausted,  // no space, no memory budget, a limit is reached; later may work
    Unavailable,        // the thing behind it is away or latched; later may work
    DeadlineExceeded,   // it took too long; whether it happened is unknown
    Corruption,         // stored bytes are not what was written
    PermissionDenied,   // the operating system or a policy refuses
    Cancelled,          // we are stopping
    Internal,           // none of the above
};

const char* to_string(ErrorKind kind);

struct Error {
    ErrorKind kind = ErrorKind::Internal;
    std::string text;
};

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    T& value() & {
        require(has_value());
        return std::get<0>(state_);
    }
    const T& value() const& {
        require(has_value());
        return std::get<0>(state_);
    }
    T&& value() && {
        require(has_value());
        return std::get<0>(std::move(state_));
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    const Error& error() const {
        require(!has_value());
        return std::get<1>(state_);
    }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : failed_(true), error_(std::move(error)) {}

    bool has_value() const { return !failed_; }
    explicit operator bool() const { return !failed_; }
    const Error& error() const {
        require(failed_);
        return error_;
    }

private:
    bool failed_ = false;
    Error error_;
};

using Status = Result<void>;

}  // namespace postfleet
