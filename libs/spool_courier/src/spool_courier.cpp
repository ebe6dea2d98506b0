#include "postfleet/spool_courier/spool_courier.hpp"

#include <algorithm>
#include <map>

#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet {

namespace {

constexpr const char* kNewMailOnly = "new-mail-only";

}  // namespace

struct SpoolCourier::Transfer {
    std::vector<TaskKey> keys;
    UniqueFunction<void(Carried)> done;
    std::shared_ptr<const Message> message;
    std::vector<SharedOctets> content;
    std::size_t chunks_left = 0, parts_left = 0;
    struct Part {
        std::string sender;
        std::vector<Task> tasks;
        MessageId id;
        SharedOctets body;
        bool is_confirmed = false;
    };
    std::vector<Part> parts;
    std::uint64_t octets = 0;
    Carried result;

    void fail(Error error, std::string queue = {}) {
        result.status = std::move(error);
        result.queue = std::move(queue);
    }
    std::uint32_t chunks() const { return std::max(message->content_chunks, 1u); }
};

void mark_as_new_mail_only(Spool& spool, Completion<Status> done) {
    spool.put_note(kNewMailOnly, "yes", std::move(done));
}

bool has_new_mail_only(Spool& spool) {
    for (const auto& [name, value] : spool.notes()) {
        if (name == kNewMailOnly) return !value.empty();
    }
    return false;
}

std::string queue_of(const std::string& sender, const Task& first_of_part) {
    return first_of_part.priority == Priority::High ? wire::deliver_high_queue(sender) : wire::deliver_queue(sender);
}

SpoolCourier::SpoolCourier(SpoolCourierPorts ports) : ports_(std::move(ports)) {}
SpoolCourier::~SpoolCourier() = default;

void SpoolCourier::carry(std::vector<TaskKey> keys, UniqueFunction<void(Carried)> done) {
    ++under_way_;
    auto transfer = std::make_shared<Transfer>();
    transfer->keys = std::move(keys);
    transfer->done = std::move(done);
    ports_.spool.load_facts(transfer->keys,
                            {&ports_.on, guarded([this, transfer](Result<std::vector<Spool::Loaded>> loaded) {
                                 if (!loaded) {
                                     transfer->fail(loaded.error());
                                     return finish(transfer);
                                 }
                                 if (loaded->size() != transfer->keys.size()) {
                                     transfer->fail({ErrorKind::Corruption, "it cannot be read"});
                                     return finish(transfer);
                                 }
                                 transfer->message = loaded->front().message;
                                 std::map<std::string, std::vector<Task>> by_sender;
                                 for (Spool::Loaded& one : *loaded) {
                                     by_sender[ports_.sender_of(one.task.virtual_mta)].push_back(std::move(one.task));
                                 }
                                 for (auto& [sender, tasks] : by_sender) {
                                     const MessageId id = ports_.id_of(*transfer->message, tasks.front());
                                     transfer->parts.push_back({sender, std::move(tasks), id, nullptr, false});
                                 }
                                 read_content(transfer);
                             })});
}

void SpoolCourier::read_content(const TransferPointer& transfer) {
    transfer->octets = transfer->message->size_octets;
    octets_under_way_ += transfer->octets;
    transfer->content.resize(transfer->chunks());
    transfer->chunks_left = transfer->chunks();
    for (std::uint32_t chunk = 0; chunk < transfer->chunks(); ++chunk) {
        ports_.spool.read_chunk(transfer->message->id, chunk,
                                {&ports_.on, guarded([this, transfer, chunk](Result<SharedOctets> octets) {
                                     if (octets) transfer->content[chunk] = *std::move(octets);
                                     else transfer->fail(octets.error());
                                     if (--transfer->chunks_left > 0) return;
                                     if (!transfer->result.status) return finish(transfer);
                                     publish_all(transfer);
                                 })});
    }
}

void SpoolCourier::publish_all(const TransferPointer& transfer) {
    transfer->parts_left = transfer->parts.size();
    for (Transfer::Part& part : transfer->parts) {
        part.body = std::make_shared<const std::string>(wire::encode_handover(
            {.id = part.id, .message = transfer->message, .tasks = part.tasks, .content = transfer->content}));
    }
    transfer->content.clear();
    for (std::size_t part = 0; part < transfer->parts.size(); ++part) publish(transfer, part);
}

void SpoolCourier::publish(const TransferPointer& transfer, std::size_t number) {
    const Transfer::Part& part = transfer->parts[number];
    ports_.publisher.publish({std::string(wire::kDeliverExchange), queue_of(part.sender, part.tasks.front())},
                             {.body = part.body,
                              .content_type = std::string(wire::kHandoverContentType),
                              .message_id = part.id.to_string(),
                              .type = std::string(wire::kHandoverType)},
                             {&ports_.on, guarded([this, transfer, number](Status status) {
                                  Transfer::Part& answered = transfer->parts[number];
                                  answered.body.reset();
                                  answered.is_confirmed = status.has_value();
                                  if (!status)
                                      transfer->fail(status.error(), queue_of(answered.sender, answered.tasks.front()));
                                  if (--transfer->parts_left == 0) remove_confirmed(transfer);
                              })});
}

void SpoolCourier::remove_confirmed(const TransferPointer& transfer) {
    SpoolBatch batch;
    batch.urgency = SpoolBatch::Urgency::Outcome;
    for (const Transfer::Part& part : transfer->parts) {
        if (!part.is_confirmed) continue;
        for (const Task& task : part.tasks) {
            batch.remove_tasks.push_back(task.key);
            transfer->result.recipients += task.recipients.size();
        }
    }
    if (batch.remove_tasks.empty()) return finish(transfer);
    if (transfer->result.status) batch.remove_messages.push_back({transfer->message->id, transfer->chunks()});
    std::sort(batch.remove_tasks.begin(), batch.remove_tasks.end());
    std::vector<TaskKey> left;
    std::sort(transfer->keys.begin(), transfer->keys.end());
    std::set_difference(transfer->keys.begin(), transfer->keys.end(), batch.remove_tasks.begin(),
                        batch.remove_tasks.end(), std::back_inserter(left));
    ports_.spool.commit(std::move(batch),
                        {&ports_.on, guarded([this, transfer, left = std::move(left)](Status status) mutable {
                             if (status) {
                                 transfer->keys = std::move(left);
                             } else {
                                 transfer->fail(status.error());
                                 transfer->result.recipients = 0;  // they are counted when they are removed
                             }
                             finish(transfer);
                         })});
}

void SpoolCourier::finish(const TransferPointer& transfer) {
    --under_way_;
    octets_under_way_ -= transfer->octets;
    transfer->result.left = std::move(transfer->keys);
    transfer->done(std::move(transfer->result));
}

}  // namespace postfleet
