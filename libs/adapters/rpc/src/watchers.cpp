#include "watchers.hpp"

#include <utility>

#include "credentials.hpp"
#include "translate.hpp"

namespace postfleet::rpc {

namespace {

const grpc::Status kStopping(grpc::StatusCode::UNAVAILABLE, "the router is stopping");
const grpc::Status kTooMany(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watchers");

}  // namespace

class ConfigWatcher final : public grpc::ServerWriteReactor<v1::ConfigSnapshot> {
public:
    ConfigWatcher(Watchers& hub, std::uint64_t known_epoch) : hub_(hub), known_epoch_(known_epoch) {}

    void offer(const SharedSnapshot& snapshot) {
        const std::lock_guard lock(mutex_);
        if (finished_ || snapshot == nullptr || snapshot->epoch() == known_epoch_) return;
        if (written_ != nullptr) {
            next_ = snapshot;
            return;
        }
        write(snapshot);
    }
    void finish(const grpc::Status& status) {
        {
            const std::lock_guard lock(mutex_);
            if (std::exchange(finished_, true)) return;
        }
        Finish(status);  // last: OnDone may come before it returns
    }

    void OnWriteDone(bool ok) override {
        if (!ok) return finish(grpc::Status::CANCELLED);
        const std::lock_guard lock(mutex_);
        written_.reset();
        const SharedSnapshot next = std::exchange(next_, nullptr);
        if (next != nullptr && !finished_ && next->epoch() != known_epoch_) write(next);
    }
    void OnCancel() override { finish(grpc::Status::CANCELLED); }
    void OnDone() override {
        hub_.forget(this);
        delete this;
    }

private:
    void write(const SharedSnapshot& snapshot) {
        written_ = snapshot;
        known_epoch_ = snapshot->epoch();
        StartWrite(written_.get());
    }

    Watchers& hub_;
    std::mutex mutex_;  // the rest
    std::uint64_t known_epoch_;
    SharedSnapshot written_, next_;  // under way; to be sent after it
    bool finished_ = false;
};

// Owned by itself and by the call to the store that is under way, which may outlast the stream.
class OrdersWatcher final : public grpc::ServerWriteReactor<v1::OrderChangesMessage> {
public:
    OrdersWatcher(Watchers& hub, std::uint64_t known_revision) : hub_(hub), known_revision_(known_revision) {}
    void own(std::shared_ptr<OrdersWatcher> self) { self_ = std::move(self); }

    void announce(std::uint64_t revision) {
        const std::lock_guard lock(mutex_);
        if (revision == known_revision_) return;
        has_news_ = true;
        read_news();
    }
    // What there is now, even if it is nothing.
    void begin() {
        const std::lock_guard lock(mutex_);
        has_news_ = true;
        read_news();
    }
    void finish(const grpc::Status& status) {
        {
            const std::lock_guard lock(mutex_);
            if (std::exchange(finished_, true)) return;
        }
        Finish(status);  // last: OnDone may come before it returns
    }

    void OnWriteDone(bool ok) override {
        if (!ok) return finish(grpc::Status::CANCELLED);
        const std::lock_guard lock(mutex_);
        is_busy_ = false;
        read_news();
    }
    void OnCancel() override { finish(grpc::Status::CANCELLED); }
    void OnDone() override {
        hub_.forget(this);
        const std::shared_ptr<OrdersWatcher> last = std::move(self_);
    }

private:
    void read_news() {
        if (is_busy_ || finished_ || !has_news_) return;
        is_busy_ = true;
        has_news_ = false;
        hub_.store_.order_changes(known_revision_, {&hub_.executor_, [self = self_](Result<OrderChanges> changes) {
                                                        self->on_changes(changes);
                                                    }});
    }
    void on_changes(const Result<OrderChanges>& changes) {
        // The asker comes again, perhaps to another router.
        if (!changes) return finish(to_grpc(changes.error()));
        const std::lock_guard lock(mutex_);
        if (finished_) return;
        known_revision_ = changes->revision;
        message_.Clear();
        rpc::write(*changes, message_);
        StartWrite(&message_);
    }

    Watchers& hub_;
    std::shared_ptr<OrdersWatcher> self_;
    std::mutex mutex_;  // the rest
    std::uint64_t known_revision_;
    v1::OrderChangesMessage message_;
    bool has_news_ = false, is_busy_ = false, finished_ = false;
};

grpc::ServerWriteReactor<v1::ConfigSnapshot>* Watchers::watch_config(std::uint64_t known_epoch) {
    auto* watcher = new ConfigWatcher(*this, known_epoch);  // deletes itself in OnDone
    const std::lock_guard lock(mutex_);
    if (closed_ || config_watchers_.size() >= most_) {
        watcher->finish(closed_ ? kStopping : kTooMany);
        return watcher;
    }
    config_watchers_.insert(watcher);
    watcher->StartSendInitialMetadata();  // there may be nothing to say for a long time
    watcher->offer(snapshot_);
    return watcher;
}

grpc::ServerWriteReactor<v1::OrderChangesMessage>* Watchers::watch_orders(std::uint64_t known_revision) {
    auto watcher = std::make_shared<OrdersWatcher>(*this, known_revision);
    watcher->own(watcher);
    const std::lock_guard lock(mutex_);
    if (closed_ || orders_watchers_.size() >= most_) {
        watcher->finish(closed_ ? kStopping : kTooMany);
        return watcher.get();
    }
    orders_watchers_.insert(watcher.get());
    watcher->StartSendInitialMetadata();
    watcher->begin();
    return watcher.get();
}

void Watchers::publish(SharedSnapshot snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
    for (ConfigWatcher* watcher : config_watchers_) watcher->offer(snapshot_);
}

void Watchers::announce_orders(std::uint64_t revision) {
    const std::lock_guard lock(mutex_);
    for (OrdersWatcher* watcher : orders_watchers_) watcher->announce(revision);
}

void Watchers::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (ConfigWatcher* watcher : config_watchers_) watcher->finish(kStopping);
    for (OrdersWatcher* watcher : orders_watchers_) watcher->finish(kStopping);
}

std::size_t Watchers::size() const {
    const std::lock_guard lock(mutex_);
    return config_watchers_.size() + orders_watchers_.size();
}

void Watchers::forget(ConfigWatcher* watcher) {
    const std::lock_guard lock(mutex_);
    config_watchers_.erase(watcher);
}

void Watchers::forget(OrdersWatcher* watcher) {
    const std::lock_guard lock(mutex_);
    orders_watchers_.erase(watcher);
}

}  // namespace postfleet::rpc
