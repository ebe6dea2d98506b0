// MessageOrigin: what a way in that is no connection says of a message, beside what is spoken to its session.
//
// Threads: a value type, confined.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/id.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::ingest {

struct KnownUser;

struct MessageOrigin {
    MessageId id;
    std::string name;           // for log lines: of the file, the queue, the client
    const char* kind = "file";  // the log line's name for it: "file", "queue", "peer"
    // Where it may be offered again: AcceptedMessage has the same.
    std::optional<MessageId> taken_as;
    std::string user;  // who handed it in, where that is known
    // As whom it is sent, where that is one of `users`; null: as ListenerRules::sends_as. shared_ptr: as there.
    std::shared_ptr<const KnownUser> sends_as;
    std::string virtual_mta, job;  // go before the header's
    std::optional<WallTime> send_at, expires_at;
    std::vector<std::pair<std::string, std::string>> metadata;
};

}  // namespace postfleet::ingest
