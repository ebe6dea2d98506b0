// ScriptedPolicy: a ServerPolicy that writes down what it is asked and answers by the local part:
//
//   refuse-mail@, refuse@    550          busy@       421 (closes)
//   later@                   wait; the test calls ServerSession::resume()
//   XCLIENT                  offered where `xclient` is set; NAME=busy is 421, NAME=refuse is 550
//   AUTH TEST                334 for each line; "good" is taken, "*" is 501, everything else 535
//   a message whose header has "X-Refuse:" is refused at on_header, "X-Later:" waits at the end of data
//
// Every accepted message is kept with its content put together from chunks; in parts (XPRT) each has "number:" in front,
// and its recipients' variables stand behind them, as ";name=value". Threads: confined.
#pragma once

#include <string>
#include <vector>

#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::support {

class ScriptedPolicy final : public smtp::ServerPolicy {
public:
    struct Taken {
        std::string reverse_path;
        std::vector<std::string> recipients;
        std::string content;
        std::uint32_t chunks = 1;
        bool has_leading_dots = false;
        bool has_eight_bit = false;
        friend bool operator==(const Taken&, const Taken&) = default;
    };

    smtp::Decision connection;  // what on_connection answers
    smtp::Decision starttls;    // and STARTTLS
    bool chunks_wait = false;
    bool xclient = false;
    std::vector<Taken> messages;
    std::vector<smtp::Refusal> refusals;
    std::vector<std::size_t> chunk_sizes;
    unsigned abandoned = 0;

    smtp::Decision on_connection() override { return connection; }
    smtp::Decision on_starttls() override { return starttls; }
    bool offers_xclient() const override { return xclient; }
    smtp::Decision on_xclient(smtp::XclientRequest&& request) override;
    smtp::Decision on_auth(smtp::AuthRequest&& request) override;
    smtp::Decision on_auth_line(std::string_view line) override;
    smtp::Decision on_mail(smtp::MailRequest&& request) override;
    smtp::Decision on_rcpt(smtp::RcptRequest&& request) override;
    smtp::Decision on_header(std::string& content) override;
    smtp::Decision on_chunk(SharedOctets chunk, std::uint32_t number) override;
    smtp::Decision on_end_of_data(smtp::ContentEnd&& end) override;
    void on_abandoned() override;
    void on_refusal(smtp::Refusal refusal) override { refusals.push_back(refusal); }

private:
    smtp::Decision by_local_part(std::string_view local_part) const;

    Taken open_;
    bool later_ = false;
};

}  // namespace postfleet::support
