// Texts of any language in header fields: encoded words (RFC 2047) in fields and names, parameters as RFC 2231 has them.
//
//   Grüße aus Wien   ─▶  =?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_Wien?=
//
// Each writes one whole field, or a parameter, folded: no line is longer than 78 octets unless a single word of the text
// is. What is ASCII stays readable. Texts are UTF-8 in one line; who has others checks before (is_header_text).
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "postfleet/mail/submission.hpp"

namespace postfleet::mime {

// Mergeable: words with a "[" stay as they are, so that the variables in them are found (docs/MAIL_MERGE.md).
enum class TextForm : std::uint8_t { Fixed, Mergeable };

// UTF-8 without controls: it cannot end its line.
bool is_header_text(std::string_view text);
// "Subject: …\r\n"
void append_text_field(std::string& out, std::string_view name, std::string_view text, TextForm form = TextForm::Fixed);
// "To: …\r\n"; at least one address, and these are in their normal form.
void append_address_field(std::string& out, std::string_view name, const std::vector<NamedAddress>& addresses,
                          TextForm form = TextForm::Fixed);
// ";\r\n filename=…", in several parameters where one is too long.
void append_parameter(std::string& out, std::string_view name, std::string_view value);

}  // namespace postfleet::mime
