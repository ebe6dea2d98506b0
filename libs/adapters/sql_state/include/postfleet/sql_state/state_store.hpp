// SqlStateStore: the StateStore over a SQL database.
//
//   calls ─▶ line (at most kMostWaiting) ─▶ thread: groups of calls, one transaction each ─▶ completions
//
// Whatever waits goes into one transaction, so many callers cost one synced write; if one of a group fails, each is
// carried out by itself. A connection that is lost is made anew, with growing pauses; calls wait for it no longer than
// `patience`, and are Unavailable then. What still waits when the store is destroyed is carried out first, if there is
// a connection.
//
// Threads: thread-safe. orders() blocks.
// Errors: as the port's; DeadlineExceeded: the connection was lost during the commit.
#pragma once

#include <memory>
#include <string>

#include "postfleet/ports/state_store.hpp"
#include "postfleet/sql_state/connection.hpp"

namespace postfleet::sql_state {

struct StoreSettings {
    std::unique_ptr<Connection> connection;  // may be null: not there yet
    Connect connect;                         // empty: what is lost stays lost
    Duration patience = std::chrono::seconds(2);
    Duration call_deadline = std::chrono::seconds(3);
    Duration first_pause = std::chrono::milliseconds(100), longest_pause = std::chrono::seconds(5);
};

class SqlStateStore final : public StateStore {
public:
    static constexpr std::size_t kMostWaiting = 1'000;

    explicit SqlStateStore(StoreSettings settings);
    ~SqlStateStore() override;
    SqlStateStore(const SqlStateStore&) = delete;
    SqlStateStore& operator=(const SqlStateStore&) = delete;

    // Why nothing can be kept just now; empty: it can.
    std::string obstacle() const;

    void add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) override;
    void remove_orders(std::vector<OrderId> orders, Completion<Status> done) override;
    void update_order(Order order, Completion<Status> done) override;
    Result<std::vector<Order>> orders() override;
    void order_changes(std::uint64_t after_revision, Completion<Result<OrderChanges>> done) override;
    void report_progress(std::string sender, Order order, Completion<Status> done) override;

    void claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) override;
    void confirm(std::vector<IdempotencyKey> keys, Completion<Status> done) override;
    void release(std::vector<IdempotencyKey> keys, Completion<Status> done) override;

    void claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) override;
    void release_sender(std::string sender, std::uint64_t epoch, Completion<Status> done) override;
    void take_over_sender(SenderTakeover takeover, Completion<Result<SenderGrant>> done) override;
    void list_senders(Completion<Result<std::vector<SenderRecord>>> done) override;

    void activate(ConfigurationSnapshot snapshot, Completion<Result<std::uint64_t>> done) override;
    void active(std::uint64_t known_epoch, Completion<Result<std::optional<ConfigurationSnapshot>>> done) override;

    void add_suppressions(std::vector<Suppression> suppressions, Completion<Status> done) override;
    void remove_suppressions(std::vector<SuppressionKey> keys, Completion<Status> done) override;
    void find_suppressions(std::vector<SuppressionQuestion> questions,
                           Completion<Result<std::vector<std::optional<Suppression>>>> done) override;
    void list_suppressions(SuppressionPage page, Completion<Result<std::vector<Suppression>>> done) override;

private:
    class Line;
    std::unique_ptr<Line> line_;
};

}  // namespace postfleet::sql_state
