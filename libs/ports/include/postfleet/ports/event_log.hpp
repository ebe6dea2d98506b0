// EventLog (port): the outbox as its readers see it: a sequence of events, each with a number.
//
// Events enter through Spool::commit, in the same durable write as the outcome they tell of. Each reader
// (a report sink) has a named cursor: the number of the last event it has made durable on its side. An
// event is removed when every registered cursor has passed it; as long as neither open_cursor() nor
// keep_only_cursors() was called in this process, none is. keep_only_cursors({}) means: nobody reads.
//
//   read(after, …)     events with a greater number, in order; empty when there is none yet
//   wait(after, until) blocks until there may be a greater number, or the time is over, or stop()
//   advance(c, n)      cursor c is at n, durable at the latest with the next commit; after a crash it may
//                      be older, never newer: events can come twice, never be missing
//   octets_after(n)    about how much the events with a greater number take where they are kept
//
// Threads: thread-safe; every call may block on the disk, so it is for threads of their own, not shards.
// Errors: Unavailable (latched), Corruption (a bad record is set aside, counted and skipped).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/event.hpp"

namespace postfleet {

struct LoggedEvent {
    std::uint64_t number = 0;
    std::shared_ptr<const Event> event;
    // Of an event that came from another process: who reports it, and its number there. Null: it is from here.
    std::shared_ptr<const std::string> source{};
    std::uint64_t sequence = 0;
};

class EventLog {
public:
    virtual ~EventLog() = default;
    // Registers a reader, or finds where it stood. A new one starts at the oldest event that is kept.
    virtual Result<std::uint64_t> open_cursor(const std::string& name) = 0;
    // Forgets readers that are not configured any more, so that they hold nothing back.
    virtual Status keep_only_cursors(const std::vector<std::string>& names) = 0;
    virtual Result<std::vector<LoggedEvent>> read(std::uint64_t after, std::size_t max_events) = 0;
    virtual void wait(std::uint64_t after, SteadyTime until) = 0;
    virtual Status advance(const std::string& cursor, std::uint64_t number) = 0;
    virtual std::uint64_t last_number() const = 0;
    virtual std::uint64_t octets_after(std::uint64_t number) const = 0;
    // Wakes every wait(), for good.
    virtual void stop() = 0;
};

}  // namespace postfleet
