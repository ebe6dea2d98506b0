// Which octets can be the name of a user.
#pragma once

#include <algorithm>
#include <string_view>

#include "postfleet/base/text.hpp"
#include "postfleet/sasl/server_exchange.hpp"

namespace postfleet::sasl {

inline bool is_user_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxNameOctets && is_utf8(text) &&
           std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace postfleet::sasl
