// What large providers really answer, by name, for tests of how a sender reacts.
//
// The texts are as the providers publish or send them, with {ip} and {recipient} as placeholders and
// documentation names for their hosts. A table of constants. Threads: immutable.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sink_rules.hpp"

namespace postfleet::tools {

struct ProviderReply {
    std::string_view name;
    SinkPhase phase;         // where the provider says it; for named recipients
    std::string_view lines;  // separated by LF
};

std::span<const ProviderReply> provider_replies();
const ProviderReply* find_provider_reply(std::string_view name);

// Lines as on the wire, with the placeholders filled in.
std::string render_reply(std::string_view lines, const SinkFacts& facts);

}  // namespace postfleet::tools
