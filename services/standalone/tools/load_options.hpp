// LoadOptions: what `postfleet load` sends, how fast, and what it checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::tools {

struct SizeShare {
    std::uint32_t octets = 10 * 1024;  // header and body, with line ends
    std::uint32_t weight = 1;
};

// TLS: none, after STARTTLS, or from the first octet on. The server's certificate is not looked at.
enum class LoadTls : std::uint8_t { None, Starttls, Implicit };

struct LoadOptions {
    Endpoint target;
    std::vector<IpAddress> sources;  // bound in turn, session by session; empty: the system chooses
    unsigned threads = 1;
    unsigned sessions = 20;           // concurrent connections, over all threads
    std::uint64_t messages = 10'000;  // 0: no limit but the duration
    Duration duration{};              // 0: no limit but the number
    double rate = 0;                  // messages per second, evenly paced; 0: as fast as it goes
    std::vector<SizeShare> sizes{{}};
    std::uint32_t recipients = 1;               // per message
    std::uint32_t messages_per_connection = 0;  // 0: as many as there are
    bool pipelining = true;                     // where the server offers it
    LoadTls tls = LoadTls::None;                // a full handshake for every connection
    std::uint32_t retries = 0;                  // of a message that got 4xx or lost its connection
    Duration retry_after = std::chrono::seconds(1);
    Duration patience = std::chrono::seconds(30);  // without any reply from the server, then it gives up

    // "%d" counts: in the local part modulo users, in the domain modulo domains.
    std::string from = "sender%d@src%d.test";
    std::string to = "user%d@dest%d.test";
    std::uint64_t from_users = 1, from_domains = 1;
    std::uint64_t users = 1'000'000, domains = 10;
    bool spread_recipients = false;  // the recipients of a message are in different domains
    std::string helo = "load.test";
    std::vector<std::string> headers;  // "X-Job: spring", added to each message
    std::string run_id;                // part of X-Load-Id; empty: from the clock

    std::optional<Endpoint> sink;  // end-to-end: run a sink there and match what arrives
    unsigned sink_threads = 1;
    std::vector<std::string> sink_rules;
    Duration wait = std::chrono::seconds(30);  // for the last messages to arrive, since the last one that did

    bool progress = false;
    bool json = false;
};

}  // namespace postfleet::tools
