#include "postfleet/sender_edge/suppression_gate.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::sender {

namespace {

std::string reason_of(const Suppression& suppression) {
    std::string reason = "suppressed by " + (suppression.source.empty() ? "a list" : suppression.source);
    if (!suppression.reason.empty()) reason += ": " + suppression.reason;
    return reason + " (" + suppression.key.target + ")";
}

// The recipients of a task that end for one reason. The task shares everything else with those that stay.
EndedTask& ended_for(std::vector<EndedTask>& ended, std::size_t first, const Task& task, const std::string& reason) {
    const auto same = std::find_if(ended.begin() + static_cast<std::ptrdiff_t>(first), ended.end(),
                                   [&](const EndedTask& one) { return one.reason == reason; });
    if (same != ended.end()) return *same;
    EndedTask& made = ended.emplace_back();
    made.reason = reason;
    made.task.key = task.key;
    made.task.virtual_mta = task.virtual_mta;
    made.task.pool = task.pool;
    made.task.domain = task.domain;
    made.task.tenant = task.tenant;
    made.task.job = task.job;
    return made;
}

}  // namespace

SuppressionGate::SuppressionGate(Handover& next, TakeInEnded take_in_ended, RecipientCheck& recipients,
                                 Metrics& metrics)
    : next_(next),
      take_in_ended_(std::move(take_in_ended)),
      recipients_(recipients),
      asked_(metrics.counter("postfleet_sender_suppressions_asked_total",
                             "Messages whose recipients were looked for on the suppression lists.")),
      unasked_(metrics.counter("postfleet_sender_suppressions_unanswered_total",
                               "Of these, messages that were taken in whole because no router answered.")) {}

void SuppressionGate::hand_over(AcceptedMessage message, Completion<Status> done) {
    if (!recipients_.has_any()) return next_.hand_over(std::move(message), std::move(done));
    std::vector<SuppressionQuestion> questions;
    for (const Task& task : message.tasks) {
        for (const Recipient& recipient : task.recipients) questions.push_back({task.tenant, recipient.address});
    }
    asked_.add();
    Executor* const on = done.on;
    recipients_.check(std::move(questions), {on, [this, message = std::move(message), done = std::move(done)](
                                                     Result<RecipientCheck::Answers> answers) mutable {
                                                 if (answers) {
                                                     return on_answers(std::move(message), *answers, std::move(done));
                                                 }
                                                 unasked_.add();
                                                 next_.hand_over(std::move(message), std::move(done));
                                             }});
}

void SuppressionGate::on_answers(AcceptedMessage message, const RecipientCheck::Answers& answers,
                                 Completion<Status> done) {
    std::vector<EndedTask> ended;
    std::size_t place = 0;
    for (Task& task : message.tasks) {
        const std::size_t first = ended.size();
        std::vector<Recipient> stay;
        for (Recipient& recipient : task.recipients) {
            const auto& found = answers[place++];
            if (!found) stay.push_back(std::move(recipient));
            else ended_for(ended, first, task, reason_of(*found)).task.recipients.push_back(std::move(recipient));
        }
        task.recipients = std::move(stay);
    }
    if (ended.empty()) return next_.hand_over(std::move(message), std::move(done));
    std::erase_if(message.tasks, [](const Task& task) { return task.recipients.empty(); });
    take_in_ended_(std::move(message), std::move(ended), std::move(done));
}

}  // namespace postfleet::sender
