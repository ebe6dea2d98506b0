#include "postfleet/sender_edge/evacuation.hpp"

namespace postfleet::sender {

namespace {

constexpr const char* kMark = "evacuating";

// The same whenever this part of this spool is handed over: so its sender knows it.
MessageId id_of(const std::string& spool_id, const MessageId& message, const Task& first) {
    const EventId hash =
        hash_event_id("evacuation/" + spool_id + "/" + message.to_string() + "/" + std::to_string(first.key.number));
    MessageId id;
    id.octets = hash.octets;
    return id;
}

}  // namespace

bool is_being_evacuated(Spool& spool) {
    for (const auto& [name, value] : spool.notes()) {
        if (name == kMark) return !value.empty();
    }
    return false;
}

Evacuation::Evacuation(EvacuationPorts ports)
    : ports_(std::move(ports)),
      courier_({.on = ports_.on,
                .spool = ports_.spool,
                .publisher = ports_.publisher,
                .sender_of = ports_.sender_of,
                .id_of = [this](const Message& message, const Task& first) {
                    return is_new_mail_ ? message.id : id_of(ports_.spool_id, message.id, first);
                }}) {}
Evacuation::~Evacuation() = default;

Status Evacuation::start(Completion<Result<EvacuationReport>> done) {
    done_ = std::move(done);
    const Status scanned = ports_.spool.scan_tasks([this](Task&& task) {
        if (waiting_.empty() || waiting_.back().front().message != task.key.message) waiting_.emplace_back();
        waiting_.back().push_back(task.key);
    });
    if (!scanned) return scanned;
    remaining_ = waiting_.size();
    is_new_mail_ = has_new_mail_only(ports_.spool);
    ports_.log.line(LogLevel::Info, "evacuation").field("messages", waiting_.size());
    ports_.on.post(guarded([this] { begin(); }));
    return {};
}

void Evacuation::stop() { stopping_ = true; }

void Evacuation::begin() {
    ports_.spool.put_note(kMark, "since " + format_rfc3339(ports_.on.wall_now()),
                          {&ports_.on, guarded([this](Status marked) {
                               if (marked) return work();
                               if (stopping_) return complete();
                               later(guarded([this] { begin(); }));
                           })});
}

void Evacuation::later(UniqueFunction<void()> run) {
    ports_.on.schedule_at(ports_.on.now() + kRetry, [run = std::move(run)]() mutable { run(); });
}

void Evacuation::work() {
    while (!stopping_ && !waiting_.empty() && under_way_ < kMostUnderWay &&
           courier_.octets_under_way() < kMostOctetsUnderWay) {
        std::vector<TaskKey> keys = std::move(waiting_.front());
        waiting_.pop_front();
        ++under_way_;
        carry(std::move(keys));
    }
    if (under_way_ == 0 && (stopping_ || waiting_.empty())) complete();
}

void Evacuation::carry(std::vector<TaskKey> keys) {
    const MessageId message = keys.front().message;
    courier_.carry(
        std::move(keys), guarded([this, message](Carried carried) {
            report_.recipients += carried.recipients;
            if (!carried.status && !stays(carried) && !stopping_) {
                return later(guarded([this, keys = std::move(carried.left)]() mutable { carry(std::move(keys)); }));
            }
            if (carried.status) ++report_.messages;
            else leave(message, carried);
            --under_way_;
            work();
        }));
}

// Whether a later try would end the same way.
bool Evacuation::stays(const Carried& carried) {
    const ErrorKind kind = carried.status.error().kind;
    return kind == ErrorKind::NotFound || kind == ErrorKind::InvalidArgument || kind == ErrorKind::Corruption;
}

void Evacuation::leave(const MessageId& message, const Carried& carried) {
    const bool has_no_queue = carried.status.error().kind == ErrorKind::NotFound && !carried.queue.empty();
    report_.why_left = has_no_queue ? "there is no queue " + carried.queue : carried.status.error().text;
    ++report_.left;
    ports_.log.line(LogLevel::Error, "evacuation-left")
        .field("message", message.to_string())
        .field("reason", report_.why_left);
}

void Evacuation::complete() {
    if (std::exchange(completed_, true)) return;
    if (!waiting_.empty()) {
        report_.left += waiting_.size();
        report_.why_left = "it was stopped";
    }
    const auto answer = [this](const Status&) { done_.run(report_); };
    if (report_.left > 0) return answer({});
    ports_.spool.put_note(kMark, "", {&ports_.on, guarded(answer)});
}

}  // namespace postfleet::sender
