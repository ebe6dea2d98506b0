#include "postfleet/rpc/command_server.hpp"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "connection_gate.hpp"
#include "credentials.hpp"
#include "postfleet/v1/control.grpc.pb.h"
#include "translate.hpp"

namespace postfleet::rpc {

namespace {

constexpr std::size_t kMemory = 64 << 20;

// Both services are the same call, for other commands.
template <class Service>
class Answering final : public Service {
public:
    explicit Answering(CommandHandler handler) : handler_(std::move(handler)) {}

    grpc::Status Run(grpc::ServerContext*, const v1::CommandMessage* request, v1::AnswerMessage* response) override {
        const auto command = read(*request);
        if (!command) return to_grpc(command.error());
        Result<std::string> answer = handler_(*command);
        if (!answer) return to_grpc(answer.error());
        response->set_json(*std::move(answer));
        return grpc::Status::OK;
    }

private:
    const CommandHandler handler_;
};

std::unique_ptr<grpc::Service> service_of(const CommandServerSettings& settings) {
    switch (settings.service) {
        case CommandService::SenderControl:
            return std::make_unique<Answering<v1::SenderControl::Service>>(settings.handler);
        case CommandService::FeedbackQuery:
            return std::make_unique<Answering<v1::FeedbackQuery::Service>>(settings.handler);
    }
    return nullptr;
}

}  // namespace

class CommandServer::Impl {
public:
    std::unique_ptr<grpc::Service> service;
    Counter refused;
    std::unique_ptr<ConnectionGate> gate;
    std::unique_ptr<grpc::Server> server;
};

CommandServer::CommandServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CommandServer::~CommandServer() { stop(); }

Result<std::unique_ptr<CommandServer>> CommandServer::start(CommandServerSettings settings) {
    if (Status files = check_tls_files(settings.tls, settings.address); !files) return files.error();
    auto impl = std::make_unique<Impl>();
    impl->service = service_of(settings);
    grpc::EnableDefaultHealthCheckService(true);
    auto gate = ConnectionGate::open(settings.address, {.all = kMostConnections, .per_client = kMostConnections},
                                     impl->refused);
    if (!gate) return gate.error();
    impl->gate = *std::move(gate);
    grpc::ServerBuilder builder;
    impl->gate->attach(builder, server_credentials(settings.tls));
    builder.RegisterService(impl->service.get());
    builder.SetMaxReceiveMessageSize(kMostRequestOctets);
    builder.SetResourceQuota(grpc::ResourceQuota("commands").Resize(kMemory).SetMaxThreads(kMostThreads));
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 1);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostThreads);
    // A peer that is gone without a word is noticed, and connections without calls do not stay for ever.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 300'000);
    impl->server = builder.BuildAndStart();
    if (impl->server == nullptr) return Error{ErrorKind::Unavailable, settings.address + ": gRPC cannot be started"};
    impl->gate->start();
    settings.log.line(LogLevel::Info, "commands-answered")
        .field("address", settings.address)
        .field("port", impl->gate->port());
    return std::unique_ptr<CommandServer>(new CommandServer(std::move(impl)));
}

int CommandServer::port() const { return impl_->gate->port(); }

void CommandServer::stop() {
    if (!impl_->server) return;
    impl_->gate->stop();
    impl_->server->Shutdown(std::chrono::system_clock::now());
    impl_->server->Wait();
    impl_->server.reset();
}

}  // namespace postfleet::rpc
