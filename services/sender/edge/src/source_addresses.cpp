#include "postfleet/sender_edge/source_addresses.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace postfleet::sender {

namespace {

std::string place(const config::Config& config, const std::string& key, const Origin& otherwise) {
    const auto found = config.origins.find(key);
    const Origin& origin = found != config.origins.end() ? found->second : otherwise;
    return origin.file.empty() ? key : origin.to_string() + ": " + key;
}

// 0, or why not.
int try_to_bind(const IpAddress& address) {
    const int socket = ::socket(address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return errno;
    int failed = 0;
    if (address.v6) {
        ::sockaddr_in6 name{};
        name.sin6_family = AF_INET6;
        std::memcpy(&name.sin6_addr, address.octets.data(), 16);
        failed = ::bind(socket, reinterpret_cast<const ::sockaddr*>(&name), sizeof name);
    } else {
        ::sockaddr_in name{};
        name.sin_family = AF_INET;
        std::memcpy(&name.sin_addr, address.octets.data(), 4);
        failed = ::bind(socket, reinterpret_cast<const ::sockaddr*>(&name), sizeof name);
    }
    const int error = failed != 0 ? errno : 0;
    ::close(socket);
    return error;
}

}  // namespace

Status check_source_addresses(const config::Config& config, std::string_view sender) {
    std::string problems;
    for (const auto& [name, vmta] : config.virtual_mtas) {
        if (!sender.empty() && vmta.sender != sender) continue;
        if (vmta.proxy) continue;  // its addresses are the proxy's
        for (const IpAddress& source : vmta.sources) {
            const int error = try_to_bind(source);
            if (error == 0) continue;
            if (!problems.empty()) problems += "\n";
            problems += place(config, "virtual_mtas." + name + ".source", vmta.origin) + ": cannot bind " +
                        source.to_string() + ": " + std::strerror(error) +
                        "; add the address to an interface of this machine, or take it out";
        }
    }
    if (problems.empty()) return {};
    return Error{ErrorKind::InvalidArgument, problems};
}

}  // namespace postfleet::sender
