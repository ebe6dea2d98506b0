// CommandServer: where a process of the cluster answers operators, over gRPC with mutual TLS (SenderControl,
// FeedbackQuery of control.proto).
//
// The handler runs on a thread of gRPC and may wait; it has a deadline of its own. At most kMostThreads are there; what is
// asked beyond that is refused. Health service: yes. Reflection: no.
//
// Threads: start() and stop() from one thread; stop() blocks until handlers under way have returned.
// Errors: start(): the address or a TLS file cannot be used. Callers get what the handler says.
#pragma once

#include <functional>
#include <memory>

#include "postfleet/base/log.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/rpc/members.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::rpc {

enum class CommandService { SenderControl, FeedbackQuery };
// Answers with one JSON value.
using CommandHandler = std::function<Result<std::string>(const OperatorCommand&)>;

struct CommandServerSettings {
    std::string address;  // "127.0.0.1:0": any port
    TlsFiles tls;
    CommandService service = CommandService::SenderControl;
    CommandHandler handler;
    Log log;
};

class CommandServer final {
public:
    static constexpr int kMostThreads = 16;
    static constexpr std::uint32_t kMostConnections = 200;
    static constexpr int kMostRequestOctets = 1 << 20;

    static Result<std::unique_ptr<CommandServer>> start(CommandServerSettings settings);
    ~CommandServer();
    CommandServer(const CommandServer&) = delete;
    CommandServer& operator=(const CommandServer&) = delete;

    int port() const;
    void stop();

private:
    class Impl;
    explicit CommandServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postfleet::rpc
