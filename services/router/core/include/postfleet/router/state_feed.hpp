// StateFeed: tells what is new in the state store, whichever router put it there.
//
//   every `interval`: active(known epoch)        ─▶ on_configuration, when it is another
//                     order_changes(known one)   ─▶ on_orders, when the revision is another
//
// Asking costs two rows read; so several routers over one store agree within `interval`, without knowing of each other.
//
// Threads: confined to its executor, but for obstacle() and look_now(). Errors: a store that does not answer is asked
// again; obstacle() says so meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "postfleet/ports/state_store.hpp"

namespace postfleet::router {

struct FeedParts {
    StateStore& store;
    Executor& executor;
    std::function<void(const ConfigurationSnapshot&)> on_configuration;  // both on the executor
    std::function<void(std::uint64_t revision)> on_orders;
    Duration interval = std::chrono::milliseconds(500);
};

// Shared with its calls to the store.
class StateFeed final : public std::enable_shared_from_this<StateFeed> {
public:
    explicit StateFeed(FeedParts parts) : parts_(std::move(parts)) {}

    void start();
    void stop();  // nothing is told any more when it has run on the executor
    void look_now();
    // Why the store cannot be read; empty: it was.
    std::string obstacle() const;
    // 0: no configuration is active.
    std::uint64_t epoch() const;

private:
    void look();
    void on_active(Result<std::optional<ConfigurationSnapshot>> news);
    void on_changes(const Result<OrderChanges>& changes);
    void note(const Error* failure);
    void rest();

    FeedParts parts_;
    std::uint64_t known_revision_ = 0;
    bool is_looking_ = false, look_again_ = false, is_stopped_ = false;
    TimerId timer_;

    mutable std::mutex mutex_;  // the rest
    std::uint64_t known_epoch_ = 0;
    std::string obstacle_ = "not read yet";
};

}  // namespace postfleet::router
