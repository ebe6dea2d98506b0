// ConfirmWindow: what was published on one channel and is not confirmed yet (RMQ-10, RMQ-12, RMQ-13).
//
// The broker numbers the publishes of a channel from 1 on and confirms them in any order, one or all up to one. A
// message that no queue took comes back before its confirm, which says "ok" nevertheless.
//
// Threads: confined. What is finished is appended to a list of the caller's.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/broker.hpp"

namespace postfleet::amqp {

struct Unconfirmed {
    std::string message_id;
    BrokerAddress to;
    std::uint64_t octets = 0;
    Completion<Status> done;
};

using Finished = std::vector<std::pair<Completion<Status>, Status>>;

enum class Confirm : std::uint8_t { Ack, Nack };

class ConfirmWindow {
public:
    void sent(Unconfirmed message, SteadyTime deadline);
    // False: nothing of that number is open, so the broker counts otherwise than we do.
    [[nodiscard]] bool confirm(std::uint64_t number, bool multiple, Confirm how, SteadyTime now, Finished& out);
    // False: we published no such thing.
    [[nodiscard]] bool came_back(std::string_view message_id, std::string_view exchange, std::string_view routing_key,
                                 std::string_view why);
    // Tells those whose deadline has passed that the outcome is unknown; late confirms of theirs are taken silently.
    // Returns how many.
    std::size_t expire(SteadyTime now, Finished& out);
    // The channel is gone; the next message is number 1. Messages larger than `too_large` can never be published.
    void fail_all(const std::string& why, std::uint64_t too_large, Finished& out);

    // Since when some routing key has got nothing but refusals; SteadyTime::max() when none has.
    SteadyTime refused_since() const;

    std::size_t size() const { return open_; }
    // The next deadline; SteadyTime::max() when nothing is open.
    SteadyTime next_deadline() const;

private:
    struct Entry {
        Unconfirmed message;
        SteadyTime deadline;
        std::string came_back;  // why; empty: it did not
        bool is_open = true;    // its publisher was not answered yet
        bool is_confirmed = false;
    };
    void finish(Entry& entry, Confirm how, SteadyTime now, Finished& out);
    void drop_confirmed();

    std::map<std::string, SteadyTime> refused_;  // by routing key: the first refusal since its last confirm
    std::deque<Entry> entries_;                  // in the order of their numbers
    std::uint64_t first_ = 1;                    // number of the first entry
    std::size_t open_ = 0;
};

}  // namespace postfleet::amqp
