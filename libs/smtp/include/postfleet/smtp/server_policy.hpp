// ServerPolicy: what the server side asks while it speaks SMTP. The protocol is ServerSession's; whether
// somebody may send, to whom, and where the message goes is decided here.
//
//   on_connection  on_auth  on_mail  on_rcpt  on_header  on_chunk  on_end_of_data
//        each answers accept, refuse (with the reply) or wait; after wait, the driver tells the session with
//        ServerSession::resume(). Until then the session reads nothing more. on_header cannot wait.
//
// A transaction starts with an accepted on_mail and ends with the decision on on_end_of_data, or with
// on_abandoned. Nothing is called for a session that is closed. No call here may call back into the session.
//
// Threads: confined with its session.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postfleet/mail/address.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/mail/reply.hpp"
#include "postfleet/smtp/xclient.hpp"

namespace postfleet::smtp {

struct Decision {
    enum class Kind : std::uint8_t { Accept, Refuse, Wait, Challenge };

    Kind kind = Kind::Accept;
    // Challenge: only in answer to on_auth and on_auth_line; the text is base64 and any length.
    // Refuse: code 4xx or 5xx; 421 also closes. Accept: code 0 leaves the wording to the session.
    Reply reply;

    static Decision accept() { return {}; }
    static Decision accept(Reply reply) { return {Kind::Accept, std::move(reply)}; }
    static Decision refuse(Reply reply) { return {Kind::Refuse, std::move(reply)}; }
    static Decision refuse(int code, EnhancedStatus enhanced, std::string text) {
        return refuse(Reply{code, enhanced, std::move(text)});
    }
    static Decision wait() { return {Kind::Wait, {}}; }
    static Decision challenge(std::string text) { return {Kind::Challenge, Reply{334, {}, std::move(text)}}; }
};

struct AuthRequest {
    std::string_view mechanism;
    std::optional<std::string_view> initial_response;
};

// When the client wants its mail sent, and how urgently.
struct MailSchedule {
    std::optional<std::chrono::seconds> hold_for;  // HOLDFOR; never with hold_until
    std::optional<WallTime> hold_until;            // HOLDUNTIL
    struct By {
        std::chrono::seconds after{0};  // Notify: may be over already
        DeliverBy::Mode mode = DeliverBy::Mode::Return;
        bool trace = false;
    };
    std::optional<By> deliver_by;
    std::optional<std::int8_t> priority;  // MT-PRIORITY
};

// What a client may ask for with MAIL about when its mail is sent.
struct ScheduleOffer {
    std::chrono::seconds max_hold{0};  // FUTURERELEASE; zero: not offered
    bool deliver_by = false;           // DELIVERBY
    bool mt_priority = false;          // MT-PRIORITY
};

struct MailRequest {
    std::string reverse_path;                // empty: <>
    std::uint64_t declared_size_octets = 0;  // SIZE=; 0: not given
    BodyType body = BodyType::SevenBit;
    std::string_view hello_name;  // of the last EHLO or HELO
    bool extended = false;        // it was EHLO
    bool smtputf8 = false;
    ReturnContent return_content = ReturnContent::NotGiven;
    std::string envelope_id;  // ENVID, decoded
    MailSchedule schedule;
    bool require_tls = false;
    bool merges = false;  // XMRG: the content comes in parts, and its recipients have variables
    bool verp = false;
};

struct RcptRequest {
    Mailbox mailbox;           // no domain: <postmaster>
    std::uint8_t notify = 0;   // kNotify… bits; 0: not given
    std::string original;      // ORCPT, decoded
    MergeVariables variables;  // XDFN; the reserved ones have a known name, and any value
};

// The end of the mail data. `last_chunk` is the only chunk of most messages.
struct ContentEnd {
    std::string last_chunk;
    std::uint32_t chunks = 1;       // with the last one
    std::uint64_t size_octets = 0;  // of all chunks
    bool has_leading_dots = false;  // some line starts with "." now
    bool has_eight_bit = false;
    std::vector<MergePart> parts;  // XPRT, one at least; none after DATA and BDAT
};

// Why the session itself refused something, or gave up. What the policy refuses it counts itself.
enum class Refusal : std::uint8_t {
    Syntax,    // a command, path or parameter that does not parse
    Sequence,  // a command at the wrong time
    UnknownCommand,
    UnknownParameter,
    LineTooLong,
    BareLineEnd,  // in a command
    PathTooLong,
    NonAsciiPath,
    DeclaredTooBig,  // MAIL SIZE=
    TooBig,          // found out in the data
    BadLineEnds,     // in the data
    NulOctet,
    TooManyRecipients,
    TooManyMessages,
    TooManyErrors,
    EarlyTalk,  // spoke before its turn: behind DATA or STARTTLS, without waiting for the reply
    ForeignProtocol,
    NeedsTls,      // AUTH in the clear
    TimedOut,      // silent for too long, or too slow
    ShuttingDown,  // we are
    TooManyUnknownCommands,
    TooManyIdleCommands,
    SessionTooLong,
    XclientDenied,
};
inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::XclientDenied) + 1;
const char* to_string(Refusal refusal);  // "line_too_long"

class ServerPolicy {
public:
    // Before the greeting. A refusal is the greeting: 554 (then only QUIT is heard) or 421 (closed at once).
    virtual Decision on_connection() = 0;
    // STARTTLS, before its 220. Accepted or refused at once; refused, the session goes on in the clear.
    virtual Decision on_starttls() { return Decision::accept(); }
    // AUTH, and each line that answers a challenge. Only called while the client is not authenticated.
    virtual Decision on_auth(AuthRequest&& request) = 0;
    virtual Decision on_auth_line(std::string_view line) = 0;
    // Whether this client may say whose connection it passes on, and that it does. Accepted, the session begins anew, with
    // a greeting; refused with 421 it ends, with any other code everything stays as it was.
    virtual bool offers_xclient() const { return false; }
    virtual Decision on_xclient(XclientRequest&&) { return Decision::accept(); }
    virtual Decision on_mail(MailRequest&& request) = 0;
    virtual Decision on_rcpt(RcptRequest&& request) = 0;
    // Once per message, when its header is there: before the first chunk leaves, at the end at the latest; in parts
    // (XPRT), at the end of the first one at the latest.
    // `content` starts with the header and may be edited. A refusal is answered at the end of the data.
    virtual Decision on_header(std::string& content) = 0;
    // A chunk of exactly kContentChunkOctets that is not the last one; they are numbered from 0.
    virtual Decision on_chunk(SharedOctets chunk, std::uint32_t number) = 0;
    virtual Decision on_end_of_data(ContentEnd&& end) = 0;
    // The open transaction is over without a message: RSET, EHLO, a lost connection, refused data.
    virtual void on_abandoned() = 0;
    // The session is about to hold this much content in memory, all in all; asked whenever that grows, and told when it
    // shrinks. No: the message is refused with 451. What was handed over in a chunk is not the session's any more.
    virtual bool may_hold_content(std::size_t) { return true; }
    // Asked at EHLO and at MAIL: whoever has logged in may have other rights than `usual`, the settings'.
    virtual ScheduleOffer schedule_offer(const ScheduleOffer& usual) const { return usual; }
    // For what EHLO says of FUTURERELEASE.
    virtual WallTime now() const { return {}; }
    virtual void on_refusal(Refusal refusal) = 0;

protected:
    ~ServerPolicy() = default;
};

}  // namespace postfleet::smtp
