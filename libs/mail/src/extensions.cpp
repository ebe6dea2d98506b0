#include "postfleet/mail/extensions.hpp"

#include <array>

#include "postfleet/base/text.hpp"

namespace postfleet {
namespace {

// A keyword's place is its bit: append only.
constexpr std::array<std::string_view, 21> kKeywords{
    "PIPELINING",  "SIZE",       "8BITMIME", "STARTTLS", "DSN",        "SMTPUTF8",  "ENHANCEDSTATUSCODES",
    "CHUNKING",    "BINARYMIME", "AUTH",     "LIMITS",   "REQUIRETLS", "DELIVERBY", "FUTURERELEASE",
    "MT-PRIORITY", "VRFY",       "EXPN",     "HELP",     "ETRN",       "XCLIENT",   "XFORWARD"};

}  // namespace

Extensions extension_bit(std::string_view keyword) {
    for (std::size_t i = 0; i < kKeywords.size(); ++i) {
        if (ascii_iequals(keyword, kKeywords[i])) return Extensions{1} << i;
    }
    return 0;
}

std::string extension_names(Extensions extensions) {
    std::string names;
    for (std::size_t i = 0; i < kKeywords.size(); ++i) {
        if ((extensions & Extensions{1} << i) == 0) continue;
        if (!names.empty()) names += ',';
        names += kKeywords[i];
    }
    return names;
}

}  // namespace postfleet
