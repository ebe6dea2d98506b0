// ESMTP parameters: what follows the path of MAIL and RCPT (RFC 5321 §4.1.2; SIZE: RFC 1870; BODY: RFC 6152; RET, ENVID,
// NOTIFY, ORCPT: RFC 3461; SMTPUTF8: RFC 6531; HOLDFOR, HOLDUNTIL: RFC 4865; BY: RFC 2852; MT-PRIORITY: RFC 6710;
// REQUIRETLS: RFC 8689; VERP: PowerMTA's).
//
// ParameterReader walks "KEY=value KEY2 …" in place. The two parsers know the parameters of the extensions that the
// server offers; whatever else comes is Unknown (555), never ignored.
// Threads: pure functions and values. Units: SIZE in octets, as RFC 1870 counts them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/mail/address.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::smtp {

inline constexpr std::size_t kMaxEnvelopeIdOctets = 100;         // RFC 3461 §4.4, as xtext
inline constexpr std::size_t kMaxOriginalRecipientOctets = 500;  // RFC 3461 §4.2, as sent

enum class ParameterError : std::uint8_t {
    None,
    Syntax,       // not keyword[=value], a keyword twice, a value that does not parse: 501
    Unknown,      // a keyword that no offered extension defines: 555
    Unsupported,  // a known keyword with a value that is not offered: 504
};

class ParameterReader {
public:
    struct Parameter {
        std::string_view keyword;
        std::optional<std::string_view> value;
    };

    // UTF-8 may stand in values only where SMTPUTF8 was asked for (RFC 6531 §3.3).
    explicit ParameterReader(std::string_view text, Mailbox::Utf8 utf8 = Mailbox::Utf8::Refuse)
        : rest_(text), utf8_(utf8) {}
    // The next one; nothing at the end or after a mistake.
    std::optional<Parameter> next();
    bool failed() const { return failed_; }

private:
    std::string_view rest_;
    Mailbox::Utf8 utf8_;
    bool failed_ = false;
};

// The extensions that not every server offers.
struct MailOffers {
    bool future_release = false, deliver_by = false, mt_priority = false, require_tls = false, verp = false;
};

struct MailParameters {
    std::optional<std::uint64_t> size_octets;
    BodyType body = BodyType::SevenBit;
    bool smtputf8 = false;
    ReturnContent return_content = ReturnContent::NotGiven;
    std::string envelope_id;  // decoded
    MailSchedule schedule;
    bool require_tls = false;
    bool verp = false;
};

struct RcptParameters {
    std::uint8_t notify = 0;  // kNotify… bits; 0: not given
    std::string original;     // "rfc822;user@domain", the address decoded; of type utf-8 as sent
};

ParameterError parse_mail_parameters(std::string_view text, MailParameters& out, MailOffers offers = {});
ParameterError parse_rcpt_parameters(std::string_view text, Mailbox::Utf8 utf8, RcptParameters& out);

// Up to 20 digits, nothing else. A number beyond 64 bits is the greatest one: it is too large in any case.
std::optional<std::uint64_t> parse_size_value(std::string_view digits);

// NOTIFY and ORCPT as they are passed on.
void append_notify(std::string& out, std::uint8_t notify);
void append_original_recipient(std::string& out, std::string_view original);

}  // namespace postfleet::smtp
