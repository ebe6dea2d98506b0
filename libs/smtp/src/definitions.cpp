#include "postfleet/smtp/definitions.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {
namespace {

constexpr std::string_view kSpace = " \t";
constexpr std::string_view kReserved[] = {
    "*from", "*envid", "*vmta", "*jobid", "*parts", "*priority", "*subaccountid", "*custommessageid", "*schedule"};

void skip_space(std::string_view& rest) { rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size())); }

// What stands behind a backslash.
void take_escape(std::string_view& rest, std::string& value) {
    const char escaped = rest.empty() ? '\0' : rest.front();
    if (escaped == 'r' || escaped == 'n') {
        rest.remove_prefix(rest.starts_with("r\\n") ? 3 : 1);
        value.append("\r\n");
        return;
    }
    if (escaped == '"' || escaped == '\\') {
        rest.remove_prefix(1);
        value.push_back(escaped);
        return;
    }
    value.push_back('\\');
}

// Up to the closing quote, or to the next space. Nothing: it is not closed, or something stands behind it.
std::optional<std::string> take_value(std::string_view& rest) {
    std::string value;
    const bool is_quoted = rest.starts_with('"');
    if (is_quoted) rest.remove_prefix(1);
    while (!rest.empty()) {
        const char c = rest.front();
        if (is_quoted ? c == '"' : kSpace.find(c) != std::string_view::npos) break;
        rest.remove_prefix(1);
        if (c == '\\') take_escape(rest, value);
        else value.push_back(c);
    }
    if (!is_quoted) return value;
    if (rest.empty()) return std::nullopt;
    rest.remove_prefix(1);
    if (!rest.empty() && kSpace.find(rest.front()) == std::string_view::npos) return std::nullopt;
    return value;
}

}  // namespace

DefinitionError parse_definitions(std::string_view argument, MergeVariables& variables) {
    std::size_t count = variables.size();
    skip_space(argument);
    if (argument.empty()) return DefinitionError::Syntax;
    while (!argument.empty()) {
        const std::size_t length = merge_name_length(argument);
        if (length == 0 || !argument.substr(length).starts_with('=')) return DefinitionError::Syntax;
        const std::string name = to_ascii_lower(argument.substr(0, length));
        argument.remove_prefix(length + 1);
        const auto value = take_value(argument);
        if (!value) return DefinitionError::Syntax;
        const bool is_known = std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved);
        if (name.front() == '*' && !is_known) return DefinitionError::Reserved;
        if (variables.find(name)) return DefinitionError::Twice;
        variables.add(name, *value);
        if (++count > kMaxMergeVariables || variables.octets().size() > kMaxMergeOctets) {
            return DefinitionError::TooMuch;
        }
        skip_space(argument);
    }
    return DefinitionError::None;
}

}  // namespace postfleet::smtp
