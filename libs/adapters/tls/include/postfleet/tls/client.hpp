// Client: the TlsClient port of one shard. ClientContexts: what all shards share, a ClientContext for each set of rules.
//
// A context is made when its rules are first asked for, and kept, or the reason why it cannot be made, until
// forget(): after that the files are read anew. A configuration has a handful of different rules.
//
// Threads: ClientContexts thread-safe; a context that is new blocks on its files, so the edge asks for those of the
// configuration before traffic. Client confined to its executor. Contexts outlive their clients.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "postfleet/ports/tls_client.hpp"
#include "postfleet/tls/client_context.hpp"
#include "postfleet/tls/workspace.hpp"

namespace postfleet::tls {

class ClientContexts final {
public:
    // shared_ptr because forget() may come while a handshake is being prepared.
    using Loaded = Result<std::shared_ptr<const ClientContext>>;
    Loaded of(const TlsRules& rules);
    void forget();

private:
    std::mutex mutex_;
    std::vector<std::pair<TlsRules, Loaded>> known_;
};

ClientSettings settings_of(const TlsRules& rules);

class Client final : public TlsClient {
public:
    Client(ClientContexts& contexts, Executor& executor) : contexts_(contexts), workspace_(executor) {}
    Result<std::unique_ptr<SecureStream>> secure(std::unique_ptr<Stream> plain, const TlsRequest& request,
                                                 StreamHandler& handler) override;

private:
    ClientContexts& contexts_;
    Workspace workspace_;
};

}  // namespace postfleet::tls
