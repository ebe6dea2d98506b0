#include "postfleet/ingest_cluster/local_buffer.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::ingest_cluster {

namespace {

// Between this and all of it the buffer is as full as it was.
std::uint64_t nearly(std::uint64_t most) { return most - most / 10; }

}  // namespace

// One message on its way into the spool. shared_ptr because its chunks are written apart.
struct LocalBuffer::Keeping {
    Mail mail;
    std::string why;
    Completion<Status> done;
    std::uint64_t octets = 0;
    std::size_t chunks_left = 0;
    Status appended;
    std::string queue;
    Entry entry;
};

LocalBuffer::LocalBuffer(LocalBufferPorts ports, std::uint64_t most_octets)
    : ports_(std::move(ports)),
      kept_(ports_.metrics.counter("postfleet_ingest_buffer_kept_total",
                                   "Messages that were accepted into the local buffer.")),
      handed_over_(ports_.metrics.counter("postfleet_ingest_buffer_handed_over_total",
                                          "Messages that went from the local buffer to the broker.")),
      refused_(ports_.metrics.counter("postfleet_ingest_buffer_refused_total",
                                      "Messages for which the local buffer had no room.")),
      messages_(ports_.metrics.gauge("postfleet_ingest_buffer_messages", "Messages in the local buffer.")),
      octets_gauge_(
          ports_.metrics.gauge("postfleet_ingest_buffer_octets", "What they count of local_buffer.max_size.")),
      stuck_(ports_.metrics.gauge("postfleet_ingest_buffer_stuck",
                                  "Messages in the local buffer that the broker never takes, or that cannot be read.")),
      most_octets_(most_octets),
      courier_({.on = ports_.on,
                .spool = ports_.spool,
                .publisher = ports_.publisher,
                .sender_of = ports_.sender_of,
                .id_of = [](const Message& message, const Task&) { return message.id; }}) {
    messages_.set(0);
    stuck_.set(0);
}

LocalBuffer::~LocalBuffer() = default;

Status LocalBuffer::start() {
    std::string queue;
    Entry entry;
    const auto put = [&] {
        if (entry.keys.empty()) return;
        octets_ += entry.octets;
        messages_.add(1);
        lanes_[queue].waiting.push_back(std::exchange(entry, {}));
    };
    const Status scanned = ports_.spool.scan_tasks([&](Task&& task) {
        if (entry.keys.empty() || entry.keys.front().message != task.key.message) {
            put();
            queue = queue_of(ports_.sender_of(task.virtual_mta), task);
            entry.octets = task.size_octets + kFactsOctets;
        }
        entry.keys.push_back(task.key);
    });
    if (!scanned) return scanned;
    put();
    octets_gauge_.set(static_cast<std::int64_t>(octets_));
    if (messages() > 0) {
        ports_.log.line(LogLevel::Info, "buffer-goes-on").field("messages", messages());
    }
    ports_.on.post(guarded([this] {
        began_ = ports_.on.now();
        mark_as_new_mail_only(ports_.spool, {&ports_.on, [](const Status&) {}});
        work();
    }));
    return {};
}

void LocalBuffer::stop(Completion<Status> done) {
    ports_.on.post([this, done = std::move(done)]() mutable {
        stopping_ = true;
        stopped_ = std::move(done);
        tell_when_stopped();
    });
}

void LocalBuffer::tell_when_stopped() {
    if (!stopping_ || courier_.under_way() > 0 || !stopped_.run) return;
    if (messages() > 0) ports_.log.line(LogLevel::Info, "buffer-stays").field("messages", messages());
    Executor& on = *stopped_.on;
    on.post([done = std::move(stopped_)]() mutable { done.run({}); });
}

// --- taking in -----------------------------------------------------------------------------------------

Admission LocalBuffer::admission() const {
    const std::uint64_t most = most_octets_;
    if (most == 0) return {.open = false, .reason = "the local buffer is off"};
    if (is_full_) return {.open = false, .reason = "the local buffer is full (" + format_size(most) + ")"};
    SpoolState state = ports_.spool.state();
    if (state.condition == SpoolCondition::Ready) return {};
    return {.open = false,
            .space_low = state.condition == SpoolCondition::SpaceLow,
            .reason = "local buffer: " + std::move(state.reason)};
}

void LocalBuffer::set_most_octets(std::uint64_t octets) {
    most_octets_ = octets;
    if (octets_ < nearly(octets)) is_full_ = false;
}

bool LocalBuffer::take_room(std::uint64_t octets) {
    const std::uint64_t most = most_octets_;
    std::uint64_t now = octets_;
    do {
        if (now + octets > most) {
            refused_.add();
            // A large message that does not fit is no reason to refuse small ones.
            if (now >= nearly(most) && !is_full_.exchange(true)) {
                ports_.log.line(LogLevel::Warning, "buffer-full").field("octets", now).field("most", most);
            }
            return false;
        }
    } while (!octets_.compare_exchange_weak(now, now + octets));
    octets_gauge_.set(static_cast<std::int64_t>(now + octets));
    return true;
}

void LocalBuffer::give_room(std::uint64_t octets) {
    const std::uint64_t now = octets_ -= octets;
    octets_gauge_.set(static_cast<std::int64_t>(now));
    const std::uint64_t most = most_octets_;
    if (is_full_ && now < nearly(most) && is_full_.exchange(false)) {
        ports_.log.line(LogLevel::Info, "buffer-has-room").field("octets", now).field("most", most);
    }
}

void LocalBuffer::keep(Mail mail, const std::string& why, Completion<Status> done) {
    auto keeping = std::make_shared<Keeping>();
    keeping->octets = mail.message->size_octets + kFactsOctets;
    keeping->done = std::move(done);
    if (!take_room(keeping->octets)) {
        keeping->done.on->post([keeping] {
            keeping->done.run(Error{ErrorKind::ResourceExhausted, "the local buffer is full"});
        });
        return;
    }
    keeping->mail = std::move(mail);
    keeping->why = why;
    const Mail& kept = keeping->mail;
    keeping->queue = queue_of(ports_.sender_of(kept.tasks.front().virtual_mta), kept.tasks.front());
    keeping->entry.octets = keeping->octets;
    for (const Task& task : kept.tasks) keeping->entry.keys.push_back(task.key);
    keeping->chunks_left = kept.content.size() - 1;
    if (keeping->chunks_left == 0) return commit(keeping);
    for (std::uint32_t chunk = 0; chunk + 1 < kept.content.size(); ++chunk) {
        ports_.spool.append_content(kept.message->id, chunk, kept.content[chunk],
                                    {keeping->done.on, [this, keeping](Status status) {
                                         if (!status) keeping->appended = std::move(status);
                                         if (--keeping->chunks_left > 0) return;
                                         if (keeping->appended) return commit(keeping);
                                         on_committed(keeping, keeping->appended);
                                     }});
    }
}

void LocalBuffer::commit(const std::shared_ptr<Keeping>& keeping) {
    SpoolBatch batch;
    batch.put_messages.push_back({keeping->mail.message, std::move(keeping->mail.content.back())});
    batch.put_tasks = std::move(keeping->mail.tasks);
    ports_.spool.commit(std::move(batch), {keeping->done.on, [this, keeping](Status status) {
                                               on_committed(keeping, std::move(status));
                                           }});
}

void LocalBuffer::on_committed(const std::shared_ptr<Keeping>& keeping, Status status) {
    const bool is_kept = status.has_value();
    if (is_kept) {
        kept_.add();
        ports_.on.post([this, keeping] { add(keeping->queue, std::move(keeping->entry), keeping->why); });
    } else {
        give_room(keeping->octets);
        if (keeping->mail.content.size() > 1) {
            ports_.spool.discard_content(keeping->mail.message->id,
                                         static_cast<std::uint32_t>(keeping->mail.content.size() - 1));
        }
    }
    keeping->done.run(std::move(status));
}

void LocalBuffer::add(const std::string& queue, Entry entry, const std::string& why) {
    if (messages_.value() == stuck_.value()) {
        began_ = ports_.on.now();
        since_began_ = 0;
        ports_.log.line(LogLevel::Warning, "buffer-begins").field("reason", why);
    }
    messages_.add(1);
    lanes_[queue].waiting.push_back(std::move(entry));
    work();
}

// --- handing over --------------------------------------------------------------------------------------

void LocalBuffer::work() {
    if (stopping_) return;
    const auto has_room = [this] {
        return courier_.under_way() < kMostUnderWay && courier_.octets_under_way() < kMostOctetsUnderWay;
    };
    if (has_room() && ports_.publisher.obstacle().empty()) {
        bool goes_on = true;
        while (goes_on && has_room()) {  // a message of each queue, in turn
            goes_on = false;
            for (auto& [queue, lane] : lanes_) {
                if (has_room() && carry_from(queue, lane)) goes_on = true;
            }
        }
    }
    const bool some_wait =
        std::any_of(lanes_.begin(), lanes_.end(), [](const auto& l) { return !l.second.waiting.empty(); });
    if (!some_wait || is_ticking_) return;
    is_ticking_ = true;
    ports_.on.schedule_at(ports_.on.now() + kTick, guarded([this] {
                              is_ticking_ = false;
                              work();
                          }));
}

bool LocalBuffer::carry_from(const std::string& queue, Lane& lane) {
    const bool is_careful = lane.pause > Duration::zero();  // one message shows whether it takes some again
    if (lane.waiting.empty() || ports_.on.now() < lane.not_before || (is_careful && lane.under_way > 0)) return false;
    auto entry = std::make_shared<Entry>(std::move(lane.waiting.front()));
    lane.waiting.pop_front();
    ++lane.under_way;
    std::vector<TaskKey> keys = entry->keys;
    courier_.carry(std::move(keys), guarded([this, queue, entry](Carried carried) {
                       --lanes_[queue].under_way;
                       on_carried(queue, std::move(*entry), std::move(carried));
                   }));
    return true;
}

void LocalBuffer::on_carried(const std::string& queue, Entry entry, Carried carried) {
    entry.keys = std::move(carried.left);
    if (carried.status) {
        lanes_[queue].pause = {};
        give_room(entry.octets);
        handed_over_.add();
        messages_.add(-1);
        ++since_began_;
        tell_when_empty();
    } else {
        const ErrorKind kind = carried.status.error().kind;
        const bool cannot_be_read =
            kind == ErrorKind::Corruption || (kind == ErrorKind::NotFound && carried.queue.empty());
        if (cannot_be_read || kind == ErrorKind::InvalidArgument) set_aside(queue, std::move(entry), carried);
        else put_back(carried.queue.empty() ? queue : carried.queue, std::move(entry), carried.status.error());
    }
    if (stopping_) return tell_when_stopped();
    work();
}

void LocalBuffer::put_back(const std::string& queue, Entry entry, const Error& error) {
    Lane& lane = lanes_[queue];
    const SteadyTime now = ports_.on.now();
    if (now >= lane.not_before) {  // else another one has said so
        if (lane.pause == Duration::zero()) {
            ports_.log.line(LogLevel::Warning, "buffer-waits").field("queue", queue).field("reason", error.text);
        }
        lane.pause = std::clamp<Duration>(lane.pause * 2, kTick, kLongestPause);
        lane.not_before = now + lane.pause;
    }
    const auto place = std::find_if(lane.waiting.begin(), lane.waiting.end(),
                                    [&](const Entry& other) { return entry.keys.front() < other.keys.front(); });
    lane.waiting.insert(place, std::move(entry));
}

void LocalBuffer::set_aside(const std::string& queue, Entry entry, const Carried& carried) {
    stuck_.add(1);
    ports_.log.line(LogLevel::Error, "buffer-stuck")
        .field("message", entry.keys.front().message.to_string())
        .field("reason", carried.status.error().text);
    if (carried.status.error().kind != ErrorKind::InvalidArgument) return;
    auto kept = std::make_shared<Entry>(std::move(entry));
    ports_.on.schedule_at(ports_.on.now() + kRefusedPause, guarded([this, queue, kept] {
                              stuck_.add(-1);
                              lanes_[queue].waiting.push_back(std::move(*kept));
                              work();
                          }));
}

void LocalBuffer::tell_when_empty() {
    if (messages_.value() != stuck_.value()) return;
    ports_.log.line(LogLevel::Info, "buffer-empty")
        .field("messages", since_began_)
        .field("lasted", format_duration(ports_.on.now() - began_));
}

}  // namespace postfleet::ingest_cluster
