#include "postfleet/router/state_feed.hpp"

#include <utility>

namespace postfleet::router {

void StateFeed::start() {
    parts_.executor.post([self = shared_from_this()] { self->look(); });
}

void StateFeed::stop() {
    parts_.executor.post([self = shared_from_this()] {
        self->is_stopped_ = true;
        self->parts_.executor.cancel(self->timer_);
    });
}

void StateFeed::look_now() {
    parts_.executor.post([self = shared_from_this()] {
        self->look_again_ = true;
        self->look();
    });
}

void StateFeed::look() {
    if (is_looking_ || is_stopped_) return;
    is_looking_ = true;
    look_again_ = false;
    parts_.executor.cancel(timer_);
    parts_.store.active(
        epoch(), {&parts_.executor, [self = shared_from_this()](auto news) { self->on_active(std::move(news)); }});
}

void StateFeed::on_active(Result<std::optional<ConfigurationSnapshot>> news) {
    if (is_stopped_) return;
    if (!news) {
        note(&news.error());
        return rest();
    }
    if (*news) {
        {
            const std::lock_guard lock(mutex_);
            known_epoch_ = (*news)->epoch;
        }
        parts_.on_configuration(**news);
    }
    parts_.store.order_changes(
        known_revision_, {&parts_.executor, [self = shared_from_this()](auto changes) { self->on_changes(changes); }});
}

void StateFeed::on_changes(const Result<OrderChanges>& changes) {
    if (is_stopped_) return;
    note(changes ? nullptr : &changes.error());
    if (changes && std::exchange(known_revision_, changes->revision) != changes->revision) {
        parts_.on_orders(changes->revision);
    }
    rest();
}

void StateFeed::note(const Error* failure) {
    const std::lock_guard lock(mutex_);
    obstacle_ = failure != nullptr ? failure->text : "";
}

void StateFeed::rest() {
    is_looking_ = false;
    if (look_again_) return look();
    timer_ = parts_.executor.schedule_at(parts_.executor.now() + parts_.interval,
                                         [self = shared_from_this()] { self->look(); });
}

std::string StateFeed::obstacle() const {
    const std::lock_guard lock(mutex_);
    return obstacle_;
}

std::uint64_t StateFeed::epoch() const {
    const std::lock_guard lock(mutex_);
    return known_epoch_;
}

}  // namespace postfleet::router
