// Mail merge and VERP in Intake.
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/ingest/intake.hpp"
#include "postfleet/mail/delivery_windows.hpp"
#include "postfleet/merge/personal.hpp"

namespace postfleet::ingest {
namespace {

constexpr std::size_t kMaxPathOctets = 254;  // RFC 5321 §4.5.3.1.3, without its brackets

}  // namespace

void Intake::begin_merge(const smtp::MailRequest& request) {
    message_->verp = request.verp;
    if (request.verp || request.merges) recipients_.keep_apart();
    if (!request.merges) return;
    message_->merge.undefined = rules_->listener.undefined_variables;
    message_->merge.max_octets = rules_->listener.max_message_size;
    message_->merge.utf8_in_header = request.smtputf8;
    // How long its lines are is known when the values are in.
    message_->has_long_lines = rules_->listener.message_checks == config::MessageChecks::Repair;
    merge_ =
        std::make_unique<MergeIntake>(rules_->listener.undefined_variables,
                                      user_ != nullptr ? MergeIntake::Header::Checked : MergeIntake::Header::Unchecked);
}

// Of one recipient: what makes it differ from the others.
std::optional<smtp::Decision> Intake::check_recipient_variables(smtp::RcptRequest& request) {
    MergeVariables& variables = request.variables;
    if (auto problem = normalize_reserved(variables, utf8_ ? Mailbox::Utf8::Allow : Mailbox::Utf8::Refuse)) {
        return refuse(Reason::BadVariables, 501, {5, 5, 4}, std::move(*problem));
    }
    const auto from = variables.find("*from");
    if (from) {
        if (auto refusal = check_sender(std::string(*from))) return refusal;
    }
    if (const auto target = variables.find("*vmta")) {
        const auto bound = rules_->routing->bind({.virtual_mta = *target}, 0);
        if (!bound) return refuse(Reason::UnknownVirtualMta, 550, {5, 3, 5}, bound.refusal);
    }
    if (const auto schedule = variables.find("*schedule")) {
        const auto windows = parse_delivery_windows(*schedule);
        if (windows && !next_in_windows(*windows, message_->send_at.value_or(now()))) {
            return refuse(Reason::BadVariables, 550, {5, 4, 7}, "The last window of *schedule is over");
        }
    }
    const std::string_view reverse_path = from.value_or(message_->reverse_path);
    if (message_->verp && merge::verp_path(reverse_path, request.mailbox.to_string()).size() > kMaxPathOctets) {
        return refuse(Reason::BadVariables, 501, {5, 1, 7}, "The sender address is too long for VERP");
    }
    if (merge_ == nullptr) return std::nullopt;
    if (!merge_->add(variables)) {
        return refuse(Reason::BadVariables, 452, {4, 5, 3},
                      "Too many variables in one message, send the rest in another");
    }
    if (!may_hold_content(0)) return smtp::Decision::refuse(451, {4, 3, 2}, "Too much mail at once, try later");
    return std::nullopt;
}

// What decides where a task goes, as far as its recipient's variables say so.
void Intake::take_binding_variables(const Task& task, routing::BindRequest& request) const {
    const MergeVariables& variables = task.recipients.front().variables;
    if (const auto target = variables.find("*vmta")) request.virtual_mta = *target;
    request.mail_from = variables.find("*from").value_or(message_->reverse_path);
    if (const auto job = variables.find("*jobid")) request.job = *job;
}

std::optional<smtp::Decision> Intake::finish_merge(std::vector<MergePart>&& parts) {
    message_->merge.parts = std::move(parts);
    if (auto problem = merge_->find_problem(*message_, recipients_.tasks())) {
        return refuse(Reason::BadVariables, 550, {5, 6, 0}, std::move(*problem));
    }
    if (user_ == nullptr) return std::nullopt;
    if (auto problem = merge_->find_foreign_sender(*message_, recipients_.tasks(), *user_)) {
        return refuse(Reason::SenderNotAllowed, 550, {5, 7, 1}, std::move(*problem));
    }
    return std::nullopt;
}

void Intake::end_merge() {
    if (std::exchange(merge_, nullptr) != nullptr) may_hold_content(0);
}

}  // namespace postfleet::ingest
