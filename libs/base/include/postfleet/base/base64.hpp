// Base64 (RFC 4648 §4), strict: what it decodes it would encode to the same text.
//
// No white space, no foreign characters, padding as the form says, and no bits set that nothing reads: so two
// texts never stand for the same octets. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postfleet {

enum class Base64Form { Padded, Unpadded };

std::string base64_encode(std::string_view octets, Base64Form form = Base64Form::Padded);
std::optional<std::string> base64_decode(std::string_view text, Base64Form form = Base64Form::Padded);

}  // namespace postfleet
