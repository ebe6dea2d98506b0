// SinkOptions: what `postfleet sink` listens on, answers, keeps and counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/network.hpp"

namespace postfleet::tools {

struct SinkOptions {
    std::vector<Endpoint> listen;  // port 0: any free one
    unsigned threads = 1;
    std::string hostname = "sink.test";

    // What EHLO offers.
    bool pipelining = true;
    bool chunking = false;
    bool eight_bit = true;
    bool enhanced_status = true;
    std::uint64_t max_message_size = 64ull << 20;  // 0: SIZE is not offered and nothing is refused for it

    std::uint32_t max_connections = UINT32_MAX;  // beyond it: 421 and close
    std::uint32_t max_recipients = 10'000;       // per transaction, beyond it: 452
    std::uint64_t quit_after = 0;                // messages; 0: never
    std::uint64_t seed = 1;                      // of probabilities and garbage

    std::string provider;             // whose limits and words; empty: nobody's (see sink_provider.hpp)
    std::vector<std::string> limits;  // of the provider, where they are to be others

    std::vector<std::string> rules;  // see sink_rules.hpp
    std::string rules_file;
    bool named_recipients = true;  // bounce@, defer-2@, slow@ … (see sink_rules.hpp)

    std::string store_dir;    // one file per message, and envelopes.jsonl
    std::string store_file;   // one JSON line per message
    std::string record_file;  // one JSON line per connect, close, RCPT, DATA … with microseconds
    std::string count_file;   // the number of accepted messages, synced every second and at the end
    std::string id_header;    // counts lost and duplicate messages by this header

    bool print = false;     // a line per message
    bool progress = false;  // a line per second on standard error
    bool json = false;      // the summary
};

}  // namespace postfleet::tools
