// A hostile server: everything it says goes to a client session, whole and octet by octet. The session never hangs,
// never spins, writes nothing but commands of ours, and gives every recipient an answer.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/require.hpp"
#include "postfleet/smtp/client_session.hpp"

using namespace postfleet;

namespace {

constexpr std::string_view kAnswer = "dXNlcg==";

struct Driver {
    explicit Driver(bool pipelining) : session({.ehlo_name = "out.test", .pipelining = pipelining}) {
        for (int i = 0; i < 3; ++i) recipients.emplace_back().address = "r" + std::to_string(i) + "@x.test";
    }

    void feed(std::string_view octets) {
        while (!octets.empty() && !session.is_closed()) {
            const std::size_t before = octets.size();
            const auto step = session.on_octets(octets, out);
            require(octets.size() < before || step == smtp::ClientSession::Step::Closed);
            switch (step) {
                case smtp::ClientSession::Step::Wait: break;
                case smtp::ClientSession::Step::Ready: wants_work = true; break;
                case smtp::ClientSession::Step::Handshake: session.secured(out); break;
                case smtp::ClientSession::Step::Challenge: session.answer(kAnswer, out); break;
                case smtp::ClientSession::Step::SendBody: session.body_written(); break;
                case smtp::ClientSession::Step::TransactionDone:
                    check_result();
                    wants_work = true;
                    break;
                case smtp::ClientSession::Step::Closed: break;
            }
        }
        if (session.is_closed() || !wants_work) return;
        wants_work = false;
        if (session.capabilities().starttls && !session.is_secured() && session.replies() == 2) {
            session.start_tls(out);
            return;
        }
        if (session.is_secured() && session.capabilities().auth_login && !session.is_authenticated()) {
            session.authenticate("LOGIN", "", out);
            return;
        }
        const smtp::ClientTransaction transaction{
            .reverse_path = "from@a.test", .recipients = recipients, .size_octets = 1000, .chunk_octets = 1000};
        const auto step = session.begin(transaction, out);
        require((step == smtp::ClientSession::Step::SendBody) ==
                (session.is_chunked() && step != smtp::ClientSession::Step::TransactionDone));
        if (step == smtp::ClientSession::Step::TransactionDone) check_result();
    }

    void end() {
        session.on_lost("connection lost");
        require(session.is_closed());
        if (session.has_transaction()) check_result();
        for (std::string_view rest = out; !rest.empty();) {
            const std::size_t end_of_line = rest.find("\r\n");
            require(end_of_line != std::string_view::npos);
            const std::string_view line = rest.substr(0, end_of_line);
            require(line.starts_with("EHLO ") || line.starts_with("HELO ") || line.starts_with("MAIL FROM:<") ||
                    line.starts_with("RCPT TO:<") || line == "DATA" || line == "STARTTLS" || line == "RSET" ||
                    line == "." || line == "BDAT 1000 LAST" || line == "AUTH LOGIN" || line == kAnswer);
            rest.remove_prefix(end_of_line + 2);
        }
    }

    void check_result() {
        const smtp::TransactionResult result = session.take_result();
        require(result.refused.size() <= recipients.size());
        std::uint32_t next = 0;
        for (const auto& refusal : result.refused) {
            require(refusal.position >= next && refusal.position < recipients.size());
            next = refusal.position + 1;
            require(refusal.reply.text.size() <= kMaxReplyText);
        }
        require(result.reply.text.size() <= kMaxReplyText);
        if (result.refused.size() == recipients.size()) return;
        require(result.phase >= SmtpPhase::Mail && result.phase <= SmtpPhase::EndOfData);
        require(result.reply.code != 0 || !result.reply.text.empty());
    }

    smtp::ClientSession session;
    std::vector<Recipient> recipients;
    std::string out;
    bool wants_work = false;
};

}  // namespace

void fuzz_smtp_client(std::span<const std::byte> input) {
    const std::string_view octets(reinterpret_cast<const char*>(input.data()), input.size());
    for (const bool pipelining : {true, false}) {
        Driver whole(pipelining);
        whole.feed(octets);
        whole.end();
        Driver pieces(pipelining);
        for (std::size_t at = 0; at < octets.size(); ++at) pieces.feed(octets.substr(at, 1));
        pieces.end();
    }
}
