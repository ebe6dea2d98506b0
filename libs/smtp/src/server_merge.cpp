// PowerMTA's mail merge in ServerSession: XMRG, XDFN, XPRT, XACK.
#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "merge_dialogue.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/smtp/command.hpp"
#include "postfleet/smtp/definitions.hpp"
#include "server_replies.hpp"

namespace postfleet::smtp {
namespace {

struct PartArgument {
    std::uint32_t number = 0;
    bool is_last = false;
};

std::optional<PartArgument> parse_part_argument(std::string_view argument) {
    const std::size_t space = std::min(argument.find(' '), argument.size());
    const std::string_view rest = trim(argument.substr(space));
    PartArgument part{.is_last = ascii_iequals(rest, "LAST")};
    const auto [end, error] = std::from_chars(argument.data(), argument.data() + space, part.number);
    if (error != std::errc{} || end != argument.data() + space || (!rest.empty() && !part.is_last)) return std::nullopt;
    if (part.number == 0 || part.number > kMaxMergePartNumber) return std::nullopt;
    return part;
}

std::string_view fault(DefinitionError error) {
    switch (error) {
        case DefinitionError::None: break;
        case DefinitionError::Syntax: return kXdfnSyntax;
        case DefinitionError::Twice: return kDefinedTwice;
        case DefinitionError::Reserved: return kReservedVariable;
        case DefinitionError::TooMuch: return kTooManyVariables;
    }
    return {};
}

}  // namespace

bool ServerSession::is_merging() const { return merge_ != nullptr && merge_->is_open; }

void ServerSession::xack(std::string_view argument, std::string& out) {
    if (!settings_->offers_merge) return switched_off(argument, out);
    const bool on = ascii_iequals(argument, "ON");
    if (!on && !ascii_iequals(argument, "OFF")) return mistake(Refusal::Syntax, kXackSyntax, out);
    if (merge_ == nullptr) merge_ = std::make_unique<Merge>();
    merge_->acknowledges = on;
    out.append(kOk);
}

void ServerSession::xmrg(std::string_view argument, std::string& out) {
    if (!settings_->offers_merge) return switched_off(argument, out);
    if (merge_ == nullptr) merge_ = std::make_unique<Merge>();
    merge_->is_open = true;
    begin_mail(argument, out);
    if (!in_transaction_ && question_ == Question::None) end_merge();
}

void ServerSession::xdfn(std::string_view argument, std::string& out) {
    if (!settings_->offers_merge) return switched_off(argument, out);
    if (!is_merging()) return mistake(Refusal::Sequence, kNeedMerge, out);
    const DefinitionError error = parse_definitions(argument, merge_->variables);
    if (error == DefinitionError::None) {
        out.append(kOk);
        return;
    }
    // A recipient without a part of its variables would get a letter that nobody wrote.
    merge_->definition_failed = true;
    mistake(Refusal::Syntax, fault(error), out);
}

void ServerSession::xprt(std::string_view argument, std::string& out) {
    if (!settings_->offers_merge) return switched_off(argument, out);
    if (answer_withheld(out)) return draining_ ? drain(out) : void();
    if (!is_merging()) return mistake(Refusal::Sequence, kNeedMerge, out);
    const auto part = parse_part_argument(argument);
    if (!part) return mistake(Refusal::Syntax, kXprtSyntax, out);
    if (recipients_ == 0) {
        if (refused_recipients_ == 0) return mistake(Refusal::Sequence, kNeedRcpt, out);
        out.append(kNoValidRecipients);
        return;
    }
    if (!merge_->variables.empty() || merge_->definition_failed) {
        return mistake(Refusal::Sequence, kLooseVariables, out);
    }
    auto& parts = merge_->parts;
    const bool is_known =
        std::any_of(parts.begin(), parts.end(), [&part](const MergePart& p) { return p.number == part->number; });
    if (is_known) return mistake(Refusal::Syntax, kPartTwice, out);
    if (parts.size() == kMaxMergeParts) return mistake(Refusal::Syntax, kTooManyParts, out);
    if (unread_octets_ > 0) {  // as behind DATA
        policy_.on_refusal(Refusal::EarlyTalk);
        return close_with(kEarlyTalk, out);
    }
    if (parts.empty()) {
        begin_content(Framing::Dots);
    } else {
        scanner_ = DataScanner(settings_->line_ends, Framing::Dots);
        content_ended_ = false;
    }
    parts.push_back({part->number, 0});
    merge_->is_last = part->is_last;
    state_ = State::Body;
    out.append(kStartPart);
}

// The header stands in the first part, as far as anything of ours looks at it.
void ServerSession::end_of_part(std::string& out) {
    if (!content_refusal_) inspect_header();
    if (content_refusal_) return end_of_data(out);
    auto& parts = merge_->parts;
    std::uint64_t size = chunks_sent_ * std::uint64_t{kContentChunkOctets} + content_.size();
    for (const MergePart& before : parts) size -= before.size_octets;
    parts.back().size_octets = size;
    if (merge_->is_last) return end_of_data(out);
    merge_->has_leading_dots |= scanner_.has_leading_dots();
    merge_->has_eight_bit |= scanner_.has_eight_bit();
    state_ = State::BetweenParts;
    out.append(kPartOk);
}

// A line that could not be read may have been an XDFN or RCPT.
void ServerSession::refuse_line(Refusal refusal, std::string_view reply, std::string& out) {
    const std::size_t said = out.size();
    if (is_merging()) merge_->definition_failed = true;
    mistake(refusal, reply, out);
    if (in_transaction_) withhold(said, out);
}

// After XACK OFF: what was said since `from` is not said. The first refusal of a transaction is kept.
void ServerSession::withhold(std::size_t from, std::string& out) {
    if (merge_ == nullptr || merge_->acknowledges || is_closed()) return;
    const std::string_view reply = std::string_view(out).substr(from);
    if (in_transaction_ && merge_->withheld.empty() && !reply.starts_with('2')) merge_->withheld = reply;
    out.resize(from);
}

// What could not be said goes out now, and takes the transaction with it.
bool ServerSession::answer_withheld(std::string& out) {
    if (merge_ == nullptr || merge_->withheld.empty()) return false;
    out.append(merge_->withheld);
    abandon();
    state_ = State::Ready;
    mail_refused_ = true;  // as if MAIL had been: more of it may be on its way
    refused_recipients_ = 0;
    return true;
}

void ServerSession::end_merge() {
    if (merge_ == nullptr) return;
    merge_->is_open = merge_->definition_failed = merge_->is_last = false;
    merge_->has_leading_dots = merge_->has_eight_bit = false;
    merge_->withheld.clear();
    merge_->variables = {};
    merge_->parts.clear();
}

}  // namespace postfleet::smtp
