// MessageReferences: how many tasks of a message are left, for those that have, or had, several.
//
// A message with one task (nearly all) is not here: its task knows. The message's content is removed when the
// last task is done, after that task's own removal is durable, so that a crash between leaves content without a
// task, which the spool drops when it opens, and never a task without content.
// Threads: thread-safe (16 locks, by id).
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "postfleet/base/id.hpp"
#include "postfleet/base/require.hpp"

namespace postfleet::sender {

class MessageReferences final {
public:
    void set(const MessageId& id, std::uint32_t tasks) {
        Part& part = part_of(id);
        const std::lock_guard lock(part.mutex);
        part.tasks[id] = tasks;
    }
    // One task has become `remaining` ones. True: none is left.
    bool replace_one(const MessageId& id, std::uint32_t remaining) {
        Part& part = part_of(id);
        const std::lock_guard lock(part.mutex);
        const auto found = part.tasks.find(id);
        require(found != part.tasks.end() && found->second > 0);
        found->second += remaining;
        if (--found->second > 0) return false;
        part.tasks.erase(found);
        return true;
    }

private:
    struct Part {
        std::mutex mutex;
        std::unordered_map<MessageId, std::uint32_t> tasks;
    };
    Part& part_of(const MessageId& id) { return parts_[id.octets[15] % parts_.size()]; }
    std::array<Part, 16> parts_;
};

}  // namespace postfleet::sender
