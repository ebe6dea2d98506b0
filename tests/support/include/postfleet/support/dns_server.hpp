// DnsServer: a name server on 127.0.0.1 that answers from a table and counts what it is asked (RFC 1035).
//
// UDP and TCP on the same port, which the system chooses. A name that is not in the table does not exist; a
// name without records of the type asked for answers NODATA. Negative answers carry a SOA, so that resolvers
// keep them. Behaviour can be set per name, for all types.
//
// Threads: thread-safe; one thread of its own answers.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "postfleet/base/network.hpp"

namespace postfleet::support {

class DnsServer {
public:
    enum class Type : std::uint16_t { A = 1, Cname = 5, Mx = 15, Txt = 16, Aaaa = 28, Tlsa = 52 };
    enum class Behaviour {
        Answer,
        ServFail,
        Silent,       // no answer at all
        TruncateUdp,  // the answer comes over TCP only
    };

    DnsServer();
    ~DnsServer();
    DnsServer(const DnsServer&) = delete;
    DnsServer& operator=(const DnsServer&) = delete;

    Endpoint endpoint() const { return endpoint_; }

    // Names are in lower case, without a trailing dot.
    void add_mx(const std::string& name, std::uint16_t preference, const std::string& host);  // host "": null MX
    void add_address(const std::string& name, const std::string& address);                    // A or AAAA
    void add_alias(const std::string& name, const std::string& target);
    void add_txt(const std::string& name, const std::vector<std::string>& strings);  // one record
    void add_record(const std::string& name, Type type, const std::string& rdata);   // as on the wire
    void add_name(const std::string& name);  // exists, without records
    void set_behaviour(const std::string& name, Behaviour behaviour);
    void set_behaviour(const std::string& name, Type type, Behaviour behaviour);
    void set_ttl(std::uint32_t seconds);
    void clear(const std::string& name);

    std::size_t queries(const std::string& name, Type type) const;
    std::size_t tcp_queries() const;

private:
    struct Name {
        std::map<Type, std::vector<std::string>> rdata;
        std::map<Type, Behaviour> behaviour;
    };
    void run();
    void answer_udp();
    void answer_tcp();
    // Empty: silence.
    std::string answer(const std::string& query, bool is_tcp);
    void append_records(std::string& out, const Name& name, const std::string& owner, Type type, unsigned& count) const;

    Endpoint endpoint_;
    int udp_ = -1, tcp_ = -1, stop_ = -1;
    mutable std::mutex mutex_;
    std::map<std::string, Name> names_;
    std::map<std::pair<std::string, Type>, std::size_t> queries_;
    std::size_t tcp_queries_ = 0;
    std::uint32_t ttl_ = 300;
    std::thread thread_;
};

}  // namespace postfleet::support
