#include "postfleet/base/secret.hpp"

#include <string.h>  // explicit_bzero is no part of <cstring>

#include <algorithm>
#include <string>

namespace postfleet {

Secret::Secret(std::string_view octets)
    : octets_(std::make_unique_for_overwrite<char[]>(octets.size())), size_(octets.size()) {
    std::copy(octets.begin(), octets.end(), octets_.get());
}

void Secret::wipe() {
    if (octets_ != nullptr) ::explicit_bzero(octets_.get(), size_);
}

void wipe(std::string& octets) {
    octets.resize(octets.capacity());
    ::explicit_bzero(octets.data(), octets.size());
    octets.clear();
}

void wipe(std::span<std::uint8_t> octets) { ::explicit_bzero(octets.data(), octets.size()); }

bool constant_time_equals(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    // volatile, or a compiler may stop at the first difference.
    volatile unsigned char different = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        different = static_cast<unsigned char>(different |
                                               (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
    }
    return different == 0;
}

}  // namespace postfleet
