#include "postfleet/rpc/router_link.hpp"

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <utility>

#include "kept.hpp"
#include "member_table.hpp"
#include "postfleet/base/text.hpp"
#include "recipients_link.hpp"
#include "remote_state.hpp"
#include "translate.hpp"
#include "watch.hpp"

namespace postfleet::rpc {

namespace {

constexpr Duration kAskOwnership = std::chrono::seconds(3);
constexpr Duration kKeepOrdersAfter = std::chrono::milliseconds(500);

using ConfigWatch = Watch<v1::WatchConfigRequest, v1::ConfigSnapshot>;
using OrdersWatch = Watch<v1::WatchOrdersRequest, v1::OrderChangesMessage>;

std::string joined(const std::vector<std::string>& addresses) {
    std::string out;
    for (const std::string& address : addresses) out += (out.empty() ? "" : ",") + address;
    return out;
}

}  // namespace

// Shared with the timers on the executor, which may come when the link is gone.
class RouterLink::Impl final : public std::enable_shared_from_this<RouterLink::Impl> {
public:
    explicit Impl(RouterLinkSettings settings)
        : settings_(std::move(settings)),
          kept_snapshot_(settings_.directory + "/snapshot"),
          kept_orders_(settings_.directory + "/orders"),
          kept_grant_(settings_.directory + "/grant"),
          routers_(std::make_shared<Routers>(settings_)),
          state_(routers_, settings_.executor),
          recipients_(std::make_shared<RecipientsLink>(routers_, settings_.executor)) {}

    void open() {
        read_kept();
        settings_.metrics.computed_gauge("postfleet_router_link_up", "1 while a router answers.", {},
                                         [routers = routers_] { return routers->obstacle().empty() ? 1.0 : 0.0; });
        // Watches and their timers may outlast this.
        const std::weak_ptr<Impl> weak = weak_from_this();
        config_watch_ = std::make_shared<ConfigWatch>(
            routers_, settings_.executor,
            ConfigWatch::Parts{.method = &v1::Router::Stub::async::WatchConfig,
                               .request =
                                   [weak] {
                                       const auto self = weak.lock();
                                       return self ? self->config_request() : v1::WatchConfigRequest();
                                   },
                               .on_message =
                                   [weak](const v1::ConfigSnapshot& message) {
                                       if (const auto self = weak.lock()) self->on_config(message);
                                   }});
        config_watch_->start();
        if (settings_.checks_recipients) recipients_->start();
        if (!settings_.watches_orders) return;
        orders_watch_ = std::make_shared<OrdersWatch>(
            routers_, settings_.executor,
            OrdersWatch::Parts{.method = &v1::Router::Stub::async::WatchOrders,
                               .request =
                                   [weak] {
                                       const auto self = weak.lock();
                                       return self ? self->orders_request() : v1::WatchOrdersRequest();
                                   },
                               .on_message =
                                   [weak](const v1::OrderChangesMessage& message) {
                                       if (const auto self = weak.lock()) self->on_changes(message);
                                   }});
        orders_watch_->start();
    }

    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            on_snapshot_ = {};
            on_orders_ = {};
            ownership_ = {};
        }
        if (config_watch_) config_watch_->stop();
        if (orders_watch_) orders_watch_->stop();
        recipients_->stop();
        routers_->close();
    }

    Result<ConfigurationSnapshot> first_snapshot(Duration patience) {
        std::unique_lock lock(mutex_);
        came_.wait_for(lock, patience, [this] { return is_snapshot_fresh_; });
        if (!snapshot_) {
            return Error{ErrorKind::Unavailable, "no router at " + joined(settings_.addresses) +
                                                     " has answered, and no configuration is kept in " +
                                                     settings_.directory + obstacle_text()};
        }
        if (!is_snapshot_fresh_) {
            settings_.log.line(LogLevel::Warning, "kept-configuration")
                .field("epoch", snapshot_->epoch)
                .field("version", snapshot_->version)
                .field("because", "no router has answered" + obstacle_text());
        }
        given_epoch_ = snapshot_->epoch;
        return *snapshot_;
    }

    void on_snapshot(std::function<void(const ConfigurationSnapshot&)> callback) {
        const std::lock_guard lock(mutex_);
        on_snapshot_ = std::move(callback);
        settings_.executor.post([self = shared_from_this()] { self->give_snapshot(); });
    }

    void on_orders(std::function<void(const OrderChanges&)> callback) {
        const std::lock_guard lock(mutex_);
        on_orders_ = std::move(callback);
        settings_.executor.post([self = shared_from_this()] {
            OrderChanges all{.revision = self->orders_revision_, .complete = true};
            for (const auto& [id, order] : self->orders_) all.changed.push_back(order);
            self->give_orders(all);
        });
    }

    void hold_sender(Ownership ownership) {
        state_.set_sender(ownership.claim.sender);
        settings_.executor.post([self = shared_from_this(), held = std::move(ownership)]() mutable {
            {
                const std::lock_guard lock(self->mutex_);
                self->ownership_ = std::move(held);
            }
            self->use_kept_grant();
            self->ask_ownership();
        });
    }

    void announce(std::string address) {
        settings_.executor.post([self = shared_from_this(), at = std::move(address)]() mutable {
            self->announced_ = {self->settings_.service, self->settings_.name, std::move(at)};
            self->announce_again();
        });
    }

    RemoteState& state() { return state_; }
    RecipientCheck& recipients() {
        require(settings_.checks_recipients);
        return *recipients_;
    }
    std::string obstacle() const { return routers_->obstacle(); }

private:
    std::string obstacle_text() const {
        const std::string why = routers_->obstacle();
        return why.empty() ? "" : " (" + why + ")";
    }

    // --- what is kept
    template <class Message>
    bool read_file(const KeptFile& file, Message& message) {
        const auto octets = file.read();
        if (octets && message.ParseFromString(*octets)) return true;
        if (octets || octets.error().kind != ErrorKind::NotFound) {
            settings_.log.line(LogLevel::Error, "kept-file-unusable")
                .field("reason", octets ? "it cannot be parsed" : octets.error().text);
        }
        return false;
    }
    template <class Message>
    void keep(const KeptFile& file, const Message& message) {
        const Status kept = file.write(message.SerializeAsString());
        if (!kept) settings_.log.line(LogLevel::Error, "not-kept").field("reason", kept.error().text);
    }

    void read_kept() {
        if (v1::ConfigSnapshot message; read_file(kept_snapshot_, message)) {
            if (auto snapshot = read(message)) snapshot_ = *std::move(snapshot);
        }
        if (v1::OrderChangesMessage message; settings_.watches_orders && read_file(kept_orders_, message)) {
            if (auto changes = read(message)) apply(*changes);
        }
    }

    // --- configuration
    v1::WatchConfigRequest config_request() {
        v1::WatchConfigRequest request;
        const std::lock_guard lock(mutex_);
        // Before a router has said so, what is kept may be of another cluster: it is asked for whole.
        request.set_known_epoch(is_snapshot_fresh_ ? snapshot_->epoch : 0);
        request.set_service(settings_.service);
        request.set_name(settings_.name);
        return request;
    }
    void on_config(const v1::ConfigSnapshot& message) {
        auto snapshot = read(message);
        if (!snapshot) {
            settings_.log.line(LogLevel::Error, "configuration-unusable").field("reason", snapshot.error().text);
            return;
        }
        keep(kept_snapshot_, message);
        {
            const std::lock_guard lock(mutex_);
            snapshot_ = *std::move(snapshot);
            is_snapshot_fresh_ = true;
        }
        came_.notify_all();
        give_snapshot();
    }
    void give_snapshot() {
        std::function<void(const ConfigurationSnapshot&)> callback;
        ConfigurationSnapshot snapshot;
        {
            const std::lock_guard lock(mutex_);
            if (!on_snapshot_ || !snapshot_ || snapshot_->epoch == given_epoch_) return;
            given_epoch_ = snapshot_->epoch;
            snapshot = *snapshot_;
            callback = on_snapshot_;
        }
        callback(snapshot);
    }

    // --- orders: the executor's
    v1::WatchOrdersRequest orders_request() {
        v1::WatchOrdersRequest request;
        request.set_known_revision(orders_revision_);
        request.set_name(settings_.name);
        return request;
    }
    void on_changes(const v1::OrderChangesMessage& message) {
        const auto changes = read(message);
        if (!changes) {
            settings_.log.line(LogLevel::Error, "orders-unusable").field("reason", changes.error().text);
            return;
        }
        if (is_of_new_state(*changes)) return;
        apply(*changes);
        give_orders(*changes);
        if (std::exchange(orders_unkept_, true)) return;
        // A burst of changes is one write.
        settings_.executor.schedule_at(settings_.executor.now() + kKeepOrdersAfter, [self = shared_from_this()] {
            self->orders_unkept_ = false;
            v1::OrderChangesMessage all;
            OrderChanges known{.revision = self->orders_revision_, .complete = true};
            for (const auto& [id, order] : self->orders_) known.changed.push_back(order);
            write(known, all);
            self->keep(self->kept_orders_, all);
        });
    }
    // A state that never had an order cannot tell which were withdrawn: it was lost, or it is another's. Pauses and
    // suppressions stay until it is given its first one.
    bool is_of_new_state(const OrderChanges& changes) {
        const bool is_new = changes.revision == 0 && !orders_.empty();
        if (is_new) {
            settings_.log.line(LogLevel::Warning, "orders-kept")
                .field("orders", orders_.size())
                .field("reason", "the router's state is new and has none; those known here hold until it has one");
        }
        return is_new;
    }
    void apply(const OrderChanges& changes) {
        if (changes.complete) orders_.clear();
        for (const Order& order : changes.changed) orders_[order.id] = order;
        for (const OrderId id : changes.removed) orders_.erase(id);
        orders_revision_ = changes.revision;
        state_.set_known(orders_);
    }
    void give_orders(const OrderChanges& changes) {
        std::function<void(const OrderChanges&)> callback;
        {
            const std::lock_guard lock(mutex_);
            callback = on_orders_;
        }
        if (callback) callback(changes);
    }

    // --- where we answer operators: the executor's
    void announce_again() {
        struct Call {
            grpc::ClientContext context;
            v1::MemberMessage request;
            v1::Done response;
        };
        for (std::size_t router = 0; router < settings_.addresses.size(); ++router) {
            if (!routers_->begin_call()) return;   // it is closed
            auto call = std::make_shared<Call>();  // shared with its completion
            call->context.set_deadline(deadline_in(settings_.attempt_deadline));
            write(announced_, call->request);
            routers_->stub(router).async()->Announce(&call->context, &call->request, &call->response,
                                                     [routers = routers_, call](grpc::Status) mutable {
                                                         call.reset();
                                                         routers->end_call();
                                                     });
        }
        settings_.executor.schedule_at(settings_.executor.now() + kAnnounceEvery,
                                       [self = shared_from_this()] { self->announce_again(); });
    }

    // --- ownership: the executor's
    void use_kept_grant() {
        v1::SenderGrantMessage message;
        if (!read_file(kept_grant_, message)) return;
        const auto grant = read(message);
        const SenderClaim& claim = ownership_.claim;
        if (!grant || grant->sender != claim.sender || grant->spool_id != claim.spool_id ||
            grant->holder != claim.holder) {
            return;
        }
        kept_grant_value_ = *grant;
    }
    void ask_ownership() {
        SenderClaim claim;
        {
            const std::lock_guard lock(mutex_);
            if (closed_) return;
            claim = ownership_.claim;
        }
        // The epoch that this process was granted; whether one of before is still good, the router knows.
        claim.epoch = granted_ ? granted_->epoch : 0;
        state_.claim_sender(std::move(claim), {&settings_.executor, [self = shared_from_this()](auto verdict) {
                                                   self->on_verdict(verdict);
                                               }});
    }
    void on_verdict(const Result<SenderVerdict>& verdict) {
        Ownership told;
        {
            const std::lock_guard lock(mutex_);
            if (closed_) return;
            told = ownership_;
        }
        if (!verdict) {
            // An owner goes on while the routers are away.
            if (!granted_ && kept_grant_value_ && was_refused_.empty()) {
                granted_ = kept_grant_value_;
                settings_.log.line(LogLevel::Warning, "kept-grant")
                    .field("sender", granted_->sender)
                    .field("epoch", granted_->epoch)
                    .field("because", verdict.error().text);
                told.on_granted(*granted_);
            }
        } else if (verdict->granted) {
            was_refused_.clear();
            if (granted_ != verdict->grant) {
                granted_ = verdict->grant;
                v1::SenderGrantMessage message;
                write(*granted_, message);
                keep(kept_grant_, message);
                told.on_granted(*granted_);
            }
        } else if (granted_ || was_refused_ != verdict->refusal) {
            granted_.reset();
            kept_grant_value_.reset();
            was_refused_ = verdict->refusal;
            told.on_refused(was_refused_);
        }
        settings_.executor.schedule_at(settings_.executor.now() + kAskOwnership,
                                       [self = shared_from_this()] { self->ask_ownership(); });
    }

    const RouterLinkSettings settings_;
    const KeptFile kept_snapshot_, kept_orders_, kept_grant_;
    const std::shared_ptr<Routers> routers_;
    RemoteState state_;
    const std::shared_ptr<RecipientsLink> recipients_;  // shared with its timer and its stream
    std::shared_ptr<ConfigWatch> config_watch_;         // shared with their timers
    std::shared_ptr<OrdersWatch> orders_watch_;

    Member announced_;  // the executor's, from here
    std::map<OrderId, Order> orders_;
    std::uint64_t orders_revision_ = 0;
    bool orders_unkept_ = false;
    std::optional<SenderGrant> granted_, kept_grant_value_;
    std::string was_refused_;

    std::mutex mutex_;  // the rest
    std::condition_variable came_;
    std::optional<ConfigurationSnapshot> snapshot_;
    bool is_snapshot_fresh_ = false;  // a router has said so
    std::uint64_t given_epoch_ = 0;
    std::function<void(const ConfigurationSnapshot&)> on_snapshot_;
    std::function<void(const OrderChanges&)> on_orders_;
    Ownership ownership_;
    bool closed_ = false;
};

RouterLink::RouterLink(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
RouterLink::~RouterLink() { impl_->close(); }

Result<std::unique_ptr<RouterLink>> RouterLink::open(RouterLinkSettings settings) {
    if (settings.addresses.empty()) {
        return Error{ErrorKind::InvalidArgument, "no router is named; give --router HOST:PORT"};
    }
    if (Status files = check_tls_files(settings.tls, joined(settings.addresses)); !files) return files.error();
    std::error_code failed;
    std::filesystem::create_directories(settings.directory, failed);
    if (failed) {
        return Error{ErrorKind::PermissionDenied,
                     "cannot make the directory " + settings.directory + ": " + failed.message()};
    }
    auto impl = std::make_shared<Impl>(std::move(settings));
    impl->open();
    return std::unique_ptr<RouterLink>(new RouterLink(std::move(impl)));
}

Result<ConfigurationSnapshot> RouterLink::first_snapshot(Duration patience) { return impl_->first_snapshot(patience); }
void RouterLink::on_snapshot(std::function<void(const ConfigurationSnapshot&)> callback) {
    impl_->on_snapshot(std::move(callback));
}
void RouterLink::on_orders(std::function<void(const OrderChanges&)> callback) { impl_->on_orders(std::move(callback)); }
KeyClaims& RouterLink::keys() { return impl_->state(); }
SenderClaims& RouterLink::senders() { return impl_->state(); }
RecipientCheck& RouterLink::recipients() { return impl_->recipients(); }
OrderStore& RouterLink::orders() { return impl_->state(); }
void RouterLink::announce(std::string address) { impl_->announce(std::move(address)); }
void RouterLink::hold_sender(Ownership ownership) { impl_->hold_sender(std::move(ownership)); }
std::string RouterLink::obstacle() const { return impl_->obstacle(); }

}  // namespace postfleet::rpc
