#include "postfleet/rpc/command_server.hpp"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "credentials.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/v1/control.grpc.pb.h"

namespace postfleet::rpc {

namespace {

constexpr std::size_t kMemory = 64 << 20;

Result<OperatorCommand> read_command(const v1::CommandMessage& message) {
    if (message.arguments_size() > CommandServer::kMostArguments) {
        return Error{ErrorKind::InvalidArgument, "a command has at most 64 arguments"};
    }
    OperatorCommand command{.command = message.command(), .arguments = {}, .who = printable(message.who(), 200)};
    for (const v1::CommandArgument& argument : message.arguments()) {
        if (!command.arguments.emplace(argument.name(), argument.value()).second) {
            return Error{ErrorKind::InvalidArgument, "the argument '" + argument.name() + "' is there twice"};
        }
    }
    return command;
}

// Both services are the same call, for other commands.
template <class Service>
class Answering final : public Service {
public:
    explicit Answering(CommandHandler handler) : handler_(std::move(handler)) {}

    grpc::Status Run(grpc::ServerContext*, const v1::CommandMessage* request, v1::AnswerMessage* response) override {
        const auto command = read_command(*request);
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
    std::unique_ptr<grpc::Server> server;
    int port = 0;
};

CommandServer::CommandServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CommandServer::~CommandServer() { stop(); }

Result<std::unique_ptr<CommandServer>> CommandServer::start(CommandServerSettings settings) {
    if (Status files = check_tls_files(settings.tls, settings.address); !files) return files.error();
    auto impl = std::make_unique<Impl>();
    impl->service = service_of(settings);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(settings.address, server_credentials(settings.tls), &impl->port);
    builder.RegisterService(impl->service.get());
    builder.SetMaxReceiveMessageSize(kMostRequestOctets);
    builder.SetResourceQuota(grpc::ResourceQuota("commands").Resize(kMemory).SetMaxThreads(kMostThreads));
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 1);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // another process on the port is an error
    impl->server = builder.BuildAndStart();
    if (impl->server == nullptr || impl->port == 0) {
        return Error{ErrorKind::Unavailable,
                     "cannot listen on " + settings.address + "; choose another address or port"};
    }
    settings.log.line(LogLevel::Info, "commands_answered").field("address", settings.address).field("port", impl->port);
    return std::unique_ptr<CommandServer>(new CommandServer(std::move(impl)));
}

int CommandServer::port() const { return impl_->port; }

void CommandServer::stop() {
    if (!impl_->server) return;
    impl_->server->Shutdown(std::chrono::system_clock::now());
    impl_->server->Wait();
    impl_->server.reset();
}

}  // namespace postfleet::rpc
