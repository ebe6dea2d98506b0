// What the parts of a notification are written with. Pure.
#pragma once

#include <string>
#include <string_view>

namespace postfleet::dsn {

enum class Charset { Ascii, Utf8 };

inline constexpr std::size_t kTextWidth = 76;

// Without control octets, malformed UTF-8, and, in Ascii, anything above 127: each becomes "?".
std::string clean(std::string_view text, Charset charset);

// "Name: value\r\n", folded at its spaces so that unfolding gives the value back; a word that no line can hold is cut.
// Nothing for an empty value. `value` was cleaned.
void append_field(std::string& out, std::string_view name, std::string_view value);

// Lines of at most kTextWidth columns, each behind `indent`, broken at spaces. `text` was cleaned.
void append_paragraph(std::string& out, std::string_view indent, std::string_view text);

// A forward-path as `utf-8` addresses are written (RFC 6533 §3): \x{HEX} for what an xtext may not have and, in
// Ascii, for all that is not ASCII.
std::string utf8_address(std::string_view address, Charset charset);
// ORCPT as it came; its UTF-8 likewise in Ascii.
std::string original_recipient(std::string_view original, Charset charset);

}  // namespace postfleet::dsn
