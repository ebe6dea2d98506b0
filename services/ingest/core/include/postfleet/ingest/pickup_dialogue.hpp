// PickupDialogue: a pickup file that is written as an SMTP client would speak (BSMTP): HELO or EHLO, MAIL or XMRG, RCPT,
// DATA or XPRT, one message, perhaps QUIT. It feeds a ServerSession line by line, so that nothing comes before its turn.
//
// Lines end in LF or CRLF. Before the line that ends the message is said, the file must have come to its end: what stands
// behind it could not be refused any more.
// Threads: confined to its transaction. Units: octets. Errors: texts for whoever wrote the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/smtp/server_session.hpp"

namespace postfleet::ingest {

// Whether a file that begins like this is a dialogue.
bool begins_dialogue(std::string_view first_line);

class PickupDialogue final {
public:
    PickupDialogue(smtp::ServerSession& session, std::uint64_t file_octets) : session_(session), left_(file_octets) {}

    void take(std::string_view octets);
    // Says what can be said. A text: why the file is bad; `may_try_again` if it may not be, later.
    std::optional<std::string> go_on(bool& may_try_again);
    bool is_accepted() const { return session_.messages() > 0; }

private:
    std::optional<std::string> check_command(std::string_view line);
    std::optional<std::string> check_end(std::string_view behind) const;
    std::optional<std::string> say(std::string_view line, bool& may_try_again);

    smtp::ServerSession& session_;
    std::uint64_t left_;  // of the file, still to come
    std::string rest_;    // not said yet
    bool ends_message_ = false;
};

}  // namespace postfleet::ingest
