#include "postfleet/rpc/submission_server.hpp"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <utility>

#include "connection_gate.hpp"
#include "credentials.hpp"
#include "submission_call.hpp"

namespace postfleet::rpc {
namespace {

constexpr std::size_t kMemoryBesideSubmissions = 64 << 20;
constexpr Duration kClock = std::chrono::seconds(1);

// Generic, because then a body is read when we say so, and not before the caller is known.
class Service final : public grpc::CallbackGenericService {
public:
    explicit Service(std::shared_ptr<SubmissionCalls> calls) : calls_(std::move(calls)) {}

    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
        using Method = SubmissionCall::Method;
        const std::string& name = context->method();
        const bool is_send = name == "/postfleet.v1.SubmissionService/Send";
        if (!is_send && name != "/postfleet.v1.SubmissionService/SendMany") {
            return grpc::CallbackGenericService::CreateReactor(context);  // UNIMPLEMENTED
        }
        auto call = std::make_shared<SubmissionCall>(calls_, *context, is_send ? Method::Send : Method::SendMany);
        call->begin();
        return call.get();
    }

private:
    const std::shared_ptr<SubmissionCalls> calls_;
};

// Looks every second at calls that stand still. Shared with its timer, which may fire when the server has gone.
class Clock final : public std::enable_shared_from_this<Clock> {
public:
    Clock(Executor& executor, std::shared_ptr<SubmissionCalls> calls) : executor_(executor), calls_(std::move(calls)) {}
    void start() {
        executor_.post([self = shared_from_this()] { self->look(); });
    }
    void stop() { is_stopped_ = true; }

private:
    void look() {
        if (is_stopped_) return;
        calls_->look_at_clock(steady_clock_now());
        executor_.schedule_at(executor_.now() + kClock, [self = shared_from_this()] { self->look(); });
    }
    Executor& executor_;
    const std::shared_ptr<SubmissionCalls> calls_;
    std::atomic<bool> is_stopped_{false};
};

void set_limits(grpc::ServerBuilder& builder, const SubmissionServerSettings& settings) {
    builder.SetMaxReceiveMessageSize(static_cast<int>(std::min<std::uint64_t>(settings.max_body_octets, INT32_MAX)));
    builder.SetResourceQuota(
        grpc::ResourceQuota(settings.name)
            .Resize(kMemoryBesideSubmissions + settings.max_octets_in_flight + settings.max_body_octets));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(settings.max_calls_per_connection));
    // A peer that is gone without a word is noticed, and connections without calls do not stay for ever.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(settings.call_timeout).count();
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                               static_cast<int>(std::min<std::int64_t>(idle, INT32_MAX)));
}

}  // namespace

class SubmissionServer::Impl {
public:
    explicit Impl(const SubmissionServerSettings& settings)
        : calls(std::make_shared<SubmissionCalls>(settings)),
          service(calls),
          clock(std::make_shared<Clock>(settings.executor, calls)) {}
    const std::shared_ptr<SubmissionCalls> calls;
    Service service;
    const std::shared_ptr<Clock> clock;
    std::unique_ptr<ConnectionGate> gate;
    std::unique_ptr<grpc::Server> server;
};

SubmissionServer::SubmissionServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SubmissionServer::~SubmissionServer() { stop(); }

Result<std::unique_ptr<SubmissionServer>> SubmissionServer::start(const SubmissionServerSettings& settings) {
    auto impl = std::make_unique<Impl>(settings);
    grpc::EnableDefaultHealthCheckService(true);
    Counter& refused =
        settings.metrics.counter("postfleet_grpc_connections_refused_total",
                                 "Connections that were closed because there were too many, of all or of one client.",
                                 {{"listener", settings.name}});
    const std::string address = settings.address.to_string();
    auto gate = ConnectionGate::open(
        address, {.all = settings.max_connections, .per_client = settings.max_connections_per_client}, refused);
    if (!gate) return gate.error();
    impl->gate = *std::move(gate);
    grpc::ServerBuilder builder;
    impl->gate->attach(builder, server_credentials(settings.tls));
    builder.RegisterCallbackGenericService(&impl->service);
    set_limits(builder, settings);
    impl->server = builder.BuildAndStart();
    if (impl->server == nullptr) return Error{ErrorKind::Unavailable, address + ": gRPC cannot be started"};
    if (auto* health = impl->server->GetHealthCheckService()) {
        health->SetServingStatus("postfleet.v1.SubmissionService", true);
    }
    impl->clock->start();
    impl->gate->start();
    return std::unique_ptr<SubmissionServer>(new SubmissionServer(std::move(impl)));
}

std::uint16_t SubmissionServer::port() const { return static_cast<std::uint16_t>(impl_->gate->port()); }

void SubmissionServer::drain(Completion<Status> done) {
    if (auto* health = impl_->server ? impl_->server->GetHealthCheckService() : nullptr) {
        health->SetServingStatus(false);
    }
    impl_->calls->drain(std::move(done));
}

void SubmissionServer::stop(Duration grace) {
    if (!impl_->server) return;
    impl_->clock->stop();
    impl_->gate->stop();
    impl_->server->Shutdown(std::chrono::system_clock::now() +
                            std::chrono::duration_cast<std::chrono::system_clock::duration>(grace));
    impl_->server->Wait();
    impl_->server.reset();
}

}  // namespace postfleet::rpc
