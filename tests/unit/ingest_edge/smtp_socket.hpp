// SmtpSocket: a blocking client socket for tests; whatever fails, or takes too long, aborts (Catch is not made for several threads).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/base/network.hpp"

namespace postfleet::ingest {

class SmtpSocket final {
public:
    explicit SmtpSocket(const Endpoint& server);
    ~SmtpSocket();
    SmtpSocket(const SmtpSocket&) = delete;
    SmtpSocket& operator=(const SmtpSocket&) = delete;

    void send(std::string_view octets);
    // As much as the socket takes now.
    std::size_t send_some(std::string_view octets);
    // Up to and with the next line that ends with `end` (the last line of a reply).
    std::string read_line();
    // Lines until one with a space behind its code.
    std::string read_reply();
    std::string ask(std::string_view line);  // send, CRLF, read_reply
    // What is left until the server closes; "reset" at the end if it closed the hard way.
    std::string read_to_end();
    void end();  // sends no more, and goes on reading
    void close();

private:
    bool fill();
    int fd_ = -1;
    bool reset_ = false;
    std::string input_;
};

}  // namespace postfleet::ingest
