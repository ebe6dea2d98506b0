// Secret: a password or key that leaves no copy behind; constant_time_equals: a comparison that tells nothing.
//
// A Secret wipes its memory when it goes or is assigned over. It is moved, not copied, and is never formatted or
// logged: only view() gives it away. Threads: value types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace postfleet {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string_view octets);
    Secret(Secret&& other) noexcept : octets_(std::move(other.octets_)), size_(std::exchange(other.size_, 0)) {}
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            wipe();
            octets_ = std::move(other.octets_);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { wipe(); }

    std::string_view view() const { return {octets_.get(), size_}; }
    bool empty() const { return size_ == 0; }

private:
    void wipe();

    // Not a std::string: a short one would live inside the object, and moving would leave a copy there.
    std::unique_ptr<char[]> octets_;
    std::size_t size_ = 0;
};

// Overwrites in a way that no optimiser takes out; a string is empty afterwards.
void wipe(std::string& octets);
void wipe(std::span<std::uint8_t> octets);

// Takes as long for any two texts of the same length.
bool constant_time_equals(std::string_view a, std::string_view b);

}  // namespace postfleet
