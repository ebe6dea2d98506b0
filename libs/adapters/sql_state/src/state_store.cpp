#include "postfleet/sql_state/state_store.hpp"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "line.hpp"
#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

// A call by a thread that waits for it.
template <class T>
class BlockingCall final : public Call {
public:
    struct Answer {
        std::mutex mutex;
        std::condition_variable came;
        std::optional<T> value;
    };
    BlockingCall(UniqueFunction<T(Connection&)> work, Answer& answer) : work_(std::move(work)), answer_(answer) {}

    bool run(Connection& database) override {
        result_.emplace(work_(database));
        return result_->has_value();
    }
    void finish(const Status& committed) override {
        if (!committed && (!result_ || result_->has_value())) result_.emplace(committed.error());
        const std::lock_guard lock(answer_.mutex);
        answer_.value = std::move(result_);
        answer_.came.notify_one();
    }

private:
    UniqueFunction<T(Connection&)> work_;
    Answer& answer_;
    std::optional<T> result_;
};

}  // namespace

SqlStateStore::SqlStateStore(StoreSettings settings) : line_(std::make_unique<Line>(std::move(settings))) {}
SqlStateStore::~SqlStateStore() = default;

std::string SqlStateStore::obstacle() const { return line_->obstacle(); }

// --- orders

void SqlStateStore::add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) {
    line_->call<Result<std::vector<OrderId>>>(
        [orders = std::move(orders)](Connection& database) { return sql_state::add_orders(database, orders); },
        std::move(done));
}

void SqlStateStore::remove_orders(std::vector<OrderId> orders, Completion<Status> done) {
    line_->call<Status>(
        [orders = std::move(orders)](Connection& database) { return sql_state::remove_orders(database, orders); },
        std::move(done));
}

void SqlStateStore::update_order(Order order, Completion<Status> done) {
    line_->call<Status>(
        [order = std::move(order)](Connection& database) { return sql_state::update_order(database, order); },
        std::move(done));
}

Result<std::vector<Order>> SqlStateStore::orders() {
    using Orders = Result<std::vector<Order>>;
    BlockingCall<Orders>::Answer answer;
    line_->submit(
        std::make_unique<BlockingCall<Orders>>([](Connection& database) { return all_orders(database); }, answer));
    std::unique_lock lock(answer.mutex);
    answer.came.wait(lock, [&] { return answer.value.has_value(); });
    return *std::move(answer.value);
}

void SqlStateStore::order_changes(std::uint64_t after_revision, Completion<Result<OrderChanges>> done) {
    line_->call<Result<OrderChanges>>(
        [after_revision](Connection& database) { return sql_state::order_changes(database, after_revision); },
        std::move(done));
}

void SqlStateStore::report_progress(std::string sender, Order order, Completion<Status> done) {
    line_->call<Status>([sender = std::move(sender), order = std::move(order)](
                            Connection& database) { return sql_state::report_progress(database, sender, order); },
                        std::move(done));
}

// --- idempotency keys

void SqlStateStore::claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) {
    line_->call<Result<std::vector<KeyVerdict>>>(
        [claims = std::move(claims)](Connection& database) { return claim_keys(database, claims, wall_clock_now()); },
        std::move(done));
}

void SqlStateStore::confirm(std::vector<IdempotencyKey> keys, Completion<Status> done) {
    line_->call<Status>(
        [keys = std::move(keys)](Connection& database) { return confirm_keys(database, keys, wall_clock_now()); },
        std::move(done));
}

void SqlStateStore::release(std::vector<IdempotencyKey> keys, Completion<Status> done) {
    line_->call<Status>([keys = std::move(keys)](Connection& database) { return release_keys(database, keys); },
                        std::move(done));
}

// --- ownership

void SqlStateStore::claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) {
    line_->call<Result<SenderVerdict>>(
        [claim = std::move(claim)](Connection& database) {
            return sql_state::claim_sender(database, claim, wall_clock_now());
        },
        std::move(done));
}

void SqlStateStore::release_sender(std::string sender, std::uint64_t epoch, Completion<Status> done) {
    line_->call<Status>([sender = std::move(sender),
                         epoch](Connection& database) { return sql_state::release_sender(database, sender, epoch); },
                        std::move(done));
}

void SqlStateStore::take_over_sender(SenderTakeover takeover, Completion<Result<SenderGrant>> done) {
    line_->call<Result<SenderGrant>>(
        [takeover = std::move(takeover)](Connection& database) {
            return sql_state::take_over_sender(database, takeover, wall_clock_now());
        },
        std::move(done));
}

void SqlStateStore::list_senders(Completion<Result<std::vector<SenderRecord>>> done) {
    line_->call<Result<std::vector<SenderRecord>>>(
        [](Connection& database) { return sql_state::list_senders(database); }, std::move(done));
}

// --- the active configuration

void SqlStateStore::activate(ConfigurationSnapshot snapshot, Completion<Result<std::uint64_t>> done) {
    line_->call<Result<std::uint64_t>>(
        [snapshot = std::move(snapshot)](Connection& database) { return sql_state::activate(database, snapshot); },
        std::move(done));
}

void SqlStateStore::active(std::uint64_t known_epoch, Completion<Result<std::optional<ConfigurationSnapshot>>> done) {
    line_->call<Result<std::optional<ConfigurationSnapshot>>>(
        [known_epoch](Connection& database) { return sql_state::active(database, known_epoch); }, std::move(done));
}

// --- suppressions

void SqlStateStore::add_suppressions(std::vector<Suppression> suppressions, Completion<Status> done) {
    line_->call<Status>([suppressions = std::move(suppressions)](
                            Connection& database) { return sql_state::add_suppressions(database, suppressions); },
                        std::move(done));
}

void SqlStateStore::remove_suppressions(std::vector<SuppressionKey> keys, Completion<Status> done) {
    line_->call<Status>(
        [keys = std::move(keys)](Connection& database) { return sql_state::remove_suppressions(database, keys); },
        std::move(done));
}

void SqlStateStore::find_suppressions(std::vector<SuppressionQuestion> questions,
                                      Completion<Result<std::vector<std::optional<Suppression>>>> done) {
    line_->call<Result<std::vector<std::optional<Suppression>>>>(
        [questions = std::move(questions)](Connection& database) {
            return sql_state::find_suppressions(database, questions, wall_clock_now());
        },
        std::move(done));
}

void SqlStateStore::list_suppressions(SuppressionPage page, Completion<Result<std::vector<Suppression>>> done) {
    line_->call<Result<std::vector<Suppression>>>(
        [page = std::move(page)](Connection& database) {
            return sql_state::list_suppressions(database, page, wall_clock_now());
        },
        std::move(done));
}

}  // namespace postfleet::sql_state
