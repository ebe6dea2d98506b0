// Outbox: the numbers of events, the newest of them in memory, and how far each reader has come.
//
// Readers that keep up are served from the tail in memory and never touch the disk; the others read the
// index. passed() is the number up to which every reader has gone: what the index may drop.
//
// Threads: thread-safe; reserve() and append() belong to the writer. Only wait() blocks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/ports/event_log.hpp"

namespace postfleet::spool {

class Outbox {
public:
    explicit Outbox(std::uint64_t tail_octets) : tail_octets_(tail_octets) {}

    // Before traffic: where the log ends, and the cursors found in the index.
    void start(std::uint64_t last_number, std::map<std::string, std::uint64_t> cursors);

    // The numbers for `count` events that are about to be written: the first of them. They are given again if
    // the write fails.
    std::uint64_t next_number() const { return last_number_.load(std::memory_order_relaxed) + 1; }
    struct Written {
        std::shared_ptr<const Event> event;
        std::size_t octets = 0;
    };
    // They are committed, with the numbers from next_number() on.
    void append(std::vector<Written> events);

    std::uint64_t last_number() const { return last_number_.load(std::memory_order_acquire); }
    const std::atomic<std::uint64_t>& passed() const { return passed_; }

    // From the tail; nullopt when it does not reach back that far.
    std::optional<std::vector<LoggedEvent>> read_tail(std::uint64_t after, std::size_t max_events) const;
    // What the events behind `after` take; nullopt when the tail does not reach back that far.
    std::optional<std::uint64_t> octets_of_tail(std::uint64_t after) const;
    void wait(std::uint64_t after, SteadyTime until);
    void stop();

    std::uint64_t open_cursor(const std::string& name, std::uint64_t oldest);
    bool has_cursor(const std::string& name) const;
    std::map<std::string, std::uint64_t> cursors() const;
    // The names of those that are gone now.
    std::vector<std::string> keep_only_cursors(const std::vector<std::string>& names);
    bool advance(const std::string& name, std::uint64_t number);
    // Cursors that moved since this was last called: to be written with the next group.
    std::vector<std::pair<std::string, std::uint64_t>> take_moved();
    void give_back(const std::vector<std::pair<std::string, std::uint64_t>>& moved);  // that write failed
    bool has_moved() const { return any_moved_.load(std::memory_order_relaxed); }

private:
    void update_passed();

    const std::uint64_t tail_octets_;
    std::atomic<std::uint64_t> last_number_{0};
    std::atomic<std::uint64_t> passed_{0};
    std::atomic<bool> any_moved_{false};

    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Written> tail_;  // numbers up to last_number_
    std::uint64_t tail_used_ = 0;
    unsigned waiting_ = 0;
    bool stopped_ = false;
    bool readers_known_ = false;
    struct Cursor {
        std::uint64_t number = 0;
        bool moved = false;
    };
    std::map<std::string, Cursor> cursors_;
};

}  // namespace postfleet::spool
