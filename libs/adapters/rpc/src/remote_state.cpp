#include "remote_state.hpp"

#include "translate.hpp"

namespace postfleet::rpc {

using Async = class v1::Router::Stub::async;

template <class Request, class Response, class Answer, class Translate>
void RemoteState::call(typename RemoteCall<Request, Response>::Method method, Request request, Repeatable repeatable,
                       Completion<Result<Answer>> done, Translate translate) {
    auto finish = [done = std::move(done), translate](Result<Response> response) mutable {
        Result<Answer> result = response ? translate(*response) : Result<Answer>(response.error());
        Executor& on = *done.on;
        on.post([done = std::move(done), result = std::move(result)]() mutable { done.run(std::move(result)); });
    };
    std::make_shared<RemoteCall<Request, Response>>(routers_, executor_, method, std::move(request), repeatable,
                                                    std::move(finish))
        ->begin();
}

namespace {

Status nothing(const v1::Done&) { return {}; }

v1::KeyList list_of(const std::vector<IdempotencyKey>& keys) {
    v1::KeyList list;
    for (const IdempotencyKey& key : keys) write(key, *list.add_keys());
    return list;
}

}  // namespace

// --- idempotency keys: who claims again with the same message id is told the same

void RemoteState::claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) {
    v1::ClaimKeysRequest request;
    for (const KeyClaim& claim : claims) write(claim, *request.add_claims());
    std::vector<MessageId> offered;
    for (const KeyClaim& claim : claims) offered.push_back(claim.message);
    call<v1::ClaimKeysRequest, v1::ClaimKeysResponse>(
        &Async::ClaimKeys, std::move(request), Repeatable::Yes, std::move(done),
        [offered = std::move(offered)](const v1::ClaimKeysResponse& response) -> Result<std::vector<KeyVerdict>> {
            const int expected = static_cast<int>(offered.size());
            if (response.verdicts_size() != expected) {
                return Error{ErrorKind::Internal, "the router has answered with another number of verdicts"};
            }
            auto verdicts = read_all<KeyVerdict>(response.verdicts(), expected);
            if (!verdicts) return verdicts;
            for (std::size_t i = 0; i < offered.size(); ++i) {
                // It was our own attempt, whose answer was lost, that has made the key known.
                KeyVerdict& verdict = (*verdicts)[i];
                if (verdict.state == KeyState::Pending && verdict.message == offered[i]) verdict.state = KeyState::New;
            }
            return verdicts;
        });
}

void RemoteState::confirm(std::vector<IdempotencyKey> keys, Completion<Status> done) {
    call<v1::KeyList, v1::Done>(&Async::ConfirmKeys, list_of(keys), Repeatable::Yes, std::move(done), nothing);
}

void RemoteState::release(std::vector<IdempotencyKey> keys, Completion<Status> done) {
    call<v1::KeyList, v1::Done>(&Async::ReleaseKeys, list_of(keys), Repeatable::Yes, std::move(done), nothing);
}

// --- ownership

void RemoteState::claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) {
    v1::SenderClaimRequest request;
    write(claim, request);
    call<v1::SenderClaimRequest, v1::SenderClaimResponse>(
        &Async::ClaimSender, std::move(request), Repeatable::Yes, std::move(done),
        [](const v1::SenderClaimResponse& response) { return read(response); });
}

void RemoteState::release_sender(std::string sender, std::uint64_t epoch, Completion<Status> done) {
    v1::ReleaseSenderRequest request;
    request.set_sender(std::move(sender));
    request.set_epoch(epoch);
    call<v1::ReleaseSenderRequest, v1::Done>(&Async::ReleaseSender, std::move(request), Repeatable::Yes,
                                             std::move(done), nothing);
}

void RemoteState::take_over_sender(SenderTakeover takeover, Completion<Result<SenderGrant>> done) {
    v1::TakeOverSenderRequest request;
    request.set_sender(std::move(takeover.sender));
    request.set_spool_id(std::move(takeover.spool_id));
    call<v1::TakeOverSenderRequest, v1::SenderGrantMessage>(
        &Async::TakeOverSender, std::move(request), Repeatable::No, std::move(done),
        [](const v1::SenderGrantMessage& response) { return read(response); });
}

void RemoteState::list_senders(Completion<Result<std::vector<SenderRecord>>> done) {
    call<v1::ListSendersRequest, v1::ListSendersResponse>(
        &Async::ListSenders, {}, Repeatable::Yes, std::move(done), [](const v1::ListSendersResponse& response) {
            return read_all<SenderRecord>(response.senders(), response.senders_size());
        });
}

// --- orders

void RemoteState::add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) {
    v1::OrderList request;
    for (const Order& order : orders) write(order, *request.add_orders());
    call<v1::OrderList, v1::OrderIdList>(
        &Async::AddOrders, std::move(request), Repeatable::No, std::move(done),
        [expected = static_cast<int>(orders.size())](const v1::OrderIdList& response) -> Result<std::vector<OrderId>> {
            if (response.ids_size() != expected) {
                return Error{ErrorKind::Internal, "the router has answered with another number of ids"};
            }
            std::vector<OrderId> ids;
            for (const std::uint32_t id : response.ids()) ids.push_back(OrderId{id});
            return ids;
        });
}

void RemoteState::remove_orders(std::vector<OrderId> orders, Completion<Status> done) {
    v1::OrderIdList request;
    for (const OrderId id : orders) request.add_ids(static_cast<std::uint32_t>(id));
    call<v1::OrderIdList, v1::Done>(&Async::RemoveOrders, std::move(request), Repeatable::Yes, std::move(done),
                                    nothing);
}

void RemoteState::update_order(Order order, Completion<Status> done) {
    v1::ProgressReport request;
    {
        const std::lock_guard lock(mutex_);
        request.set_sender(sender_);
    }
    write(order, *request.mutable_order());
    call<v1::ProgressReport, v1::Done>(&Async::ReportProgress, std::move(request), Repeatable::Yes, std::move(done),
                                       nothing);
}

Result<std::vector<Order>> RemoteState::orders() {
    const std::lock_guard lock(mutex_);
    std::vector<Order> all;
    for (const auto& [id, order] : known_) {
        all.push_back(order);
        // They are of all senders together; how many of them were this one's, the router knows.
        if (!order.finished_at) all.back().recipients = 0;
    }
    return all;
}

void RemoteState::set_sender(std::string sender) {
    const std::lock_guard lock(mutex_);
    sender_ = std::move(sender);
}

void RemoteState::set_known(std::map<OrderId, Order> orders) {
    const std::lock_guard lock(mutex_);
    known_ = std::move(orders);
}

}  // namespace postfleet::rpc
