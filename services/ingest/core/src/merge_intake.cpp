#include "postfleet/ingest/merge_intake.hpp"

#include <algorithm>
#include <charconv>

#include "postfleet/base/text.hpp"
#include "postfleet/ingest/header_facts.hpp"
#include "postfleet/ingest/sender_rights.hpp"
#include "postfleet/mail/delivery_windows.hpp"
#include "postfleet/merge/merger.hpp"
#include "postfleet/merge/part_list.hpp"

namespace postfleet::ingest {
namespace {

bool is_text(std::string_view value, std::size_t limit) {
    return value.size() <= limit && std::none_of(value.begin(), value.end(), [](char c) {
               return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
           });
}

std::optional<int> parse_priority(std::string_view value) {
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size() || number < 1 || number > 100) return std::nullopt;
    return number;
}

// "<a@b.example>", "a@b.example", "<>": without its brackets.
std::optional<std::string> parse_from(std::string_view value, Mailbox::Utf8 utf8) {
    value = trim(value);
    if (value.starts_with('<') && value.ends_with('>')) value = value.substr(1, value.size() - 2);
    if (value.empty()) return std::string();
    const auto mailbox = Mailbox::parse(value, utf8);
    return mailbox ? std::optional(mailbox->to_string()) : std::nullopt;
}

bool is_right(std::string_view name, std::string_view value) {
    if (name == "*parts") return merge::parse_part_list(value).has_value();
    if (name == "*priority") return parse_priority(value).has_value();
    if (name == "*schedule") return parse_delivery_windows(value).has_value();
    if (name == "*envid") return is_text(value, kMaxEnvelopeId) && is_ascii(value);
    return is_text(value, kMaxName);  // *vmta, *jobid, *subaccountid, *custommessageid
}

}  // namespace

std::optional<std::string> normalize_reserved(MergeVariables& variables, Mailbox::Utf8 utf8) {
    MergeVariables normal;
    for (const auto& [name, value] : variables.entries()) {
        if (name == "*from") {
            const auto from = parse_from(value, utf8);
            if (!from) return "The variable *from is not an address";
            normal.add(name, *from);
            continue;
        }
        if (name.front() == '*' && !is_right(name, value)) {
            return "The variable " + std::string(name) + " cannot be " + printable(value, 60);
        }
        normal.add(name, value);
    }
    variables = std::move(normal);
    return std::nullopt;
}

Priority priority_of_variable(std::string_view value) {
    constexpr int kMiddle = 50;
    const int number = parse_priority(value).value_or(kMiddle);
    return number > kMiddle ? Priority::High : number < kMiddle ? Priority::Low : Priority::Normal;
}

bool MergeIntake::add(const MergeVariables& variables) {
    if (octets_ + variables.octets().size() > kMaxMergeOctetsOfMessage) return false;
    octets_ += variables.octets().size();
    return true;
}

void MergeIntake::take(const SharedOctets& piece) {
    if (undefined_ == UndefinedVariable::Refuse) names_.take(*piece);
    if (header_ == Header::Checked && !first_piece_) first_piece_ = piece;
}

std::vector<MergeIntake::Names> MergeIntake::names_by_part(const Message& message) const {
    std::vector<Names> parts;
    auto use = names_.uses().begin();
    std::uint64_t end = 0;
    for (const MergePart& part : message.merge.parts) {
        end += part.size_octets;
        Names& names = parts.emplace_back();
        for (; use != names_.uses().end() && use->at < end; ++use) names.push_back(use->name);
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
    }
    return parts;
}

std::optional<std::string> MergeIntake::find_problem(const Message& message, const std::vector<Task>& tasks) const {
    if (names_.is_too_much()) return "The message has too many variables";
    const std::vector<Names> names = names_by_part(message);
    const auto& parts = message.merge.parts;
    for (const Task& task : tasks) {
        const Recipient& recipient = task.recipients.front();
        const merge::Merger merger(message, recipient);
        for (const std::uint32_t number : merger.parts()) {
            const auto part =
                std::find_if(parts.begin(), parts.end(), [number](const MergePart& p) { return p.number == number; });
            if (part == parts.end()) {
                return "There is no part " + std::to_string(number) + ", which " + recipient.address + " is to get";
            }
            for (const std::string& name : names[static_cast<std::size_t>(part - parts.begin())]) {
                if (merger.value_of(name)) continue;
                return "The variable " + name + " is not defined for " + recipient.address;
            }
        }
    }
    return std::nullopt;
}

std::optional<std::string> MergeIntake::find_foreign_sender(const Message& message, const std::vector<Task>& tasks,
                                                            const KnownUser& user) const {
    for (const Task& task : tasks) {
        const auto header = merge::Merger(message, task.recipients.front()).header(*first_piece_);
        if (!header && header.error().kind == ErrorKind::Unavailable)
            return "The header is too far back in the message";
        if (!header) continue;  // it will never go out
        if (std::string text = refused_sender(*header, user); !text.empty()) return text;
    }
    return std::nullopt;
}

}  // namespace postfleet::ingest
