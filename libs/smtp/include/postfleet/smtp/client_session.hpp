// ClientSession: the client side of one SMTP connection (RFC 5321 §3, §4.1; PIPELINING RFC 2920, SIZE
// RFC 1870, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461, STARTTLS RFC 3207, AUTH RFC 4954).
//
// Sans-IO: never touches a socket, a clock or a file. The driver feeds octets in, writes out what was
// appended to `out` (once per turn), and carries out the Step it gets back, so any dialogue can be replayed
// in a unit test.
//
//   Greeting ─220▶ Ehlo ─250▶ Ready        Ehlo ─5xx▶ Helo ─250▶ Ready
//   Ready ─start_tls▶ StartTls ─220▶ Handshake ─secured▶ Ehlo        StartTls ─4xx, 5xx▶ Closed
//   Handshake ─secured▶ Greeting, when TLS comes first (RFC 8314)
//   Ready ─authenticate▶ Auth ─334▶ Challenge, answer … ─235▶ Ehlo      Auth ─4xx, 5xx▶ Closed
//   Ready ─begin▶ [Reset ▶] Mail ▶ Rcpt… ▶ Data ─354▶ Body ─body_written▶ EndOfData ▶ Ready
//   Ready ─begin▶ Mail ▶ Rcpt… ▶ EndOfData ▶ Ready, the message in one chunk behind its envelope (CHUNKING RFC 3030)
//   Ready ─quit▶ Quit ▶ Closed              any ─421, garbage, loss▶ Closed
//
// Goes back only through Ready. RSET is sent lazily, in front of the next MAIL, after a transaction that did
// not run to its end. With PIPELINING, [RSET] MAIL RCPT… DATA is one write; when every RCPT was refused and
// DATA gets 354 all the same, a lone "." ends it and its reply is ignored.
//
// A chunk is sent before anybody has said 250 to its recipients. So only messages go that way which the driver calls
// small, over a connection that took all of the message before; the next one after a refusal goes by DATA. A server that
// gets a chunk without a recipient throws it away (RFC 3030 §2), and RSET comes next.
//
// A loss in EndOfData, or after a chunk, leaves the outcome unknown. A 421 closes in every state, and is the answer for every
// recipient that has none of its own. Replies that nobody asked for (an early talker, one that is out of
// step) close, too; the transaction ends as Ending::Garbage. When replies to a pipelined envelope are missing or too
// many, nobody knows which of them was to which RCPT, and no refusal is believed.
//
// STARTTLS comes before the first transaction or never. Octets behind its 220 were put there by somebody in between
// and close the connection (CVE-2011-0411). What the server offered in clear is forgotten. A refusal closes.
//
// AUTH is for secured connections. What the server offers afterwards may be more (RFC 9422), so EHLO comes again; a
// server that will not answer it twice keeps what it has offered.
//
// The spans and views of a transaction are borrowed until it has ended. Threads: confined to its driver.
// Errors: none; whatever the peer does is a Step. Calling begin() when not Ready is a bug.
// It does not keep time: phase() tells the driver which deadline to set after each complete reply.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/smtp/capabilities.hpp"
#include "postfleet/smtp/reply_parser.hpp"

namespace postfleet::smtp {

struct ClientTransaction {
    std::string_view reverse_path;          // empty: <>
    std::span<const Recipient> recipients;  // at least one
    BodyType body_type = BodyType::SevenBit;
    bool smtputf8 = false;          // the header has UTF-8; of the paths the session knows itself
    bool requires_tls = false;      // REQUIRETLS (RFC 8689): to a verified server that offers it, or not at all
    bool is_peer_verified = false;  // if that matters
    ReturnContent return_content = ReturnContent::NotGiven;
    std::string_view envelope_id;    // passed on where the server offers DSN
    std::uint64_t size_octets = 0;   // all that goes over the wire, without dot-stuffing
    std::uint64_t chunk_octets = 0;  // the same, if it may go as one chunk; 0: it may not
    // Passed on where the server offers them, and forgotten where it does not.
    std::optional<std::int8_t> mt_priority;  // RFC 6710
    std::optional<DeliverBy> deliver_by;     // RFC 2852
    WallTime now{};                          // what deliver_by.time is counted from
};

// How a transaction came to its end.
enum class Ending : std::uint8_t {
    Replied,  // the server answered; a 421 is an answer, too
    Lost,     // the connection broke or a deadline passed
    Garbage,  // the server did not follow the protocol
    Refused,  // we did not try: the server cannot take this message (SIZE, SMTPUTF8) or an address is unusable
    Aborted,  // we gave up on our side: the content could not be read
};

struct TransactionResult {
    struct Refusal {
        std::uint32_t position = 0;  // in ClientTransaction::recipients
        Reply reply;
    };
    std::vector<Refusal> refused;  // answered by RCPT's own 4xx or 5xx, in order
    // What holds for every other recipient.
    Ending ending = Ending::Replied;
    SmtpPhase phase = SmtpPhase::None;
    Reply reply;                // code 0: our own words
    bool outcome_known = true;  // false: the server may have taken it (RFC 1047)
    bool touched = false;       // the server dealt with it: answered MAIL or more, other than by 421
};

struct ClientOptions {
    std::string ehlo_name;
    bool pipelining = true;              // use it when it is offered
    bool begins_with_handshake = false;  // implicit TLS: secured() comes before the greeting
};

class ClientSession final {
public:
    enum class State : std::uint8_t {
        Greeting,
        Ehlo,
        Helo,
        StartTls,
        Handshake,
        Auth,
        Ready,
        Reset,
        Mail,
        Rcpt,
        Data,
        Body,
        EndOfData,
        Quit,
        Closed
    };

    enum class Step : std::uint8_t {
        Wait,       // nothing to do until more octets come
        Ready,      // the session is open: start_tls(), authenticate(), begin() or quit(), once the input is used up
        Handshake,  // hand the connection to TLS, then call secured()
        Challenge,  // the server wants the next line of the login: answer()
        SendBody,   // write the content: is_chunked(): as it is; else and ".\r\n", then call body_written()
        TransactionDone,  // result() tells; begin() or quit() once the input is used up, unless closed
        Closed,           // write out, shut down; result() tells if has_transaction(), else closing_reply()
    };

    explicit ClientSession(ClientOptions options)
        : options_(std::move(options)), state_(options_.begins_with_handshake ? State::Handshake : State::Greeting) {}

    // Takes octets off the front of `input`, up to the next thing to do. Call until `input` is empty.
    Step on_octets(std::string_view& input, std::string& out);

    // Ready → StartTls; before any transaction.
    void start_tls(std::string& out);
    // TLS is up: EHLO again, or the greeting comes now.
    void secured(std::string& out);
    // Ready → Auth; before any transaction, and never in clear. An empty initial response: the server asks first.
    void authenticate(std::string_view mechanism, std::string_view initial_response, std::string& out);
    void answer(std::string_view line, std::string& out);
    // Ready → a transaction. TransactionDone at once when the server cannot take it (Ending::Refused); SendBody at
    // once when it goes as a chunk.
    Step begin(const ClientTransaction& transaction, std::string& out);
    // The content and the final dot have been given to the transport.
    void body_written();
    // Ready → Quit.
    void quit(std::string& out);
    // The connection is gone; `what` says how: "connection reset". Ends an open transaction.
    void on_lost(std::string_view what);
    // A deadline passed.
    void on_timed_out();
    // We cannot finish the body; the driver drops the connection, so that the server discards what it has.
    void abort(std::string_view why);

    State state() const { return state_; }
    SmtpPhase phase() const;
    std::uint64_t replies() const { return replies_; }  // complete ones so far: a deadline is per reply
    bool is_closed() const { return state_ == State::Closed; }
    bool is_secured() const { return is_secured_; }
    bool is_authenticated() const { return is_authenticated_; }
    bool has_transaction() const { return in_transaction_; }
    bool is_chunked() const { return is_chunked_; }  // this transaction, or the last one
    const Capabilities& capabilities() const { return capabilities_; }
    bool is_pipelining() const { return options_.pipelining && capabilities_.pipelining; }

    // Moves the result of the transaction that has ended out; the transaction is forgotten.
    TransactionResult take_result();
    // Why the session closed before or between transactions, and in which phase.
    const Reply& closing_reply() const { return closing_reply_; }
    SmtpPhase closing_phase() const { return closing_phase_; }
    Ending closing_ending() const { return closing_ending_; }

private:
    Step on_reply(std::string_view rest, std::string& out);
    Step on_greeting(std::string& out);
    Step on_ehlo(std::string& out);
    Step on_helo();
    Step on_start_tls(std::string_view rest);
    Step on_auth(std::string& out);
    Step on_reset(std::string& out);
    Step on_mail(std::string& out);
    Step on_rcpt(std::string& out);
    Step on_data(std::string& out);
    Step on_end_of_data();
    void check_paths();
    bool is_refusable(const ClientTransaction& transaction);

    void write_mail(std::string& out) const;
    void write_dsn(std::string& out) const;
    void write_deliver_by(std::string& out) const;
    void write_rcpt(std::string& out, std::size_t position) const;
    void write_chunk_command(std::string& out) const;
    Step expect_end_of_recipients(std::string& out);
    bool is_for_nobody() const {
        return mail_refusal_.code != 0 || result_.refused.size() == transaction_.recipients.size();
    }
    Step end_transaction(Reply reply);
    Step close(Ending ending, Reply reply);
    void doubt_refusals();
    void write_greeting(std::string_view verb, std::string& out) const;
    bool is_out_of_step(std::string_view rest) const;
    bool is_code(int klass) const { return parser_.code() / 100 == klass; }

    ClientOptions options_;
    Capabilities capabilities_;
    ReplyParser parser_;
    State state_;
    std::uint64_t replies_ = 0;
    bool is_secured_ = false;
    bool is_authenticated_ = false;
    bool in_transaction_ = false;
    bool pipelined_ = false;   // this transaction's commands went out together
    bool is_chunked_ = false;  // and the message, too
    bool took_last_ = false;   // the transaction before this one, for every recipient
    bool needs_reset_ = false;
    bool paths_are_safe_ = true;  // no control octets
    bool paths_are_ascii_ = true;
    bool dot_only_ = false;       // every recipient was refused, yet DATA got 354
    std::uint32_t answered_ = 0;  // RCPT replies so far
    ClientTransaction transaction_;
    TransactionResult result_;
    Reply mail_refusal_;  // pipelined: MAIL was refused, the other replies are still to come
    Reply closing_reply_;
    SmtpPhase closing_phase_ = SmtpPhase::None;
    Ending closing_ending_ = Ending::Lost;
};

// "waiting for the greeting", "sending RCPT TO": completes "connection lost while …".
std::string_view doing(ClientSession::State state);

// The content with a "." put before every "." that starts a line (RFC 5321 §4.5.2). `content` starts at the
// start of a line if `at_line_start`; that is updated for the chunk that follows.
std::string stuff_dots(std::string_view content, bool& at_line_start);

}  // namespace postfleet::smtp
