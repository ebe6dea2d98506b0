// Notifier: whether the sender of a message is told by mail what became of it, and the mail that tells it.
//
//   outcome ─▶ null sender? switched off? too many? ─no─▶ compose (libs/dsn) ─▶ the batch of the outcome itself
//
// A notification is a message of its own from then on: null reverse-path, one recipient, an event for what becomes of
// it. Nobody is ever told of a message with a null reverse-path, so notifications make no notifications.
//
// It becomes durable in the same commit as the outcome that it tells of. So a crash leaves both or neither: none is
// lost, and none is sent for an outcome that happens again.
//
// Costs nothing for mail that needs none: it is asked only when an outcome has notices.
// Threads: thread-safe. Errors: none; who is not told is counted and logged.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "outcome.hpp"
#include "postfleet/dsn/notification.hpp"
#include "postfleet/throttle/keyed_meters.hpp"
#include "postfleet/throttle/rate_meter.hpp"
#include "work.hpp"

namespace postfleet::sender {

class Engine;
struct Shard;

class Notifier final {
public:
    explicit Notifier(Engine& engine) : engine_(engine) {}

    // Whether a message that ends like this comes back to its sender, perhaps: then its content is needed.
    static bool may_return(const Message& message, Disposition disposition);

    // `work`: the attempt at the message, with its content if there is any. Puts the notification into the shard's
    // pending batch; what comes back is scheduled when that is durable. Null: nobody is told.
    std::unique_ptr<NewMail> notify(std::vector<dsn::RecipientStatus> notices, const Message& message, const Work& work,
                                    Shard& shard);

private:
    bool may_send(const config::DsnSettings& settings, const Message& message, Shard& shard);
    void suppress(std::string_view reason, const Message& message);

    Engine& engine_;
    throttle::RateMeter all_;
    std::mutex mutex_;  // by_sender_; held for a look-up
    throttle::KeyedMeters by_sender_;
};

}  // namespace postfleet::sender
