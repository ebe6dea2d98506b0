// Texts and variables of foreign making: what a text uses is found the same way however it is cut, and what is merged is
// bounded, is what the obvious way makes of it, and has no header field that a value made.
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/merge/insert.hpp"
#include "postfleet/merge/merger.hpp"
#include "postfleet/merge/name_collector.hpp"
#include "postfleet/smtp/definitions.hpp"

using namespace postfleet;

namespace {

std::string collect(std::string_view text, std::size_t piece) {
    merge::NameCollector names;
    for (std::size_t at = 0; at < text.size(); at += piece) names.take(text.substr(at, piece));
    std::string all;
    for (const auto& use : names.uses()) all += std::to_string(use.at) + use.name + "\n";
    return all;
}

bool is_name(std::string_view text) { return merge_name_length(text) == text.size() && !text.empty(); }

// Octet by octet. Addresses behind quoted names, which get brackets, are left to the unit tests.
std::string replace(std::string_view text, const merge::Merger& merger) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find(']', at);
        if (text.substr(at).starts_with("[[")) {
            out += '[';
            at += 2;
        } else if (text[at] == '[' && end != std::string_view::npos && is_name(text.substr(at + 1, end - at - 1))) {
            out += merger.value_of(to_ascii_lower(text.substr(at + 1, end - at - 1))).value_or("");
            at = end + 1;
        } else {
            out += text[at++];
        }
    }
    return out;
}

std::size_t fields_before_body(std::string_view text) {
    const std::size_t end = text.starts_with("\r\n") ? 0 : text.find("\r\n\r\n");
    std::size_t lines = 0;
    for (const char c : text.substr(0, end)) lines += c == '\n' ? 1 : 0;
    return lines;
}

}  // namespace

// The first line is an XDFN, the rest is the text.
void fuzz_merge(std::span<const std::byte> input) {
    const std::string_view all(reinterpret_cast<const char*>(input.data()), input.size());
    const std::size_t line = std::min(all.find('\n'), all.size());
    const std::string_view text = all.substr(std::min(line + 1, all.size()));

    Message message;
    message.reverse_path = "from@x.example";
    message.merge.max_octets = 10'000;
    message.merge.parts = {{1, text.size() / 2}, {2, text.size() - text.size() / 2}};
    Recipient recipient;
    recipient.address = "to@x.example";
    const auto error = smtp::parse_definitions(all.substr(0, line), recipient.variables);
    require(MergeVariables::from_octets(recipient.variables.octets()) == recipient.variables);
    if (error != smtp::DefinitionError::None) recipient.variables = {};
    require(recipient.variables.octets().size() <= kMaxMergeOctets + 32 * 1024);

    const std::string names = collect(text, std::string_view::npos / 2);
    require(collect(text, 1) == names);
    require(collect(text, 1 + text.size() / 3) == names);

    const merge::Merger merger(message, recipient);
    const auto merged = merger.merge(text);
    if (!merged) {
        require(merged.error().kind == ErrorKind::InvalidArgument && !merged.error().text.empty());
        return;
    }
    require(merged->size() <= message.merge.max_octets);
    if (recipient.variables.find("*parts")) return;
    const std::string_view first = text.substr(0, text.size() / 2), second = text.substr(text.size() / 2);
    const std::string obvious = replace(first, merger) + replace(second, merger);
    const bool has_address = text.find("[*") != std::string_view::npos;
    require(has_address || *merged == obvious);
    // An empty value may end the header early; no value makes it longer.
    require(fields_before_body(*merged) <= fields_before_body(text) || text.find("\r\n\r\n") == std::string_view::npos);
    const auto header = merger.header(text);
    require(!header || merged->starts_with(*header));
}
