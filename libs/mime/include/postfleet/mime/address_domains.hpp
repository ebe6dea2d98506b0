// address_domains: the domains of all mailboxes in an address field (RFC 5322 §3.4; obsolete routes are let pass).
//
// For rights: whatever another parser may take for an address must be seen here, so anything that does not parse is
// an error, never skipped: names without an address, unclosed quotes and comments, groups in groups. Comments nest
// to kMaxCommentDepth. One pass, no recursion.
// Threads: a pure function. The value may be folded. Domains come in their normal form; address literals as written.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::mime {

inline constexpr std::size_t kMaxCommentDepth = 100;

// Empty: an empty group or an empty field. Nothing: it does not parse.
std::optional<std::vector<std::string>> address_domains(std::string_view value);

}  // namespace postfleet::mime
