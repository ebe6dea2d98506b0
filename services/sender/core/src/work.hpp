// Work: one task on its way through an attempt, and the content that is still in memory.
//
// HotTask is what take-in keeps so that the first attempt reads nothing from disk; it hangs on the waiting task
// (schedule::Attachment) until the attempt, or until the task is deferred. HotBudget bounds them all, and a queue keeps
// what goes soon only (queue_content.cpp).
// Threads: values; HotBudget is thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "postfleet/mail/message.hpp"
#include "postfleet/merge/personal.hpp"
#include "postfleet/schedule/task_queue.hpp"
#include "postfleet/shaping/settings.hpp"
#include "rendition.hpp"

namespace postfleet::sender {

class Queue;

class HotBudget final {
public:
    // What a charge is worth; given back when the last holder of the content is gone.
    class Charge final {
    public:
        Charge(std::shared_ptr<HotBudget> budget, std::uint64_t octets) : budget_(std::move(budget)), octets_(octets) {}
        ~Charge() { budget_->used_.fetch_sub(octets_, std::memory_order_relaxed); }
        Charge(const Charge&) = delete;
        Charge& operator=(const Charge&) = delete;

    private:
        std::shared_ptr<HotBudget> budget_;  // shared: the last holder may outlive the sender
        std::uint64_t octets_;
    };

    void set_limit(std::uint64_t octets) { limit_.store(octets, std::memory_order_relaxed); }
    std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
    bool is_half_used() const {
        return used_.load(std::memory_order_relaxed) > limit_.load(std::memory_order_relaxed) / 2;
    }
    bool try_charge(std::uint64_t octets) {
        if (used_.fetch_add(octets, std::memory_order_relaxed) + octets <= limit_.load(std::memory_order_relaxed)) {
            return true;
        }
        used_.fetch_sub(octets, std::memory_order_relaxed);
        return false;
    }

private:
    std::atomic<std::uint64_t> used_{0}, limit_{0};
};

// One message in memory. shared_ptr because its tasks may be with several sessions.
struct HotMessage {
    HotMessage(std::shared_ptr<HotBudget> budget, std::uint64_t octets, std::shared_ptr<const Message> of,
               SharedOctets chunk)
        : message(std::move(of)), first_chunk(std::move(chunk)), charge(std::move(budget), octets) {}
    std::shared_ptr<const Message> message;
    SharedOctets first_chunk;  // null: read it (the content has several chunks)
    HotBudget::Charge charge;
};

struct HotTask final : schedule::Attachment {
    Task task;
    std::shared_ptr<const Message> message;
    SharedOctets first_chunk;             // null: read it
    std::shared_ptr<HotMessage> charged;  // null: it was read for this attempt

    // The message as it is for the task's recipients, of which there is one where they differ (mail merge, VERP).
    const std::shared_ptr<const Message>& own_message() {
        if (!merge::is_personal(*message)) return message;
        if (!own_) own_ = merge::personal(message, task.recipients.front());
        return own_;
    }

private:
    std::shared_ptr<const Message> own_;
};

struct Work {
    std::shared_ptr<Queue> queue;  // null: no work
    schedule::TaskId id = schedule::kNoTask;
    TaskKey key;
    std::uint32_t domain = 0;
    std::uint32_t recipients = 0;
    bool shares_message = false;
    bool is_paced = false;          // some rate holds: it needs a permit
    bool is_one_recipient = false;  // one of recipients
    bool is_ordered = false;        // an order decides what becomes of it
    WallTime due{};
    WallTime expires{};  // or the time of a notice, if that is earlier
    std::shared_ptr<const shaping::Settings> settings;
    std::unique_ptr<HotTask> hot;                // null: read it
    std::shared_ptr<const Rendition> rendition;  // null: the message goes out as it is stored
    explicit operator bool() const { return queue != nullptr; }
    // How many pieces of content go over the wire.
    std::uint32_t content_chunks() const { return rendition && rendition->content ? 1 : hot->message->content_chunks; }
};

// When a waiting task is to be looked at, even if it cannot go: it expires, or its sender is to be told that it is late.
inline WallTime deadline_of(const Task& task) {
    return std::min(task.expires_at.value_or(schedule::kNever), task.notice_at.value_or(schedule::kNever));
}

// A message that goes into the spool with a batch, and is scheduled when that is durable.
struct NewMail {
    std::shared_ptr<const Message> message;
    std::vector<Task> tasks;
    std::shared_ptr<HotMessage> hot;  // null: the memory for content is used up, or it is scheduled
};

}  // namespace postfleet::sender
