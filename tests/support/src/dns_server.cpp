#include "postfleet/support/dns_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "postfleet/base/text.hpp"

namespace postfleet::support {

namespace {

constexpr std::size_t kHeaderOctets = 12;
constexpr std::uint16_t kSoa = 6;

void put16(std::string& out, unsigned value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value);
}
void put32(std::string& out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}
unsigned get16(const std::string& in, std::size_t at) {
    return static_cast<unsigned>(static_cast<std::uint8_t>(in[at])) << 8 | static_cast<std::uint8_t>(in[at + 1]);
}

std::string wire_name(const std::string& name) {
    std::string out;
    if (!name.empty()) {
        for (const auto label : split(name, '.')) {
            out += static_cast<char>(label.size());
            out += label;
        }
    }
    out += '\0';
    return out;
}

void put_record(std::string& out, const std::string& owner, std::uint16_t type, std::uint32_t ttl,
                const std::string& rdata) {
    out += wire_name(owner);
    put16(out, type);
    put16(out, 1);
    put32(out, ttl);
    put16(out, static_cast<unsigned>(rdata.size()));
    out += rdata;
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

bool bind_to(int socket, std::uint16_t port) {
    const auto address = loopback(port);
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

DnsServer::DnsServer() {
    // The system chooses the port for UDP; now and then TCP has it in use already.
    for (int attempt = 0; attempt < 20; ++attempt) {
        udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sockaddr_in bound{};
        socklen_t size = sizeof bound;
        if (bind_to(udp_, 0) && ::getsockname(udp_, reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
            bind_to(tcp_, ntohs(bound.sin_port)) && ::listen(tcp_, 16) == 0) {
            endpoint_ = {*IpAddress::parse("127.0.0.1"), ntohs(bound.sin_port)};
            break;
        }
        ::close(udp_);
        ::close(tcp_);
    }
    if (endpoint_.port == 0) throw std::runtime_error("no port for a DNS server");
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { run(); });
}

DnsServer::~DnsServer() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_, &one, sizeof one));
    thread_.join();
    for (const int descriptor : {udp_, tcp_, stop_}) ::close(descriptor);
}

void DnsServer::add_mx(const std::string& name, std::uint16_t preference, const std::string& host) {
    std::string rdata;
    put16(rdata, preference);
    rdata += wire_name(host);
    add_record(name, Type::Mx, rdata);
}

void DnsServer::add_address(const std::string& name, const std::string& address) {
    const auto parsed = IpAddress::parse(address);
    const std::lock_guard lock(mutex_);
    names_[name].rdata[parsed->v6 ? Type::Aaaa : Type::A].emplace_back(
        reinterpret_cast<const char*>(parsed->octets.data()), parsed->v6 ? 16 : 4);
}

void DnsServer::add_alias(const std::string& name, const std::string& target) {
    const std::lock_guard lock(mutex_);
    names_[name].rdata[Type::Cname] = {target};
}

void DnsServer::add_txt(const std::string& name, const std::vector<std::string>& strings) {
    std::string rdata;
    for (const auto& text : strings) rdata += static_cast<char>(text.size()) + text;
    add_record(name, Type::Txt, rdata);
}

void DnsServer::add_record(const std::string& name, Type type, const std::string& rdata) {
    const std::lock_guard lock(mutex_);
    names_[name].rdata[type].push_back(rdata);
}

void DnsServer::add_name(const std::string& name) {
    const std::lock_guard lock(mutex_);
    names_[name];
}

void DnsServer::set_behaviour(const std::string& name, Behaviour behaviour) {
    for (const auto type : {Type::A, Type::Cname, Type::Mx, Type::Txt, Type::Aaaa, Type::Tlsa})
        set_behaviour(name, type, behaviour);
}

void DnsServer::set_behaviour(const std::string& name, Type type, Behaviour behaviour) {
    const std::lock_guard lock(mutex_);
    names_[name].behaviour[type] = behaviour;
}

void DnsServer::set_ttl(std::uint32_t seconds) {
    const std::lock_guard lock(mutex_);
    ttl_ = seconds;
}

void DnsServer::clear(const std::string& name) {
    const std::lock_guard lock(mutex_);
    names_.erase(name);
}

std::size_t DnsServer::queries(const std::string& name, Type type) const {
    const std::lock_guard lock(mutex_);
    const auto found = queries_.find({name, type});
    return found == queries_.end() ? 0 : found->second;
}

std::size_t DnsServer::tcp_queries() const {
    const std::lock_guard lock(mutex_);
    return tcp_queries_;
}

void DnsServer::run() {
    while (true) {
        pollfd watched[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {stop_, POLLIN, 0}};
        if (::poll(watched, 3, -1) < 0) continue;
        if (watched[2].revents != 0) return;
        if (watched[0].revents != 0) answer_udp();
        if (watched[1].revents != 0) answer_tcp();
    }
}

void DnsServer::answer_udp() {
    char buffer[4096];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const auto got = ::recvfrom(udp_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0) return;
    const auto reply = answer(std::string(buffer, static_cast<std::size_t>(got)), false);
    if (reply.empty()) return;
    static_cast<void>(!::sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&from), size));
}

// One query per connection, which is what a resolver sends after a truncated answer.
void DnsServer::answer_tcp() {
    const int connection = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    const timeval limit{.tv_sec = 2, .tv_usec = 0};
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::string length(2, '\0');
    if (::recv(connection, length.data(), 2, MSG_WAITALL) == 2) {
        std::string query(get16(length, 0), '\0');
        if (::recv(connection, query.data(), query.size(), MSG_WAITALL) == static_cast<ssize_t>(query.size())) {
            const auto reply = answer(query, true);
            std::string framed;
            put16(framed, static_cast<unsigned>(reply.size()));
            framed += reply;
            if (!reply.empty()) static_cast<void>(!::send(connection, framed.data(), framed.size(), MSG_NOSIGNAL));
        }
    }
    ::close(connection);
}

void DnsServer::append_records(std::string& out, const Name& name, const std::string& owner, Type type,
                               unsigned& count) const {
    if (const auto alias = name.rdata.find(Type::Cname); alias != name.rdata.end()) {
        const auto& target = alias->second.front();
        put_record(out, owner, static_cast<std::uint16_t>(Type::Cname), ttl_, wire_name(target));
        ++count;
        const auto found = names_.find(target);
        if (found != names_.end() && target != owner) append_records(out, found->second, target, type, count);
        return;
    }
    const auto records = name.rdata.find(type);
    if (records == name.rdata.end()) return;
    for (const auto& rdata : records->second) {
        put_record(out, owner, static_cast<std::uint16_t>(type), ttl_, rdata);
        ++count;
    }
}

std::string DnsServer::answer(const std::string& query, bool is_tcp) {
    if (query.size() < kHeaderOctets + 5) return {};
    std::string name;
    std::size_t at = kHeaderOctets;
    while (at < query.size() && query[at] != 0) {
        const auto length = static_cast<std::uint8_t>(query[at]);
        if (at + 1 + length >= query.size()) return {};
        if (!name.empty()) name += '.';
        name += to_ascii_lower(std::string_view(query).substr(at + 1, length));
        at += 1u + length;
    }
    if (at + 5 > query.size()) return {};
    const auto type = static_cast<Type>(get16(query, at + 1));
    const auto question = query.substr(kHeaderOctets, at + 5 - kHeaderOctets);

    const std::lock_guard lock(mutex_);
    ++queries_[{name, type}];
    if (is_tcp) ++tcp_queries_;
    const auto found = names_.find(name);
    auto behaviour = Behaviour::Answer;
    if (found != names_.end()) {
        const auto set = found->second.behaviour.find(type);
        if (set != found->second.behaviour.end()) behaviour = set->second;
    }
    if (behaviour == Behaviour::Silent) return {};

    std::string records;
    unsigned answers = 0, authorities = 0;
    unsigned rcode = 0;
    const bool truncated = behaviour == Behaviour::TruncateUdp && !is_tcp;
    if (behaviour == Behaviour::ServFail) rcode = 2;
    else if (found == names_.end()) rcode = 3;
    else if (!truncated) append_records(records, found->second, name, type, answers);
    if (rcode != 2 && answers == 0 && !truncated) {
        std::string soa = wire_name("ns.invalid") + wire_name("root.invalid");
        for (const std::uint32_t value : {1u, 3600u, 600u, 86400u, ttl_}) put32(soa, value);
        put_record(records, "", kSoa, ttl_, soa);
        authorities = 1;
    }
    std::string out = query.substr(0, 2);
    put16(out, 0x8180u | (truncated ? 0x0200u : 0u) | rcode);  // response, recursion desired and available
    put16(out, 1);
    put16(out, answers);
    put16(out, authorities);
    put16(out, 0);
    return out + question + records;
}

}  // namespace postfleet::support
