#include "postfleet/ingest/submission_consumer.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

using Kind = SubmissionOutcome::Kind;

Counter& submissions(Metrics& metrics, const std::string& queue, const char* result) {
    return metrics.counter("postfleet_submissions_total", "Submissions of RabbitMQ queues, by what became of them.",
                           {{"queue", queue}, {"result", result}});
}

}  // namespace

SubmissionCounters::SubmissionCounters(Metrics& metrics, const std::string& queue)
    : accepted(submissions(metrics, queue, "accepted")),
      duplicates(submissions(metrics, queue, "duplicate")),
      rejected(submissions(metrics, queue, "rejected")),
      redelivered(metrics.counter("postfleet_submissions_redelivered_total",
                                  "Accepted when they were given out again, with neither idempotency key nor "
                                  "message_id: a second copy is possible.",
                                  {{"queue", queue}})),
      lost(metrics.counter("postfleet_submissions_lost_connection_total",
                           "Taken, and gone with the connection to the broker, which gives them out again.",
                           {{"queue", queue}})),
      pauses(metrics.counter("postfleet_submission_pauses_total",
                             "How often nothing more was taken, because no mail could be stored or rejected.",
                             {{"queue", queue}})),
      waiting(metrics.gauge("postfleet_submissions_waiting", "Taken from the broker, without an end yet.",
                            {{"queue", queue}})) {}

SubmissionConsumer::SubmissionConsumer(Setup setup) : setup_(std::move(setup)) {}

SubmissionConsumer::~SubmissionConsumer() {
    *alive_ = nullptr;
    setup_.shard.executor().cancel(timer_);
    setup_.counters.waiting.add(-static_cast<std::int64_t>(waiting_.size() + open_.size()));
}

void SubmissionConsumer::use(std::shared_ptr<const ListenerRules> rules, Duration idempotency_window) {
    setup_.source.rules = std::move(rules);
    setup_.source.idempotency_window = idempotency_window;
}

void SubmissionConsumer::deliver(BrokerDelivery&& delivery) {
    setup_.counters.waiting.add(1);
    waiting_.push_back({std::move(delivery), {}});
    pump();
}

// What waits is forgotten; what is on its way ends, and has nothing to be settled.
void SubmissionConsumer::on_lost() {
    setup_.counters.lost.add(waiting_.size());
    setup_.counters.waiting.add(-static_cast<std::int64_t>(waiting_.size()));
    waiting_.clear();
    for (auto& [tag, open] : open_) {
        if (!std::exchange(open.is_lost, true)) setup_.counters.lost.add();
    }
    if (flow_ == Flow::Trying && open_.empty()) pause("the connection was lost");
    look_quiet();
}

void SubmissionConsumer::pump() {
    while (!waiting_.empty() && may_begin(waiting_.front().delivery)) {
        const Admission admission = setup_.desk.admission();
        if (!admission.open) return pause(admission.reason);
        Waiting next = std::move(waiting_.front());
        waiting_.pop_front();
        begin(std::move(next));
    }
}

// A suspect waits until it is alone, and everybody else until it has an end.
bool SubmissionConsumer::may_begin(const BrokerDelivery& delivery) const {
    if (flow_ == Flow::Paused || is_draining_ || is_alone_) return false;
    return open_.empty() || (flow_ == Flow::Open && !is_suspect(delivery));
}

// Classic queues do not count.
bool SubmissionConsumer::is_suspect(const BrokerDelivery& delivery) const {
    return delivery.delivery_count >= kSuspect || (delivery.is_redelivered && delivery.delivery_count == 0);
}

std::string SubmissionConsumer::fingerprint(const BrokerDelivery& delivery) const {
    const auto digest = setup_.digests.start_sha256();
    digest->add(setup_.queue);
    digest->add("\n");
    digest->add(delivery.message.message_id);
    digest->add("\n");
    digest->add(delivery.message.content_type);
    digest->add("\n");
    digest->add(*delivery.message.body);
    const Sha256Digest made = digest->finish();
    return std::string(octets_of(made));
}

// Whether earlier processes died of it.
bool SubmissionConsumer::is_to_blame(const BrokerDelivery& delivery) {
    const std::string print = base64_encode(fingerprint(delivery));
    Suspect suspect{.fingerprint = print};
    for (const Suspect& left : setup_.left) {
        // Whoever wrote the note has gone without an end.
        if (left.fingerprint == print) suspect.crashes = std::max(suspect.crashes, left.crashes + 1);
    }
    if (suspect.crashes >= kMostCrashes) return true;
    setup_.notes.write(suspect);
    return false;
}

SubmissionSource SubmissionConsumer::source_of(const BrokerDelivery& delivery) const {
    SubmissionSource source = setup_.source;
    source.user = delivery.user_id;
    if (!delivery.message.message_id.empty()) {
        const std::string print = fingerprint(delivery);
        MessageId id;
        std::copy_n(print.begin(), id.octets.size(), id.octets.begin());
        source.taken_as = id;
    }
    return source;
}

void SubmissionConsumer::begin(Waiting&& waiting) {
    const std::uint64_t tag = waiting.delivery.tag;
    is_alone_ = is_suspect(waiting.delivery);
    const BrokerDelivery& kept = open_.emplace(tag, Open{std::move(waiting.delivery)}).first->second.delivery;
    if (kept.message.body->size() > setup_.max_body_octets) {
        return reject(tag, "the body has " + std::to_string(kept.message.body->size()) +
                               " octets, more than a message of at most " +
                               format_size(setup_.source.rules->listener.max_message_size) + " can need");
    }
    if (is_alone_ && is_to_blame(kept)) {
        return reject(tag, "Postfleet died " + std::to_string(kMostCrashes) +
                               " times while it had this submission, and nothing else, under way");
    }
    auto submission = setup_.parse(kept.message);
    if (!submission) return reject(tag, submission.error().text);
    SubmissionSource source = source_of(kept);
    source.id = waiting.id;
    setup_.desk.submit(std::move(*submission), std::move(source), [alive = alive_, tag](SubmissionOutcome&& outcome) {
        if (*alive != nullptr) (*alive)->on_outcome(tag, std::move(outcome));
    });
}

void SubmissionConsumer::on_outcome(std::uint64_t tag, SubmissionOutcome&& outcome) {
    const BrokerDelivery& delivery = open_.at(tag).delivery;
    switch (outcome.kind) {
        case Kind::Accepted:
            setup_.counters.accepted.add();
            if (delivery.is_redelivered && delivery.message.message_id.empty()) setup_.counters.redelivered.add();
            return settle(tag, BrokerVerdict::Ack);
        case Kind::Duplicate:
            setup_.counters.duplicates.add();
            setup_.shard.log()
                .line(LogLevel::Info, "submission-duplicate")
                .field("queue", setup_.name)
                .field("id", outcome.id.to_string());
            return settle(tag, BrokerVerdict::Ack);
        case Kind::Refused: return reject(tag, outcome.problem);
        case Kind::Later: return put_back(tag, outcome.problem, outcome.id);
    }
}

// Published as it came, and the reason with it.
void SubmissionConsumer::reject(std::uint64_t tag, const std::string& why) {
    const Open& open = open_.at(tag);
    BrokerMessage message = open.delivery.message;
    std::erase_if(message.headers, [](const auto& header) { return header.first.starts_with("x-postfleet-"); });
    // Publishing needs one; an application may have done without.
    if (message.message_id.empty()) message.message_id = setup_.shard.next_id().to_string();
    message.headers.emplace_back("x-postfleet-reason", printable(why, kMostReason));
    message.headers.emplace_back("x-postfleet-queue", setup_.queue);
    message.headers.emplace_back("x-postfleet-rejected-at", format_rfc3339(setup_.shard.executor().wall_now()));
    setup_.publisher.publish(setup_.rejected, std::move(message),
                             {&setup_.shard.executor(), [alive = alive_, tag, why](Status published) {
                                  if (*alive != nullptr) (*alive)->on_rejected(tag, why, published);
                              }});
}

void SubmissionConsumer::on_rejected(std::uint64_t tag, const std::string& why, const Status& published) {
    const bool never = !published && published.error().kind == ErrorKind::InvalidArgument;
    if (!published && !never) {
        return put_back(tag, "the rejected queue " + setup_.rejected.routing_key + ": " + published.error().text);
    }
    setup_.counters.rejected.add();
    setup_.shard.log()
        .line(LogLevel::Warning, "submission-rejected")
        .field("queue", setup_.name)
        .field("message_id", open_.at(tag).delivery.message.message_id)
        .field("reason", why);
    // What cannot be published again, because it is too large, is left to the queue's dead-letter exchange.
    settle(tag, never ? BrokerVerdict::Reject : BrokerVerdict::Ack);
}

void SubmissionConsumer::settle(std::uint64_t tag, BrokerVerdict verdict) {
    const auto open = open_.find(tag);
    if (!open->second.is_lost && consumer_ != nullptr) consumer_->settle(tag, verdict);
    open_.erase(open);
    setup_.counters.waiting.add(-1);
    if (std::exchange(is_alone_, false)) setup_.notes.clear();
    if (flow_ == Flow::Trying) resume();
    look_quiet();
    pump();
}

void SubmissionConsumer::put_back(std::uint64_t tag, const std::string& why, std::optional<MessageId> id) {
    auto node = open_.extract(tag);
    if (std::exchange(is_alone_, false)) setup_.notes.clear();
    if (node.mapped().is_lost) setup_.counters.waiting.add(-1);
    else waiting_.push_front({std::move(node.mapped().delivery), id});
    pause(why);
    look_quiet();
}

void SubmissionConsumer::pause(const std::string& why) {
    if (std::exchange(flow_, Flow::Paused) == Flow::Open) {
        setup_.counters.pauses.add();
        if (consumer_ != nullptr) consumer_->pause();
        setup_.shard.log()
            .line(LogLevel::Warning, "submissions-paused")
            .field("queue", setup_.name)
            .field("reason", why);
    }
    if (timer_) return;
    timer_ = setup_.shard.executor().schedule_at(setup_.shard.executor().now() + kPause, [this] {
        timer_ = {};
        try_one();
    });
}

void SubmissionConsumer::try_one() {
    flow_ = Flow::Trying;
    if (!waiting_.empty() || !open_.empty()) return pump();
    // The broker has them all: whether the store takes mail is all that can be asked.
    const Admission admission = setup_.desk.admission();
    if (admission.open) resume();
    else pause(admission.reason);
}

void SubmissionConsumer::resume() {
    flow_ = Flow::Open;
    if (consumer_ != nullptr && !is_draining_) consumer_->resume();
    setup_.shard.log().line(LogLevel::Info, "submissions-resumed").field("queue", setup_.name);
}

void SubmissionConsumer::drain(Callback quiet) {
    is_draining_ = true;
    when_quiet_ = std::move(quiet);
    look_quiet();
}

void SubmissionConsumer::look_quiet() {
    if (open_.empty() && when_quiet_) std::exchange(when_quiet_, {})();
}

}  // namespace postfleet::ingest
