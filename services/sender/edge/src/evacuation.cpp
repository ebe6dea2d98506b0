#include "postfleet/sender_edge/evacuation.hpp"

#include <algorithm>
#include <map>

#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

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

// One message on its way. shared_ptr because several completions hold it.
struct Evacuation::Transfer {
    std::vector<TaskKey> keys;
    std::shared_ptr<const Message> message;
    std::vector<SharedOctets> content;
    std::size_t chunks_left = 0, parts_left = 0;
    std::string failed;  // why it stays
    struct Part {
        std::string sender;
        std::vector<Task> tasks;
        MessageId id;
        SharedOctets body;
    };
    std::vector<Part> parts;
    std::uint64_t octets = 0, recipients = 0;
};

bool is_being_evacuated(Spool& spool) {
    for (const auto& [name, value] : spool.notes()) {
        if (name == kMark) return !value.empty();
    }
    return false;
}

Evacuation::Evacuation(EvacuationPorts ports) : ports_(std::move(ports)) {}
Evacuation::~Evacuation() = default;

Status Evacuation::start(Completion<Result<EvacuationReport>> done) {
    done_ = std::move(done);
    const Status scanned = ports_.spool.scan_tasks([this](Task&& task) {
        if (waiting_.empty() || waiting_.back().front().message != task.key.message) waiting_.emplace_back();
        waiting_.back().push_back(task.key);
    });
    if (!scanned) return scanned;
    remaining_ = waiting_.size();
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
    while (!stopping_ && !waiting_.empty() && under_way_ < kMostUnderWay && octets_under_way_ < kMostOctetsUnderWay) {
        auto transfer = std::make_shared<Transfer>();
        transfer->keys = std::move(waiting_.front());
        waiting_.pop_front();
        ++under_way_;
        read(transfer);
    }
    if (under_way_ == 0 && (stopping_ || waiting_.empty())) complete();
}

// --- one message ---------------------------------------------------------------------------------------

void Evacuation::read(const std::shared_ptr<Transfer>& transfer) {
    ports_.spool.load_facts(transfer->keys,
                            {&ports_.on, guarded([this, transfer](Result<std::vector<Spool::Loaded>> loaded) {
                                 if (!loaded) return later(guarded([this, transfer] { read(transfer); }));
                                 if (loaded->size() != transfer->keys.size())
                                     return leave(transfer, "it cannot be read");
                                 transfer->message = loaded->front().message;
                                 std::map<std::string, std::vector<Task>> by_sender;
                                 for (Spool::Loaded& one : *loaded) {
                                     transfer->recipients += one.task.recipients.size();
                                     by_sender[ports_.sender_of(one.task.virtual_mta)].push_back(std::move(one.task));
                                 }
                                 for (auto& [sender, tasks] : by_sender) {
                                     const MessageId id = id_of(ports_.spool_id, transfer->message->id, tasks.front());
                                     transfer->parts.push_back({sender, std::move(tasks), id, nullptr});
                                 }
                                 read_content(transfer);
                             })});
}

void Evacuation::read_content(const std::shared_ptr<Transfer>& transfer) {
    const std::uint32_t chunks = std::max(transfer->message->content_chunks, 1u);
    transfer->octets = transfer->message->size_octets;
    octets_under_way_ += transfer->octets;
    transfer->content.resize(chunks);
    transfer->chunks_left = chunks;
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
        ports_.spool.read_chunk(transfer->message->id, chunk,
                                {&ports_.on, guarded([this, transfer, chunk](Result<SharedOctets> octets) {
                                     if (octets) transfer->content[chunk] = *std::move(octets);
                                     else transfer->failed = octets.error().text;
                                     if (--transfer->chunks_left > 0) return;
                                     if (!transfer->failed.empty()) return leave(transfer, transfer->failed);
                                     publish_all(transfer);
                                 })});
    }
}

void Evacuation::publish_all(const std::shared_ptr<Transfer>& transfer) {
    transfer->parts_left = transfer->parts.size();
    for (std::size_t part = 0; part < transfer->parts.size(); ++part) {
        auto& one = transfer->parts[part];
        one.body = std::make_shared<const std::string>(wire::encode_handover(
            {.id = one.id, .message = transfer->message, .tasks = one.tasks, .content = transfer->content}));
        publish(transfer, part);
    }
}

void Evacuation::publish(const std::shared_ptr<Transfer>& transfer, std::size_t part) {
    const auto& one = transfer->parts[part];
    const bool is_high = one.tasks.front().priority == Priority::High;
    const std::string queue = is_high ? wire::deliver_high_queue(one.sender) : wire::deliver_queue(one.sender);
    ports_.publisher.publish(
        {std::string(wire::kDeliverExchange), queue},
        {.body = one.body, .content_type = std::string(wire::kHandoverContentType), .message_id = one.id.to_string()},
        {&ports_.on, guarded([this, transfer, part, queue](Status status) {
             if (!status && status.error().kind == ErrorKind::NotFound) {
                 transfer->failed = "there is no queue " + queue;
             } else if (!status && status.error().kind == ErrorKind::InvalidArgument) {
                 transfer->failed = status.error().text;
             } else if (!status && !stopping_) {
                 return later(guarded([this, transfer, part] { publish(transfer, part); }));
             } else if (!status) {
                 transfer->failed = status.error().text;
             }
             if (--transfer->parts_left > 0) return;
             if (!transfer->failed.empty()) return leave(transfer, transfer->failed);
             remove(transfer);
         })});
}

void Evacuation::remove(const std::shared_ptr<Transfer>& transfer) {
    SpoolBatch batch;
    batch.urgency = SpoolBatch::Urgency::Outcome;
    batch.remove_tasks = transfer->keys;
    batch.remove_messages.push_back({transfer->message->id, std::max(transfer->message->content_chunks, 1u)});
    ports_.spool.commit(std::move(batch), {&ports_.on, guarded([this, transfer](Status status) {
                                               if (!status && !stopping_) {
                                                   return later(guarded([this, transfer] { remove(transfer); }));
                                               }
                                               if (!status) return leave(transfer, status.error().text);
                                               ++report_.messages;
                                               --remaining_;
                                               report_.recipients += transfer->recipients;
                                               finish(transfer);
                                           })});
}

void Evacuation::leave(const std::shared_ptr<Transfer>& transfer, const std::string& why) {
    ports_.log.line(LogLevel::Error, "evacuation-left")
        .field("message", transfer->keys.front().message.to_string())
        .field("reason", why);
    ++report_.left;
    report_.why_left = why;
    finish(transfer);
}

void Evacuation::finish(const std::shared_ptr<Transfer>& transfer) {
    --under_way_;
    octets_under_way_ -= transfer->octets;
    work();
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
