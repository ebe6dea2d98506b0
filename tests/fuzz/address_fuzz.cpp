// Addresses and domain names: whatever is accepted is within its limits, and normal: parsing it again changes nothing.
#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"

using postfleet::Mailbox;
using postfleet::require;

namespace {

bool is_clean_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

void check_mailbox(std::string_view text, Mailbox::Utf8 utf8) {
    const auto mailbox = Mailbox::parse(text, utf8);
    if (!mailbox) {
        require(!mailbox.error().text.empty() && mailbox.error().text.size() < 1024);
        return;
    }
    require(mailbox->local_part.size() <= 64 && mailbox->to_string().size() <= 254);
    require(is_clean_ascii(mailbox->domain));
    require(postfleet::is_utf8(mailbox->local_part));
    for (const char c : mailbox->local_part) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    const auto again = Mailbox::parse(mailbox->to_string(), utf8);
    require(again.has_value() && *again == *mailbox);
    require(postfleet::domain_of(mailbox->to_string()) == mailbox->domain);
}

}  // namespace

void fuzz_address(std::span<const std::byte> input) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    check_mailbox(text, Mailbox::Utf8::Refuse);
    check_mailbox(text, Mailbox::Utf8::Allow);
    const auto domain = postfleet::normalize_domain(text);
    if (!domain) return;
    require(is_clean_ascii(*domain) && domain->size() <= 253);
    require(*postfleet::normalize_domain(*domain) == *domain);
}
