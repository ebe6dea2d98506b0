#include "postfleet/merge/merger.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/merge/insert.hpp"
#include "postfleet/merge/part_list.hpp"

namespace postfleet::merge {
namespace {

constexpr std::string_view kEmptyLine = "\r\n\r\n";

Error unmergeable(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

bool is_address(std::string_view name) { return name == "*to" || name == "*from"; }

}  // namespace

// What was made so far, and whether it is still the header.
class Merger::Output final {
public:
    explicit Output(std::uint64_t limit) : limit_(limit) {}

    std::string octets;

    void append(std::string_view text) {
        octets.append(text);
        if (!in_header_ || text.empty()) return;
        const std::size_t end = octets.starts_with("\r\n") ? 0 : octets.find(kEmptyLine, from_);
        if (end != std::string::npos) {
            in_header_ = false;
            header_octets_ = end == 0 ? 2 : end + kEmptyLine.size();
        }
        from_ = octets.size() - std::min(octets.size(), kEmptyLine.size() - 1);
    }
    bool is_in_header() const { return in_header_; }
    std::size_t header_octets() const { return header_octets_; }
    bool is_full() const { return octets.size() > limit_; }
    bool follows_quoted_name() const {
        const std::size_t last = octets.find_last_not_of(' ');
        return in_header_ && last != std::string::npos && octets[last] == '"';
    }

private:
    const std::uint64_t limit_;
    bool in_header_ = true;
    std::size_t from_ = 0;  // where the empty line is looked for
    std::size_t header_octets_ = 0;
};

Merger::Merger(const Message& message, const Recipient& recipient) : message_(message), recipient_(recipient) {
    if (const auto list = recipient.variables.find("*parts")) {
        if (auto parts = parse_part_list(*list)) parts_ = *std::move(parts);
    } else {
        for (const MergePart& part : message.merge.parts) parts_.push_back(part.number);
        std::sort(parts_.begin(), parts_.end());
    }
}

std::optional<std::string> Merger::value_of(std::string_view name) const {
    if (name == "*to") return recipient_.address;
    if (name == "*date") return format_rfc5322_date(message_.accepted_at);
    if (const auto value = recipient_.variables.find(name)) return std::string(*value);
    if (name == "*from") return message_.reverse_path;
    if (name == "*jobid" && !message_.job.empty()) return message_.job;
    if (name == "*envid" && !message_.envelope_id.empty()) return message_.envelope_id;
    return std::nullopt;
}

Status Merger::add(std::string_view text, Output& out) const {
    std::size_t at = 0;
    for (;;) {
        const Insert insert = find_insert(text, at);
        out.append(text.substr(at, insert.begin - at));  // all of the rest when there is none
        if (out.is_full()) break;
        if (insert.begin == std::string_view::npos) return {};
        at = insert.begin + insert.size;
        if (insert.name.empty()) {
            out.append("[");
            continue;
        }
        const std::string name = to_ascii_lower(insert.name);
        std::optional<std::string> value = value_of(name);
        if (!value) {
            if (message_.merge.undefined == UndefinedVariable::Refuse) {
                return unmergeable("the variable " + name + " is not defined");
            }
            const bool keeps = message_.merge.undefined == UndefinedVariable::Keep;
            value = keeps ? text.substr(insert.begin, insert.size) : std::string_view();
        }
        if (out.is_in_header() && value->find('\n') != std::string::npos) {
            return unmergeable("the variable " + name + " has a line break, and stands in the header");
        }
        if (is_address(name) && out.follows_quoted_name()) value = "<" + *value + ">";
        out.append(*value);
        if (out.is_full()) break;
    }
    return unmergeable("larger than " + format_size(message_.merge.max_octets) + " when it is merged");
}

Result<std::string> Merger::merge(std::string_view content) const {
    Output out(message_.merge.max_octets);
    out.octets.reserve(content.size() + recipient_.variables.octets().size());
    for (const std::uint32_t number : parts_) {
        std::size_t begin = 0;
        const auto& parts = message_.merge.parts;
        const auto part = std::find_if(parts.begin(), parts.end(), [&](const MergePart& p) {
            if (p.number == number) return true;
            begin += p.size_octets;
            return false;
        });
        if (part == parts.end() || begin + part->size_octets > content.size()) {
            return unmergeable("there is no part " + std::to_string(number));
        }
        if (Status added = add(content.substr(begin, part->size_octets), out); !added) return added.error();
    }
    return std::move(out.octets);
}

Result<std::string> Merger::header(std::string_view content) const {
    Output out(message_.merge.max_octets);
    for (const std::uint32_t number : parts_) {
        std::size_t begin = 0;
        for (const MergePart& part : message_.merge.parts) {
            if (part.number == number) {
                const std::string_view text = content.substr(std::min(begin, content.size()));
                if (Status added = add(text.substr(0, part.size_octets), out); !added) return added.error();
                if (out.is_in_header() && text.size() < part.size_octets) {
                    return Error{ErrorKind::Unavailable, "the header is too far back in the message"};
                }
                break;
            }
            begin += part.size_octets;
        }
        if (!out.is_in_header()) {
            out.octets.resize(out.header_octets());
            break;
        }
    }
    return std::move(out.octets);
}

std::string Merger::field(std::string_view text) const {
    Output out(message_.merge.max_octets);
    return add(text, out) ? std::move(out.octets) : std::string(text);
}

}  // namespace postfleet::merge
