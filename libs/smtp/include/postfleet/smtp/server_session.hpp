// ServerSession: the server side of one SMTP connection (RFC 5321 §3, §4; PIPELINING RFC 2920, SIZE
// RFC 1870, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461, CHUNKING RFC 3030, ENHANCEDSTATUSCODES RFC 2034,
// STARTTLS RFC 3207, AUTH RFC 4954, LIMITS RFC 9422; where the settings say so REQUIRETLS RFC 8689, mail merge; to whom
// settings and policy say so FUTURERELEASE RFC 4865, DELIVERBY RFC 2852, MT-PRIORITY RFC 6710).
//
// Sans-IO: never touches a socket, a clock or a file. The driver feeds octets in, writes out what was
// appended to `out` (once per turn, so pipelined commands share one write), and asks wants_input().
//
//   Opening ─220▶ Start ─EHLO▶ Ready ─MAIL▶ Mail ─RCPT▶ Rcpt ─DATA▶ Body ─CRLF.CRLF▶ Ready
//                                      Rcpt ─BDAT▶ Chunk ▶ BetweenChunks ─BDAT▶ Chunk … ─LAST▶ Ready
//      └─554▶ Refused (QUIT only)   RSET, EHLO, HELO: back to Ready        any ─QUIT, 421▶ Closed
//   Ready ─XMRG▶ Mail ─XDFN, RCPT▶ Rcpt ─XPRT▶ Body ─CRLF.CRLF▶ BetweenParts ─XPRT▶ Body … ─LAST▶ Ready
//   Ready ─AUTH, 334▶ Auth ─response, 235 or 5xx▶ Ready
//   Start, Ready ─XCLIENT, 220▶ Start: as if the client that was named had just connected (TLS stays)
//   Ready ─STARTTLS, 220▶ Securing ─secured()▶ Start: everything the client said before is forgotten
//
// In Securing the driver sends what is in `out` and puts TLS over the connection; the session takes nothing
// until secured(). Octets behind STARTTLS in the clear are an injection and end the connection (RFC 3207 §5,
// CVE-2011-0411).
//
// What may be said in which state is a table (server_session.cpp): one row per verb. A question that the
// policy answers later holds the session where it is; input that is already here waits in the session, and
// the driver stops reading. Commands are parsed in place; an idle session holds no buffer.
//
// The octets that BDAT announces are read whatever becomes of them, and answered behind the last one (RFC 3030 §2): never
// is a part of a message taken for a command. A BDAT whose size cannot be read closes the connection for that reason.
//
// XMRG, XDFN, XPRT and XACK are PowerMTA's mail merge (docs/MAIL_MERGE.md). After XACK OFF nothing is said to RCPT and
// XDFN; the first refusal is the answer to what comes behind them, and ends the transaction.
//
// The settings are borrowed and may be replaced between transactions (use()).
// Threads: confined to its driver. Units: octets. Errors: none; whatever the peer does wrong is a reply.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/mail/message.hpp"
#include "postfleet/smtp/command.hpp"
#include "postfleet/smtp/data_scanner.hpp"
#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::smtp {

struct ServerSettings {
    std::string hostname;  // greeting and EHLO reply
    LineEndPolicy line_ends = LineEndPolicy::Strict;
    std::uint64_t max_message_octets = 50ull << 20;
    std::uint32_t max_recipients = 1000;
    std::uint32_t max_messages = UINT32_MAX;  // per connection
    ScheduleOffer schedule;                   // to everybody, unless the policy knows better
    bool offers_require_tls = false;          // REQUIRETLS, once the connection is secured
    bool offers_merge = false;                // XMRG, XACK, VERP
    std::uint32_t max_errors = 20;            // without a message accepted in between
    std::uint32_t max_unknown_commands = UINT32_MAX;
    std::uint32_t max_idle_commands = UINT32_MAX;  // NOOP and the like, without a message accepted in between
    // 512 (RFC 5321 §4.5.3.1.4) and what the parameters of extensions add to MAIL and RCPT.
    std::uint32_t max_command_octets = 2048;
    std::string auth_mechanisms;  // "SCRAM-SHA-256 PLAIN"; empty: no AUTH
    bool auth_without_tls = false;
    bool auth_binds_channel = false;  // SCRAM-SHA-256-PLUS before them, over TLS
    bool offers_starttls = false;     // as long as the connection is not secured
};

class ServerSession final {
public:
    enum class State : std::uint8_t {
        Opening,
        Start,
        Ready,
        Mail,
        Rcpt,
        Body,
        Chunk,
        BetweenChunks,
        BetweenParts,
        Refused,
        Securing,
        Auth,
        Closed
    };

    // What the driver waits for, to choose a deadline.
    enum class Waiting : std::uint8_t { Decision, Command, Content, Handshake, Nothing };

    ServerSession(const ServerSettings& settings, ServerPolicy& policy);
    ~ServerSession();
    ServerSession(const ServerSession&) = delete;
    ServerSession& operator=(const ServerSession&) = delete;

    // Once, before anything else.
    void open(std::string& out);
    // What arrived. All of it is taken.
    void receive(std::string_view octets, std::string& out);
    // The answer to the question that the policy left open. A bug if there is none.
    void resume(Decision decision, std::string& out);
    // Shutting down: closes with 421 now if no transaction is open, else right after it.
    void drain(std::string& out);
    // The session has lasted too long: closes with 421 if no transaction is open.
    void expire(std::string& out);
    // The client has been silent for too long, or is too slow: closes with 421. Not while a question is open.
    void time_out(std::string& out);
    // Shutting down and out of time: closes with 421, in a transaction too, unless a question is open.
    void shut_down(std::string& out);
    // The connection is gone: an open transaction is abandoned.
    void lose();
    void use(const ServerSettings& settings) { settings_ = &settings; }
    // TLS is up: after STARTTLS, or before open() where the connection began with it.
    void secured();

    State state() const { return state_; }
    Waiting waiting_for() const;
    bool wants_input() const {
        return question_ == Question::None && state_ != State::Closed && state_ != State::Securing;
    }
    bool wants_tls() const { return state_ == State::Securing; }
    bool is_secured() const { return secured_; }
    bool is_closed() const { return state_ == State::Closed; }
    bool is_in_transaction() const { return in_transaction_; }
    bool said_quit() const { return said_quit_; }  // closed because the client asked
    // Input that waits in here. While there is some, the driver stops reading.
    std::size_t unread_octets() const { return wants_input() ? 0 : rest_.size(); }

    const std::string& hello_name() const { return hello_name_; }
    bool is_extended() const { return extended_; }                     // EHLO, not HELO
    std::uint64_t commands() const { return commands_; }               // lines taken so far
    std::uint64_t content_octets() const { return received_octets_; }  // of the open message
    std::uint32_t messages() const { return messages_; }               // accepted on this connection
    std::uint32_t errors() const { return errors_; }                   // without a message accepted in between

private:
    enum class Question : std::uint8_t { None, Connection, Auth, Mail, Rcpt, Chunk, EndOfData };
    struct Rule;
    struct Merge;
    static const Rule kRules[];

    std::size_t process(std::string_view input, std::string& out);
    std::size_t take_line(std::string_view input, std::string& out);
    std::size_t drop_long_line(std::string_view input, std::string& out);
    std::size_t take_chunk(std::string_view input, std::string& out);
    std::size_t take_content(std::string_view input, std::string& out);
    void run(std::string_view line, std::string& out);
    void run_command(const Command& command, std::string& out);
    void process_rest(std::string& out);

    void ehlo(std::string_view argument, std::string& out);
    void helo(std::string_view argument, std::string& out);
    void mail(std::string_view argument, std::string& out);
    void rcpt(std::string_view argument, std::string& out);
    void data(std::string_view argument, std::string& out);
    void bdat(std::string_view argument, std::string& out);
    void rset(std::string_view argument, std::string& out);
    void noop(std::string_view argument, std::string& out);
    void quit(std::string_view argument, std::string& out);
    void starttls(std::string_view argument, std::string& out);
    void auth(std::string_view argument, std::string& out);
    void xclient(std::string_view argument, std::string& out);
    void xmrg(std::string_view argument, std::string& out);
    void xdfn(std::string_view argument, std::string& out);
    void xprt(std::string_view argument, std::string& out);
    void xack(std::string_view argument, std::string& out);
    void vrfy(std::string_view argument, std::string& out);
    void help(std::string_view argument, std::string& out);
    void switched_off(std::string_view argument, std::string& out);
    void foreign(std::string_view argument, std::string& out);
    void unknown(std::string_view argument, std::string& out);

    void greet(Decision&& decision, std::string& out);
    void finish_auth(Decision&& decision, std::string& out);
    void finish_mail(Decision&& decision, std::string& out);
    void finish_rcpt(Decision&& decision, std::string& out);
    void finish_chunk(Decision&& decision, std::string& out);
    void finish_data(Decision&& decision, std::string& out);
    void begin_mail(std::string_view argument, std::string& out);
    void begin_content(Framing framing);
    void end_of_content(std::string& out);
    void end_of_part(std::string& out);
    void end_of_chunk(std::string& out);
    void end_of_data(std::string& out);
    void reserve_content(std::size_t arriving);
    void check_content();
    void check_line_ends();
    void refuse_too_big();
    bool is_far_too_much() const;
    std::string_view misplaced_chunk() const;
    void refuse_content(Reply reply);
    void release_content();
    bool inspect_header();
    void send_chunk();

    bool is_merging() const;
    void refuse_line(Refusal refusal, std::string_view reply, std::string& out);
    bool answer_withheld(std::string& out);
    void withhold(std::size_t from, std::string& out);
    void end_merge();

    std::size_t line_limit(std::string_view input) const;
    bool offers_auth() const;
    void say_hello(std::string_view name, bool extended);
    void abandon();
    void answer_refusal(const Reply& reply, std::string& out);
    void mistake(Refusal refusal, std::string_view reply, std::string& out);
    void close_with(std::string_view reply, std::string& out);
    void say_goodbye(Refusal refusal, std::string_view status, std::string_view why, std::string& out);
    void count_error(std::string& out);
    void count_idle(std::string& out);
    bool follows_refused_mail(Verb verb);

    const ServerSettings* settings_;
    ServerPolicy& policy_;
    State state_ = State::Opening;
    Question question_ = Question::None;
    bool extended_ = false;
    bool secured_ = false;
    bool authenticated_ = false;
    bool in_transaction_ = false;
    bool mail_refused_ = false;  // and what was pipelined behind it is no mistake
    bool draining_ = false;
    bool said_quit_ = false;
    bool dropping_line_ = false;
    bool dropped_cr_ = false;  // the last octet dropped was a CR
    bool header_inspected_ = false;
    std::size_t unread_octets_ = 0;               // behind the line that is being run
    Mailbox::Utf8 utf8_ = Mailbox::Utf8::Refuse;  // of the open transaction: SMTPUTF8
    std::uint32_t recipients_ = 0;
    std::uint32_t refused_recipients_ = 0;
    std::uint32_t errors_ = 0;
    std::uint32_t unknown_commands_ = 0;
    std::uint32_t idle_commands_ = 0;
    std::uint32_t messages_ = 0;
    std::uint64_t commands_ = 0;

    DataScanner scanner_{LineEndPolicy::Strict};
    std::uint64_t declared_octets_ = 0;
    std::uint64_t received_octets_ = 0;
    std::uint32_t chunks_sent_ = 0;  // to the policy
    // BDAT
    std::uint64_t chunk_left_ = 0;  // octets still to come
    bool chunk_is_last_ = false;
    std::string_view chunk_misplaced_;  // what to answer behind a chunk that must not be here; else empty
    State before_chunk_ = State::Ready;
    bool content_ended_ = false;  // while a question about a chunk is open
    std::optional<Reply> content_refusal_;
    std::string content_;  // of the chunk that is being filled
    std::string rest_;     // input that could not be run yet
    std::string hello_name_;
    std::unique_ptr<Merge> merge_;  // null: neither XMRG nor XACK was said
};

}  // namespace postfleet::smtp
