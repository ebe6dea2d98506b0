#include "postfleet/sqlite/state_store.hpp"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "database.hpp"
#include "schema.hpp"

namespace postfleet::sqlite {

namespace {

constexpr std::string_view kInsert =
    "INSERT INTO orders (action, everything, queue, virtual_mta, pool, site, domain, tenant, job, reverse_path, "
    "recipient, message, accepted_before, text, who, why, given_at, expires_at, finished_at, recipients) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr std::string_view kSelect =
    "SELECT id, action, everything, queue, virtual_mta, pool, site, domain, tenant, job, reverse_path, recipient, "
    "message, accepted_before, text, who, why, given_at, expires_at, finished_at, recipients FROM orders ORDER BY id";

std::optional<std::int64_t> stored(const std::optional<WallTime>& time) {
    return time ? std::optional(to_unix_microseconds(*time)) : std::nullopt;
}

std::optional<WallTime> read_time(const std::optional<std::int64_t>& microseconds) {
    return microseconds ? std::optional(from_unix_microseconds(*microseconds)) : std::nullopt;
}

Status insert(Statement& statement, const Order& order) {
    const MailSelector& which = order.which;
    const std::string message = which.message ? which.message->to_string() : "";
    statement.bind(std::string_view(to_string(order.action))).bind(std::int64_t{which.everything});
    for (const std::string* text : {&which.queue, &which.virtual_mta, &which.pool, &which.site, &which.domain,
                                    &which.tenant, &which.job, &which.reverse_path, &which.recipient, &message}) {
        statement.bind(std::string_view(*text));
    }
    statement.bind(stored(which.accepted_before)).bind(std::string_view(order.text));
    statement.bind(std::string_view(order.who)).bind(std::string_view(order.why));
    statement.bind(to_unix_microseconds(order.given_at)).bind(stored(order.expires_at)).bind(stored(order.finished_at));
    statement.bind(static_cast<std::int64_t>(order.recipients));
    const Result<bool> done = statement.step();
    if (!done) return done.error();
    statement.reset();
    return {};
}

Result<Order> read_order(const Statement& row) {
    int column = 0;
    Order order;
    order.id = OrderId{static_cast<std::uint32_t>(row.number(column++))};
    const Error unreadable{ErrorKind::Corruption,
                           "order " + std::to_string(static_cast<std::uint32_t>(order.id)) + " cannot be read"};
    const auto action = parse_order_action(row.text(column++));
    if (!action) return unreadable;
    order.action = *action;
    MailSelector& which = order.which;
    which.everything = row.number(column++) != 0;
    for (std::string* text : {&which.queue, &which.virtual_mta, &which.pool, &which.site, &which.domain, &which.tenant,
                              &which.job, &which.reverse_path, &which.recipient}) {
        *text = row.text(column++);
    }
    if (const std::string message = row.text(column++); !message.empty()) {
        const auto id = MessageId::parse(message);
        if (!id) return unreadable;
        which.message = *id;
    }
    which.accepted_before = read_time(row.maybe_number(column++));
    order.text = row.text(column++);
    order.who = row.text(column++);
    order.why = row.text(column++);
    order.given_at = from_unix_microseconds(row.number(column++));
    order.expires_at = read_time(row.maybe_number(column++));
    order.finished_at = read_time(row.maybe_number(column++));
    order.recipients = static_cast<std::uint64_t>(row.number(column++));
    return order;
}

Result<Database> open_checked(const std::string& path) {
    auto database = Database::open(path);
    if (!database) return database.error();
    // Exclusive: nobody else changes it under us, and there is no shared memory file.
    if (Status set = database->run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; "
                                   "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
        !set) {
        return set.error();
    }
    const auto check = database->text_of("PRAGMA quick_check(1)");
    if (!check) return check.error();
    if (*check != "ok") return Error{ErrorKind::Corruption, *check};
    if (Status migrated = migrate(*database); !migrated) return migrated.error();
    return database;
}

const char* how_to_mend(ErrorKind kind) {
    if (kind == ErrorKind::Corruption) {
        return "; restore it from a backup, or move it away: then all orders (pauses, suppressions …) are gone";
    }
    if (kind == ErrorKind::AlreadyExists) return "; another process has it open: stop that one";
    return "";
}

template <class T>
void answer(Completion<T>&& done, T value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = std::move(value)]() mutable { done.run(std::move(value)); });
}

}  // namespace

class SqliteStateStore::Impl {
public:
    explicit Impl(Database database) : database_(std::move(database)) {
        thread_ = std::thread([this] {
            pthread_setname_np(pthread_self(), "state");
            work();
        });
    }

    ~Impl() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        came_.notify_all();
        thread_.join();
    }

    // False: too much waits.
    bool submit(Callback call) {
        {
            const std::lock_guard lock(mutex_);
            if (line_.size() >= kMostWaiting) return false;
            line_.push_back(std::move(call));
        }
        came_.notify_one();
        return true;
    }

    Result<std::vector<OrderId>> add(const std::vector<Order>& orders) {
        auto transaction = Transaction::begin(database_);
        if (!transaction) return transaction.error();
        auto statement = database_.prepare(kInsert);
        if (!statement) return statement.error();
        std::vector<OrderId> ids;
        for (const Order& order : orders) {
            if (Status inserted = insert(*statement, order); !inserted) return inserted.error();
            ids.push_back(OrderId{static_cast<std::uint32_t>(database_.last_insert_id())});
        }
        if (Status committed = transaction->commit(); !committed) return committed.error();
        return ids;
    }

    Status remove(const std::vector<OrderId>& ids) {
        auto transaction = Transaction::begin(database_);
        if (!transaction) return transaction.error();
        auto statement = database_.prepare("DELETE FROM orders WHERE id = ?");
        if (!statement) return statement.error();
        for (const OrderId id : ids) {
            const Result<bool> done = statement->bind(static_cast<std::int64_t>(id)).step();
            if (!done) return done.error();
            statement->reset();
        }
        return transaction->commit();
    }

    Status update(const Order& order) {
        auto statement = database_.prepare("UPDATE orders SET recipients = ?, finished_at = ? WHERE id = ?");
        if (!statement) return statement.error();
        const Result<bool> done = statement->bind(static_cast<std::int64_t>(order.recipients))
                                      .bind(stored(order.finished_at))
                                      .bind(static_cast<std::int64_t>(order.id))
                                      .step();
        return done ? Status() : done.error();
    }

    Result<std::vector<Order>> all() {
        auto statement = database_.prepare(kSelect);
        if (!statement) return statement.error();
        std::vector<Order> orders;
        for (;;) {
            const Result<bool> row = statement->step();
            if (!row) return row.error();
            if (!*row) return orders;
            Result<Order> order = read_order(*statement);
            if (!order) return order.error();
            orders.push_back(*std::move(order));
        }
    }

private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            came_.wait(lock, [this] { return stopping_ || !line_.empty(); });
            if (line_.empty()) return;
            Callback call = std::move(line_.front());
            line_.pop_front();
            lock.unlock();
            call();
            call.reset();
            lock.lock();
        }
    }

    Database database_;  // the thread's
    std::mutex mutex_;
    std::condition_variable came_;
    std::deque<Callback> line_;
    bool stopping_ = false;
    std::thread thread_;
};

SqliteStateStore::SqliteStateStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteStateStore::~SqliteStateStore() = default;

Result<std::unique_ptr<SqliteStateStore>> SqliteStateStore::open(const std::string& path) {
    auto database = open_checked(path);
    if (!database) {
        const Error& error = database.error();
        return Error{error.kind, path + ": " + error.text + how_to_mend(error.kind)};
    }
    return std::unique_ptr<SqliteStateStore>(new SqliteStateStore(std::make_unique<Impl>(*std::move(database))));
}

namespace {
Error too_much_waits() { return {ErrorKind::ResourceExhausted, "too many changes of orders wait; try again"}; }
}  // namespace

void SqliteStateStore::add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) {
    // shared_ptr because the completion is needed when the line is full, too.
    auto call = std::make_shared<Completion<Result<std::vector<OrderId>>>>(std::move(done));
    const bool taken = impl_->submit(
        [impl = impl_.get(), orders = std::move(orders), call] { answer(std::move(*call), impl->add(orders)); });
    if (!taken) answer(std::move(*call), Result<std::vector<OrderId>>(too_much_waits()));
}

void SqliteStateStore::remove_orders(std::vector<OrderId> orders, Completion<Status> done) {
    auto call = std::make_shared<Completion<Status>>(std::move(done));
    const bool taken = impl_->submit(
        [impl = impl_.get(), orders = std::move(orders), call] { answer(std::move(*call), impl->remove(orders)); });
    if (!taken) answer(std::move(*call), Status(too_much_waits()));
}

void SqliteStateStore::update_order(Order order, Completion<Status> done) {
    auto call = std::make_shared<Completion<Status>>(std::move(done));
    const bool taken = impl_->submit(
        [impl = impl_.get(), order = std::move(order), call] { answer(std::move(*call), impl->update(order)); });
    if (!taken) answer(std::move(*call), Status(too_much_waits()));
}

Result<std::vector<Order>> SqliteStateStore::orders() {
    std::mutex mutex;
    std::condition_variable came;
    std::optional<Result<std::vector<Order>>> found;
    const bool taken = impl_->submit([&] {
        auto all = impl_->all();
        const std::lock_guard lock(mutex);
        found.emplace(std::move(all));
        came.notify_one();
    });
    if (!taken) return too_much_waits();
    std::unique_lock lock(mutex);
    came.wait(lock, [&] { return found.has_value(); });
    return *std::move(found);
}

}  // namespace postfleet::sqlite
