// Dialogue: a conversation of tests/corpus/smtp_dialogues (its README has the form), ready to be replayed.
#pragma once

#include <string>
#include <vector>

#include "postfleet/mail/reply.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "postfleet/support/scripted_policy.hpp"

namespace postfleet::smtp {

struct Dialogue {
    struct Step {
        enum class Kind { Client, Server, Resume, Secured, Closed };
        Kind kind = Kind::Client;
        std::string octets;  // Client: one write; Server: exactly what is answered
        Reply answer;        // Resume; text "accept": without a reply of its own
        int line = 0;
    };

    std::string name;
    ServerSettings settings;
    Decision connection;
    bool one_write = false;
    bool xclient = false;
    std::vector<Step> steps;
    std::vector<support::ScriptedPolicy::Taken> messages;  // envelope and content only

    static Dialogue read(const std::string& path);
    static std::vector<Dialogue> read_all();
};

// "\r\n\0\\\x41\*3;x" → octets
std::string unescape(const std::string& text);

}  // namespace postfleet::smtp
