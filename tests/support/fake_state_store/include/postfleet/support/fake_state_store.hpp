// FakeStateStore: the in-memory twin of SqlStateStore. It outlives what uses it, as a file does; fail_next(e) makes
// the next change fail.
//
// Threads: confined to the test's thread; completions are posted to their executor.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "postfleet/ports/state_store.hpp"

namespace postfleet::support {

class FakeStateStore final : public StateStore {
public:
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

    void fail_next(Error error) { failure_ = std::move(error); }

private:
    struct KeptOrder {
        Order order;
        std::uint64_t revision = 0;
        std::map<std::string, Order> progress;  // by sender
    };
    struct KeptKey {
        MessageId message;
        int claims = 0;
        bool is_done = false;
        Duration window{};
        WallTime expires_at{};
    };
    // True: it was answered with the failure.
    template <class T>
    bool fails(Completion<T>& done);
    std::optional<SenderGrant> grant_of_spool(const std::string& spool_id) const;
    SenderRecord& record_of(const std::string& sender);
    const Suppression* suppression_of(const SuppressionKey& key) const;

    std::map<OrderId, KeptOrder> orders_;
    std::map<OrderId, std::uint64_t> removals_;
    std::uint32_t last_id_ = 0;
    std::uint64_t revision_ = 0;
    std::map<IdempotencyKey, KeptKey> keys_;
    std::map<std::string, SenderRecord> senders_;
    std::optional<ConfigurationSnapshot> configuration_;
    std::map<SuppressionKey, Suppression> suppressions_;
    std::optional<Error> failure_;
};

}  // namespace postfleet::support
