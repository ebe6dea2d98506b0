#include <utility>

#include "rows.hpp"
#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

// Removals that are remembered for those who ask what has changed; who was away for longer is told everything.
constexpr std::uint64_t kMostRemovals = 10'000;

const std::string kInsert =
    "INSERT INTO orders (action, everything, queue, virtual_mta, pool, site, domain, tenant, job, reverse_path, "
    "recipient, message, accepted_before, text, who, why, given_at, expires_at, finished_at, recipients, revision) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";
const std::string kSelect =
    "SELECT id, action, everything, queue, virtual_mta, pool, site, domain, tenant, job, reverse_path, recipient, "
    "message, accepted_before, text, who, why, given_at, expires_at, finished_at, recipients FROM orders";

void bind_order(Statement& statement, const Order& order, const std::string& message, std::uint64_t revision) {
    const MailSelector& which = order.which;
    statement.bind(std::string_view(to_string(order.action))).bind(std::int64_t{which.everything});
    for (const std::string* text : {&which.queue, &which.virtual_mta, &which.pool, &which.site, &which.domain,
                                    &which.tenant, &which.job, &which.reverse_path, &which.recipient, &message}) {
        statement.bind(std::string_view(*text));
    }
    statement.bind(stored(which.accepted_before)).bind(std::string_view(order.text));
    statement.bind(std::string_view(order.who)).bind(std::string_view(order.why));
    statement.bind(to_unix_microseconds(order.given_at)).bind(stored(order.expires_at)).bind(stored(order.finished_at));
    statement.bind(static_cast<std::int64_t>(order.recipients)).bind(static_cast<std::int64_t>(revision));
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

template <class Bind>
Result<std::vector<Order>> select_orders(Connection& database, const std::string& where, Bind&& bind) {
    std::vector<Order> orders;
    Status read = each_row(database, kSelect + where + " ORDER BY id", bind, [&](const Statement& row) -> Status {
        Result<Order> order = read_order(row);
        if (!order) return order.error();
        orders.push_back(*std::move(order));
        return {};
    });
    if (!read) return read.error();
    return orders;
}

Status set_progress(Connection& database, OrderId id, std::uint64_t recipients, std::optional<WallTime> finished_at) {
    const auto revision = count_up(database, kOrderRevision);
    if (!revision) return revision.error();
    return run(database, "UPDATE orders SET recipients = ?, finished_at = ?, revision = ? WHERE id = ?",
               [&](Statement& statement) {
                   statement.bind(static_cast<std::int64_t>(recipients)).bind(stored(finished_at));
                   statement.bind(static_cast<std::int64_t>(*revision)).bind(static_cast<std::int64_t>(id));
               });
}

}  // namespace

Result<std::vector<OrderId>> add_orders(Connection& database, const std::vector<Order>& orders) {
    const auto revision = count_up(database, kOrderRevision);
    if (!revision) return revision.error();
    std::vector<OrderId> ids;
    for (const Order& order : orders) {
        const std::string message = order.which.message ? order.which.message->to_string() : "";
        Status inserted = each_row(
            database, kInsert, [&](Statement& statement) { bind_order(statement, order, message, *revision); },
            [&](const Statement& row) {
                ids.push_back(OrderId{static_cast<std::uint32_t>(row.number(0))});
                return Status();
            });
        if (!inserted) return inserted.error();
    }
    return ids;
}

Status remove_orders(Connection& database, const std::vector<OrderId>& ids) {
    const auto revision = count_up(database, kOrderRevision);
    if (!revision) return revision.error();
    for (const OrderId id : ids) {
        const auto bind_id = [&](Statement& statement) { statement.bind(static_cast<std::int64_t>(id)); };
        for (const char* sql : {"DELETE FROM order_progress WHERE order_id = ?", "DELETE FROM orders WHERE id = ?"}) {
            if (Status done = run(database, sql, bind_id); !done) return done;
        }
        Status noted = run(database,
                           "INSERT INTO order_removals (order_id, revision) VALUES (?, ?) "
                           "ON CONFLICT (order_id) DO UPDATE SET revision = excluded.revision",
                           [&](Statement& statement) {
                               statement.bind(static_cast<std::int64_t>(id)).bind(static_cast<std::int64_t>(*revision));
                           });
        if (!noted) return noted;
    }
    if (*revision <= kMostRemovals || *revision % (kMostRemovals / 10) != 0) return {};
    const auto floor = static_cast<std::int64_t>(*revision - kMostRemovals);
    Status forgotten = run(database, "DELETE FROM order_removals WHERE revision <= ?",
                           [&](Statement& statement) { statement.bind(floor); });
    if (!forgotten) return forgotten;
    return run(database, "UPDATE counters SET value = ? WHERE name = ?",
               [&](Statement& statement) { statement.bind(floor).bind(kOrderFloor); });
}

Status update_order(Connection& database, const Order& order) {
    return set_progress(database, order.id, order.recipients, order.finished_at);
}

Result<std::vector<Order>> all_orders(Connection& database) {
    return select_orders(database, "", [](Statement&) {});
}

Result<OrderChanges> order_changes(Connection& database, std::uint64_t after_revision) {
    const auto revision = counter_value(database, kOrderRevision);
    if (!revision) return revision.error();
    OrderChanges changes{.revision = *revision};
    if (after_revision == *revision) return changes;
    const auto floor = counter_value(database, kOrderFloor);
    if (!floor) return floor.error();
    // Ahead of us: the store is an older one, from a backup.
    changes.complete = after_revision == 0 || after_revision < *floor || after_revision > *revision;
    const auto bind_after = [&](Statement& statement) { statement.bind(static_cast<std::int64_t>(after_revision)); };
    auto changed = changes.complete ? all_orders(database) : select_orders(database, " WHERE revision > ?", bind_after);
    if (!changed) return changed.error();
    changes.changed = *std::move(changed);
    if (changes.complete) return changes;
    Status read = each_row(database, "SELECT order_id FROM order_removals WHERE revision > ? ORDER BY order_id",
                           bind_after, [&](const Statement& row) {
                               changes.removed.push_back(OrderId{static_cast<std::uint32_t>(row.number(0))});
                               return Status();
                           });
    if (!read) return read.error();
    return changes;
}

Status report_progress(Connection& database, const std::string& sender, const Order& order) {
    // First the counter: of two senders that report at once, the second sees what the first has written.
    if (const auto counted = count_up(database, kOrderRevision); !counted) return counted.error();
    const auto id = static_cast<std::int64_t>(order.id);
    bool is_there = false;
    Status looked = each_row(
        database, "SELECT id FROM orders WHERE id = ?", [&](Statement& statement) { statement.bind(id); },
        [&](const Statement&) {
            is_there = true;
            return Status();
        });
    if (!looked) return looked;
    if (!is_there) return {};
    Status kept = run(database,
                      "INSERT INTO order_progress (order_id, sender, recipients, finished_at) VALUES (?, ?, ?, ?) "
                      "ON CONFLICT (order_id, sender) DO UPDATE SET finished_at = excluded.finished_at, recipients = "
                      "CASE WHEN excluded.recipients > order_progress.recipients THEN excluded.recipients "
                      "ELSE order_progress.recipients END",
                      [&](Statement& statement) {
                          statement.bind(id).bind(std::string_view(sender));
                          statement.bind(static_cast<std::int64_t>(order.recipients)).bind(stored(order.finished_at));
                      });
    if (!kept) return kept;
    std::uint64_t recipients = 0;
    std::optional<WallTime> finished_at;
    Status summed = each_row(
        database, "SELECT CAST(SUM(recipients) AS BIGINT), MAX(finished_at) FROM order_progress WHERE order_id = ?",
        [&](Statement& statement) { statement.bind(id); },
        [&](const Statement& row) {
            recipients = static_cast<std::uint64_t>(row.number(0));
            finished_at = read_time(row.maybe_number(1));
            return Status();
        });
    if (!summed) return summed;
    bool is_at_work = !order.finished_at.has_value();
    Status others = each_row(
        database,
        "SELECT 1 FROM senders WHERE spool_id <> ? AND NOT EXISTS (SELECT 1 FROM order_progress WHERE "
        "order_progress.order_id = ? AND order_progress.sender = senders.name AND finished_at IS NOT NULL)",
        [&](Statement& statement) { statement.bind(std::string_view("")).bind(id); },
        [&](const Statement&) {
            is_at_work = true;
            return Status();
        });
    if (!others) return others;
    return set_progress(database, order.id, recipients, is_at_work ? std::nullopt : finished_at);
}

}  // namespace postfleet::sql_state
