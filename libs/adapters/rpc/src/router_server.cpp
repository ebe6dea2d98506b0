#include "postfleet/rpc/router_server.hpp"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <utility>

#include "connection_gate.hpp"
#include "credentials.hpp"
#include "member_table.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/v1/control.grpc.pb.h"
#include "recipients_stream.hpp"
#include "translate.hpp"
#include "watchers.hpp"

namespace postfleet::rpc {

namespace {

constexpr std::size_t kMemory = 256 << 20;
constexpr int kMostStreams = 1'000;  // of one connection

class RouterService final : public v1::Router::CallbackService {
public:
    RouterService(const RouterServerSettings& settings)
        : store_(settings.store),
          executor_(settings.executor),
          log_(settings.log),
          named_senders_(settings.named_senders),
          watchers_(settings.store, settings.executor, RouterServer::kMostWatchers),
          good_(settings.metrics.counter("postfleet_router_requests_total", "Requests of other services, by outcome.",
                                         {{"outcome", "ok"}})),
          bad_(settings.metrics.counter("postfleet_router_requests_total", "Requests of other services, by outcome.",
                                        {{"outcome", "failed"}})) {
        settings.metrics.computed_gauge("postfleet_router_watchers", "Streams that wait for news.", {},
                                        [this] { return static_cast<double>(watchers_.size()); });
    }

    Watchers& watchers() { return watchers_; }

    grpc::ServerWriteReactor<v1::ConfigSnapshot>* WatchConfig(grpc::CallbackServerContext*,
                                                              const v1::WatchConfigRequest* request) override {
        log_.line(LogLevel::Info, "service-watches")
            .field("service", printable(request->service(), 64))
            .field("name", printable(request->name(), 200))
            .field("known_epoch", request->known_epoch());
        return watchers_.watch_config(request->known_epoch());
    }
    grpc::ServerWriteReactor<v1::OrderChangesMessage>* WatchOrders(grpc::CallbackServerContext*,
                                                                   const v1::WatchOrdersRequest* request) override {
        return watchers_.watch_orders(request->known_revision());
    }
    RecipientsReactor* CheckRecipients(grpc::CallbackServerContext*) override {
        return check_recipients(store_, executor_, RouterServer::kMostBatch);
    }

    grpc::ServerUnaryReactor* ClaimKeys(grpc::CallbackServerContext* context, const v1::ClaimKeysRequest* request,
                                        v1::ClaimKeysResponse* response) override {
        return on_list<KeyClaim, std::vector<KeyVerdict>>(
            context, request->claims(),
            [this](std::vector<KeyClaim> claims, auto done) { store_.claim(std::move(claims), std::move(done)); },
            [response](const std::vector<KeyVerdict>& verdicts) {
                for (const KeyVerdict& verdict : verdicts) write(verdict, *response->add_verdicts());
            });
    }
    grpc::ServerUnaryReactor* ConfirmKeys(grpc::CallbackServerContext* context, const v1::KeyList* request,
                                          v1::Done*) override {
        return on_list<IdempotencyKey, void>(context, request->keys(), [this](auto keys, auto done) {
            store_.confirm(std::move(keys), std::move(done));
        });
    }
    grpc::ServerUnaryReactor* ReleaseKeys(grpc::CallbackServerContext* context, const v1::KeyList* request,
                                          v1::Done*) override {
        return on_list<IdempotencyKey, void>(context, request->keys(), [this](auto keys, auto done) {
            store_.release(std::move(keys), std::move(done));
        });
    }

    grpc::ServerUnaryReactor* ClaimSender(grpc::CallbackServerContext* context, const v1::SenderClaimRequest* request,
                                          v1::SenderClaimResponse* response) override {
        auto claim = read(*request);
        if (!claim) return refuse(context, claim.error());
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        store_.claim_sender(*std::move(claim), {&executor_, [=, this](Result<SenderVerdict> verdict) {
                                                    if (verdict) write(*verdict, *response);
                                                    finish(call, verdict);
                                                }});
        return call;
    }
    grpc::ServerUnaryReactor* ReleaseSender(grpc::CallbackServerContext* context,
                                            const v1::ReleaseSenderRequest* request, v1::Done*) override {
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        store_.release_sender(request->sender(), request->epoch(),
                              {&executor_, [=, this](Status status) { finish(call, status); }});
        return call;
    }
    grpc::ServerUnaryReactor* TakeOverSender(grpc::CallbackServerContext* context,
                                             const v1::TakeOverSenderRequest* request,
                                             v1::SenderGrantMessage* response) override {
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        log_.line(LogLevel::Warning, "sender-taken-over")
            .field("sender", printable(request->sender(), 200))
            .field("who", printable(request->who(), 200));
        store_.take_over_sender({request->sender(), request->spool_id()},
                                {&executor_, [=, this](Result<SenderGrant> grant) {
                                     if (grant) write(*grant, *response);
                                     finish(call, grant);
                                 }});
        return call;
    }
    grpc::ServerUnaryReactor* ListSenders(grpc::CallbackServerContext* context, const v1::ListSendersRequest*,
                                          v1::ListSendersResponse* response) override {
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        store_.list_senders({&executor_, [=, this](Result<std::vector<SenderRecord>> records) {
                                 if (records) {
                                     if (named_senders_) add_named(named_senders_(), *records);
                                     for (const SenderRecord& record : *records)
                                         write(record, *response->add_senders());
                                 }
                                 finish(call, records);
                             }});
        return call;
    }

    grpc::ServerUnaryReactor* AddOrders(grpc::CallbackServerContext* context, const v1::OrderList* request,
                                        v1::OrderIdList* response) override {
        return on_list<Order, std::vector<OrderId>>(
            context, request->orders(),
            [this](std::vector<Order> orders, auto done) { store_.add_orders(std::move(orders), std::move(done)); },
            [response](const std::vector<OrderId>& ids) {
                for (const OrderId id : ids) response->add_ids(static_cast<std::uint32_t>(id));
            });
    }
    grpc::ServerUnaryReactor* RemoveOrders(grpc::CallbackServerContext* context, const v1::OrderIdList* request,
                                           v1::Done*) override {
        if (request->ids_size() > RouterServer::kMostBatch) {
            return refuse(context, {ErrorKind::InvalidArgument, "too many orders in one request"});
        }
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        std::vector<OrderId> ids;
        for (const std::uint32_t id : request->ids()) ids.push_back(OrderId{id});
        store_.remove_orders(std::move(ids), {&executor_, [=, this](Status status) { finish(call, status); }});
        return call;
    }
    grpc::ServerUnaryReactor* ReportProgress(grpc::CallbackServerContext* context, const v1::ProgressReport* request,
                                             v1::Done*) override {
        auto order = read(request->order());
        if (!order) return refuse(context, order.error());
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        store_.report_progress(request->sender(), *std::move(order),
                               {&executor_, [=, this](Status status) { finish(call, status); }});
        return call;
    }

    grpc::ServerUnaryReactor* Announce(grpc::CallbackServerContext* context, const v1::MemberMessage* request,
                                       v1::Done*) override {
        auto member = read(*request);
        if (!member) return refuse(context, member.error());
        if (!members_.heard(*std::move(member), steady_clock_now())) {
            return refuse(context, {ErrorKind::ResourceExhausted, "too many processes have announced themselves"});
        }
        return answer(context);
    }
    grpc::ServerUnaryReactor* ListMembers(grpc::CallbackServerContext* context, const v1::ListMembersRequest*,
                                          v1::MemberList* response) override {
        for (const Member& member : members_.list(steady_clock_now())) write(member, *response->add_members());
        return answer(context);
    }

private:
    grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context) {
        auto* reactor = context->DefaultReactor();
        good_.add();
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
    grpc::ServerUnaryReactor* refuse(grpc::CallbackServerContext* context, const Error& error) {
        auto* reactor = context->DefaultReactor();
        bad_.add();
        reactor->Finish(to_grpc(error));
        return reactor;
    }
    // Null: too many are under way, and it was answered.
    grpc::ServerUnaryReactor* begin(grpc::CallbackServerContext* context) {
        if (calls_.fetch_add(1) >= RouterServer::kMostCalls) {
            calls_.fetch_sub(1);
            refuse(context, {ErrorKind::ResourceExhausted, "the router has too much to do; try again"});
            return nullptr;
        }
        return context->DefaultReactor();
    }
    template <class T>
    void finish(grpc::ServerUnaryReactor* call, const Result<T>& result) {
        calls_.fetch_sub(1);
        (result ? good_ : bad_).add();
        call->Finish(result ? grpc::Status::OK : to_grpc(result.error()));
    }
    template <class Value, class Answer, class Messages, class Ask>
    grpc::ServerUnaryReactor* on_list(grpc::CallbackServerContext* context, const Messages& messages, Ask&& ask,
                                      auto... answered) {
        auto values = read_all<Value>(messages, RouterServer::kMostBatch);
        if (!values) return refuse(context, values.error());
        auto* call = begin(context);
        if (call == nullptr) return context->DefaultReactor();
        ask(*std::move(values), Completion<Result<Answer>>{&executor_, [=, this](Result<Answer> result) {
                                                               if constexpr (!std::is_void_v<Answer>) {
                                                                   if (result) (answered(*result), ...);
                                                               }
                                                               finish(call, result);
                                                           }});
        return call;
    }

    StateStore& store_;
    Executor& executor_;
    const Log log_;
    const std::function<std::set<std::string>()> named_senders_;
    Watchers watchers_;
    MemberTable members_;
    Counter& good_;
    Counter& bad_;
    std::atomic<std::size_t> calls_{0};
};

}  // namespace

class RouterServer::Impl {
public:
    explicit Impl(const RouterServerSettings& settings) : service(settings) {}
    RouterService service;
    std::unique_ptr<ConnectionGate> gate;
    std::unique_ptr<grpc::Server> server;
};

RouterServer::RouterServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RouterServer::~RouterServer() { stop({}); }

Result<std::unique_ptr<RouterServer>> RouterServer::start(RouterServerSettings settings) {
    if (Status files = check_tls_files(settings.tls, settings.address); !files) return files.error();
    auto impl = std::make_unique<Impl>(settings);
    grpc::EnableDefaultHealthCheckService(true);
    Counter& refused = settings.metrics.counter("postfleet_router_connections_refused_total",
                                                "Connections that were closed because there were too many.");
    auto gate =
        ConnectionGate::open(settings.address, {.all = kMostConnections, .per_client = kMostConnections}, refused);
    if (!gate) return gate.error();
    impl->gate = *std::move(gate);
    grpc::ServerBuilder builder;
    impl->gate->attach(builder, server_credentials(settings.tls));
    builder.RegisterService(&impl->service);
    builder.SetMaxReceiveMessageSize(kMostRequestOctets);
    builder.SetResourceQuota(grpc::ResourceQuota("router").Resize(kMemory));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
    // A peer that is gone without a word is noticed; peers may ask as often as we do.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
    impl->server = builder.BuildAndStart();
    if (impl->server == nullptr) return Error{ErrorKind::Unavailable, settings.address + ": gRPC cannot be started"};
    impl->gate->start();
    return std::unique_ptr<RouterServer>(new RouterServer(std::move(impl)));
}

int RouterServer::port() const { return impl_->gate->port(); }

void RouterServer::publish(ConfigurationSnapshot snapshot) {
    auto message = std::make_shared<v1::ConfigSnapshot>();
    write(snapshot, *message);
    impl_->service.watchers().publish(std::move(message));
}

void RouterServer::announce_orders(std::uint64_t revision) { impl_->service.watchers().announce_orders(revision); }

void RouterServer::set_serving(bool is_serving) {
    if (auto* health = impl_->server->GetHealthCheckService()) health->SetServingStatus(is_serving);
}

void RouterServer::stop(Duration grace) {
    if (!impl_->server) return;
    set_serving(false);
    impl_->gate->stop();
    impl_->service.watchers().close();
    impl_->server->Shutdown(std::chrono::system_clock::now() +
                            std::chrono::duration_cast<std::chrono::system_clock::duration>(grace));
    impl_->server->Wait();
    impl_->server.reset();
}

}  // namespace postfleet::rpc
