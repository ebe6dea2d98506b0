// OpenConnections: which sockets that were given away are still open, and how many each client has.
//
// Threads: confined; asks the kernel, which does not wait.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <map>
#include <unordered_map>

#include "postfleet/base/network.hpp"

namespace postfleet::rpc {

class OpenConnections {
public:
    std::size_t size() const { return connections_.size(); }
    std::size_t of_client(const IpAddress& client) const {
        const auto found = clients_.find(client);
        return found == clients_.end() ? 0 : found->second;
    }

    // `socket` is open, so whoever had its number before has gone.
    void add(int socket, const IpAddress& client) {
        forget(connections_.find(socket));
        connections_.emplace(socket, Connection{inode_of(socket), client});
        ++clients_[client];
    }
    // Forgets those that are closed.
    void look() {
        for (auto next = connections_.begin(); next != connections_.end();) {
            const auto connection = next++;
            if (inode_of(connection->first) != connection->second.inode) forget(connection);
        }
    }

private:
    struct Connection {
        ino_t inode = 0;  // of sockets: no two that are open have the same
        IpAddress client;
    };
    using Connections = std::unordered_map<int, Connection>;

    // 0: closed, or another kind of file.
    static ino_t inode_of(int socket) {
        struct stat facts {};
        return ::fstat(socket, &facts) == 0 && S_ISSOCK(facts.st_mode) ? facts.st_ino : 0;
    }
    void forget(Connections::iterator connection) {
        if (connection == connections_.end()) return;
        const auto client = clients_.find(connection->second.client);
        if (--client->second == 0) clients_.erase(client);
        connections_.erase(connection);
    }

    Connections connections_;
    std::map<IpAddress, std::size_t> clients_;
};

}  // namespace postfleet::rpc
