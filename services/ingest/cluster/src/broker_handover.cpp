#include "postfleet/ingest_cluster/broker_handover.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "postfleet/ingest_cluster/local_buffer.hpp"
#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::ingest_cluster {

struct BrokerHandover::Shared {
    Shared(BrokerPublisher& to, BrokerHandoverOptions given, Metrics& metrics)
        : publisher(to),
          options(std::move(given)),
          again(metrics.counter("postfleet_ingest_handover_again_total",
                                "Hand-overs to senders that were published again: refused, lost or not confirmed.")),
          unknown(
              metrics.counter("postfleet_ingest_handover_unknown_total",
                              "Messages of which some sender may have its part although their client was refused.")),
          octets(metrics.gauge("postfleet_ingest_handover_octets", "Content on its way to the broker.")) {}

    // False: there is no room.
    bool take_room(std::uint64_t amount) {
        std::uint64_t now = under_way.load(std::memory_order_relaxed);
        do {
            if (now > 0 && now + amount > options.most_octets) return false;
        } while (!under_way.compare_exchange_weak(now, now + amount, std::memory_order_relaxed));
        octets.set(static_cast<std::int64_t>(now + amount));
        return true;
    }
    void give_room(std::uint64_t amount) {
        octets.set(static_cast<std::int64_t>(under_way.fetch_sub(amount, std::memory_order_relaxed) - amount));
    }
    // False: it is not the next one. An idempotency key gives its message's id to all who come with it, at once, too.
    bool add_chunk(MessageId id, std::uint32_t chunk, SharedOctets content) {
        const std::lock_guard lock(mutex);
        const auto found = chunks.find(id);
        if (chunk != (found == chunks.end() ? 0 : found->second.size())) return false;
        chunks[id].push_back(std::move(content));
        return true;
    }
    std::vector<SharedOctets> take_chunks(MessageId id) {
        const std::lock_guard lock(mutex);
        auto node = chunks.extract(id);
        return node.empty() ? std::vector<SharedOctets>{} : std::move(node.mapped());
    }

    BrokerPublisher& publisher;
    const BrokerHandoverOptions options;
    Counter &again, &unknown;
    Gauge& octets;
    std::atomic<std::uint64_t> under_way{0};
    std::mutex mutex;
    std::unordered_map<MessageId, std::vector<SharedOctets>> chunks;
};

// One message on its way; confined to the executor of its completion.
struct BrokerHandover::Transfer : std::enable_shared_from_this<Transfer> {
    struct Part {
        BrokerAddress to;
        SharedOctets body;
        bool is_confirmed = false;
        bool may_be_there = false;
    };

    Transfer(std::shared_ptr<Shared> with, Completion<Status> completion)
        : shared(std::move(with)), done(std::move(completion)) {}
    ~Transfer() { shared->give_room(room); }

    void publish(std::size_t index) {
        Part& part = parts[index];
        BrokerMessage message;
        message.body = part.body;
        message.content_type = wire::kHandoverContentType;
        message.message_id = id;
        message.type = wire::kHandoverType;
        shared->publisher.publish(
            part.to, std::move(message),
            {done.on, [self = shared_from_this(), index](const Status& status) { self->on_answer(index, status); }});
    }

    void on_answer(std::size_t index, const Status& status) {
        Part& part = parts[index];
        if (status) {
            part.is_confirmed = true;
            part.body.reset();
        } else {
            part.may_be_there = part.may_be_there || status.error().kind == ErrorKind::DeadlineExceeded;
            if (may_go_again(status.error())) return go_again(index);
            failure = status.error();
        }
        if (--open == 0) finish();
    }

    bool may_go_again(const Error& error) const {
        if (buffer) return false;  // which has it sooner
        return error.kind != ErrorKind::InvalidArgument && done.on->now() + shared->options.pause < deadline;
    }

    void go_again(std::size_t index) {
        shared->again.add();
        done.on->schedule_at(done.on->now() + shared->options.pause,
                             [self = shared_from_this(), index] { self->publish(index); });
    }

    void finish() {
        if (failure.text.empty()) return done.run({});
        if (buffer && failure.kind != ErrorKind::InvalidArgument) return keep();
        fail();
    }

    // What was not confirmed is as durable in the local buffer.
    void keep() {
        LocalBuffer::Mail mail;
        for (Part& part : parts) {
            if (part.is_confirmed) continue;
            auto decoded = wire::decode_handover(*part.body);  // cheaper here than a copy of every message's tasks
            require(decoded.has_value());
            mail.message = std::move(decoded->message);
            mail.content = std::move(decoded->content);
            std::move(decoded->tasks.begin(), decoded->tasks.end(), std::back_inserter(mail.tasks));
        }
        buffer->keep(std::move(mail), failure.text, {done.on, [self = shared_from_this()](Status kept) {
                                                         if (kept) return self->done.run({});
                                                         self->failure.text += "; " + kept.error().text;
                                                         self->fail();
                                                     }});
    }

    void fail() {
        const bool may_be_there = std::any_of(parts.begin(), parts.end(),
                                              [](const Part& part) { return part.is_confirmed || part.may_be_there; });
        if (may_be_there) shared->unknown.add();
        if (may_be_there) failure.kind = ErrorKind::DeadlineExceeded;
        // No queue of that name is a mistake of the cluster's, not of the mail's.
        else if (failure.kind == ErrorKind::NotFound) failure.kind = ErrorKind::Unavailable;
        done.run(std::move(failure));
    }

    const std::shared_ptr<Shared> shared;
    Completion<Status> done;
    LocalBuffer* buffer = nullptr;  // null: there is none
    std::string id;
    SteadyTime deadline{};
    std::vector<Part> parts;
    std::size_t open = 0;
    std::uint64_t room = 0;
    Error failure;
};

namespace {

struct Share {
    std::string sender;
    bool is_high = false;
    std::vector<Task> tasks;
};

// By sender; a message is urgent for all of a sender's tasks, or for none.
std::vector<Share> split(std::vector<Task> tasks, const BrokerHandoverOptions& options) {
    std::vector<Share> shares;
    for (Task& task : tasks) {
        const std::string sender = options.sender_of(task.virtual_mta);
        auto share = std::find_if(shares.begin(), shares.end(), [&](const Share& s) { return s.sender == sender; });
        if (share == shares.end()) share = shares.insert(shares.end(), {sender});
        share->is_high = share->is_high || task.priority == Priority::High;
        share->tasks.push_back(std::move(task));
    }
    return shares;
}

}  // namespace

BrokerHandover::BrokerHandover(BrokerPublisher& publisher, BrokerHandoverOptions options, Metrics& metrics)
    : shared_(std::make_shared<Shared>(publisher, std::move(options), metrics)) {}

BrokerHandover::~BrokerHandover() = default;

Admission BrokerHandover::admission() const {
    if (std::string obstacle = shared_->publisher.obstacle(); !obstacle.empty()) {
        return {.open = false, .reason = "broker: " + std::move(obstacle)};
    }
    if (octets_under_way() >= shared_->options.most_octets) {
        return {.open = false, .reason = "too much mail waits for the broker"};
    }
    return {};
}

void BrokerHandover::holds(MessageId, Completion<Result<bool>> done) {
    done.on->post([run = std::move(done.run)]() mutable { run(false); });
}

void BrokerHandover::hand_over(AcceptedMessage message, Completion<Status> done) {
    begin(std::move(message), nullptr, std::move(done));
}

void BrokerHandover::hand_over_or_keep(AcceptedMessage message, LocalBuffer& buffer, Completion<Status> done) {
    begin(std::move(message), &buffer, std::move(done));
}

void BrokerHandover::begin(AcceptedMessage message, LocalBuffer* buffer, Completion<Status> done) {
    const Message& facts = *message.message;
    std::vector<SharedOctets> content = shared_->take_chunks(facts.id);
    auto transfer = std::make_shared<Transfer>(shared_, std::move(done));
    for (const SharedOctets& chunk : content) transfer->room += chunk->size();
    const auto refuse = [&transfer](Error error) {
        transfer->done.on->post(
            [transfer, error = std::move(error)]() mutable { transfer->done.run(std::move(error)); });
    };
    const bool has_room = shared_->take_room(message.last_chunk->size());
    if (has_room) transfer->room += message.last_chunk->size();
    else if (!buffer) return refuse({ErrorKind::ResourceExhausted, "too much mail waits for the broker"});
    content.push_back(std::move(message.last_chunk));
    if (content.size() != facts.content_chunks)
        return refuse({ErrorKind::Internal, "content of the message is missing"});
    const auto refuse_unowned = [&](const Task& task) {
        refuse({ErrorKind::Unavailable, "no sender has the virtual MTA " + task.virtual_mta});
    };
    if (buffer) {
        const std::string why = has_room ? shared_->publisher.obstacle() : "too much mail waits for the broker";
        if (!why.empty()) {
            for (const Task& task : message.tasks) {
                if (shared_->options.sender_of(task.virtual_mta).empty()) return refuse_unowned(task);
            }
            Executor* const on = transfer->done.on;
            return buffer->keep({message.message, std::move(message.tasks), std::move(content)}, why,
                                {on, [transfer](Status kept) { transfer->done.run(std::move(kept)); }});
        }
    }
    transfer->buffer = buffer;
    const MessageId id = message.taken_as.value_or(facts.id);
    transfer->id = id.to_string();
    std::vector<Share> shares = split(std::move(message.tasks), shared_->options);
    for (Share& share : shares) {
        if (share.sender.empty()) return refuse_unowned(share.tasks[0]);
        const wire::Handover handover{id, message.message, std::move(share.tasks), content};
        transfer->parts.push_back(
            {.to = {std::string(wire::kDeliverExchange),
                    share.is_high ? wire::deliver_high_queue(share.sender) : wire::deliver_queue(share.sender)},
             .body = std::make_shared<const std::string>(wire::encode_handover(handover))});
    }
    content.clear();
    transfer->deadline = transfer->done.on->now() + shared_->options.deadline;
    transfer->open = transfer->parts.size();
    for (std::size_t index = 0; index < transfer->parts.size(); ++index) transfer->publish(index);
}

void BrokerHandover::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    Status status;
    const std::uint64_t room = octets->size();
    if (!shared_->take_room(room)) {
        status = Error{ErrorKind::ResourceExhausted, "too much mail waits for the broker"};
    } else if (!shared_->add_chunk(id, chunk, std::move(octets))) {
        shared_->give_room(room);
        // Of this kind, so that who is refused does not discard what the other one has appended.
        status = Error{ErrorKind::DeadlineExceeded, "the message is being handed over already, under the same key"};
    }
    done.on->post([run = std::move(done.run), status = std::move(status)]() mutable { run(std::move(status)); });
}

void BrokerHandover::discard_content(MessageId id, std::uint32_t) {
    std::uint64_t room = 0;
    for (const SharedOctets& chunk : shared_->take_chunks(id)) room += chunk->size();
    shared_->give_room(room);
}

std::uint64_t BrokerHandover::octets_under_way() const { return shared_->under_way.load(std::memory_order_relaxed); }

}  // namespace postfleet::ingest_cluster
