#include "postfleet/mail/merge.hpp"

#include <cstring>

#include "postfleet/base/require.hpp"

namespace postfleet {
namespace {

constexpr std::size_t kHeaderOctets = 5;

// The variable at the front of `rest`, which loses it; nothing where none is left, or where it is cut off.
std::optional<MergeVariables::Entry> take_entry(std::string_view& rest) {
    if (rest.size() < kHeaderOctets) return std::nullopt;
    const std::size_t name = static_cast<std::uint8_t>(rest[0]);
    std::size_t value = 0;
    for (std::size_t i = kHeaderOctets - 1; i > 0; --i) value = value << 8 | static_cast<std::uint8_t>(rest[i]);
    if (rest.size() - kHeaderOctets < name || rest.size() - kHeaderOctets - name < value) return std::nullopt;
    const MergeVariables::Entry entry{rest.substr(kHeaderOctets, name), rest.substr(kHeaderOctets + name, value)};
    rest.remove_prefix(kHeaderOctets + name + value);
    return entry;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

std::size_t merge_name_length(std::string_view text) {
    const std::size_t first = text.starts_with('*') ? 1 : 0;
    if (text.size() <= first || !is_letter(text[first])) return 0;
    std::size_t end = first + 1;
    while (end < text.size() && (is_letter(text[end]) || (text[end] >= '0' && text[end] <= '9') || text[end] == '_'))
        ++end;
    return end <= kMaxMergeName ? end : 0;
}

void MergeVariables::add(std::string_view name, std::string_view value) {
    require(name.size() <= UINT8_MAX && value.size() <= UINT32_MAX);
    octets_.push_back(static_cast<char>(name.size()));
    for (unsigned shift = 0; shift < 32; shift += 8) octets_.push_back(static_cast<char>(value.size() >> shift));
    octets_.append(name).append(value);
}

std::optional<std::string_view> MergeVariables::find(std::string_view name) const {
    std::string_view rest = octets_;
    while (const auto entry = take_entry(rest)) {
        if (entry->first == name) return entry->second;
    }
    return std::nullopt;
}

std::vector<MergeVariables::Entry> MergeVariables::entries() const {
    std::vector<Entry> entries;
    std::string_view rest = octets_;
    while (const auto entry = take_entry(rest)) entries.push_back(*entry);
    return entries;
}

std::size_t MergeVariables::size() const {
    std::size_t count = 0;
    std::string_view rest = octets_;
    while (take_entry(rest)) ++count;
    return count;
}

std::optional<MergeVariables> MergeVariables::from_octets(std::string octets) {
    std::string_view rest = octets;
    while (take_entry(rest)) {
    }
    if (!rest.empty()) return std::nullopt;
    MergeVariables variables;
    variables.octets_ = std::move(octets);
    return variables;
}

}  // namespace postfleet
