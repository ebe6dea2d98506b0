// RemoteState: the ports that a router serves, as calls to it.
#pragma once

#include <map>

#include "routers.hpp"

namespace postfleet::rpc {

class RemoteState final : public KeyClaims, public SenderClaims, public OrderStore {
public:
    RemoteState(std::shared_ptr<Routers> routers, Executor& executor)
        : routers_(std::move(routers)), executor_(executor) {}

    void claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) override;
    void confirm(std::vector<IdempotencyKey> keys, Completion<Status> done) override;
    void release(std::vector<IdempotencyKey> keys, Completion<Status> done) override;

    void claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) override;
    void release_sender(std::string sender, std::uint64_t epoch, Completion<Status> done) override;
    void take_over_sender(SenderTakeover takeover, Completion<Result<SenderGrant>> done) override;
    void list_senders(Completion<Result<std::vector<SenderRecord>>> done) override;

    void add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) override;
    void remove_orders(std::vector<OrderId> orders, Completion<Status> done) override;
    void update_order(Order order, Completion<Status> done) override;
    Result<std::vector<Order>> orders() override;

    // Who reports progress.
    void set_sender(std::string sender);
    // What orders() answers with.
    void set_known(std::map<OrderId, Order> orders);

private:
    template <class Request, class Response, class Answer, class Translate>
    void call(typename RemoteCall<Request, Response>::Method method, Request request, Repeatable repeatable,
              Completion<Result<Answer>> done, Translate translate);

    const std::shared_ptr<Routers> routers_;
    Executor& executor_;
    std::mutex mutex_;  // the rest
    std::string sender_;
    std::map<OrderId, Order> known_;
};

}  // namespace postfleet::rpc
