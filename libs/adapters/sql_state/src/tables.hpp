// What SqlStateStore does to its tables, inside a transaction that somebody else began.
//
// Every function may be run again from its beginning when the transaction was undone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postfleet/ports/state_store.hpp"
#include "postfleet/sql_state/connection.hpp"

namespace postfleet::sql_state {

Result<std::vector<OrderId>> add_orders(Connection& database, const std::vector<Order>& orders);
Status remove_orders(Connection& database, const std::vector<OrderId>& ids);
Status update_order(Connection& database, const Order& order);
Result<std::vector<Order>> all_orders(Connection& database);
Result<OrderChanges> order_changes(Connection& database, std::uint64_t after_revision);
Status report_progress(Connection& database, const std::string& sender, const Order& order);

Result<std::vector<KeyVerdict>> claim_keys(Connection& database, const std::vector<KeyClaim>& claims, WallTime now);
Status confirm_keys(Connection& database, const std::vector<IdempotencyKey>& keys, WallTime now);
Status release_keys(Connection& database, const std::vector<IdempotencyKey>& keys);
Status forget_keys(Connection& database, WallTime now);

Result<SenderVerdict> claim_sender(Connection& database, const SenderClaim& claim, WallTime now);
Status release_sender(Connection& database, const std::string& sender, std::uint64_t epoch);
Result<SenderGrant> take_over_sender(Connection& database, const SenderTakeover& takeover, WallTime now);
Result<std::vector<SenderRecord>> list_senders(Connection& database);

Result<std::uint64_t> activate(Connection& database, const ConfigurationSnapshot& snapshot);
Result<std::optional<ConfigurationSnapshot>> active(Connection& database, std::uint64_t known_epoch);

Status add_suppressions(Connection& database, const std::vector<Suppression>& suppressions);
Status remove_suppressions(Connection& database, const std::vector<SuppressionKey>& keys);
Result<std::vector<std::optional<Suppression>>> find_suppressions(Connection& database,
                                                                  const std::vector<SuppressionQuestion>& questions,
                                                                  WallTime now);
Result<std::vector<Suppression>> list_suppressions(Connection& database, const SuppressionPage& page, WallTime now);

}  // namespace postfleet::sql_state
