// ESMTP parameters: what follows the path of MAIL and RCPT (RFC 5321 §4.1.2; SIZE: RFC 1870; BODY: RFC 6152).
//
// ParameterReader walks "KEY=value KEY2 …" in place. parse_mail_parameters() knows those of the extensions
// that the server offers; whatever else comes is Unknown (555), never ignored.
// Threads: pure functions and values. Units: SIZE in octets, as RFC 1870 counts them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "postfleet/mail/message.hpp"

namespace postfleet::smtp {

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

    explicit ParameterReader(std::string_view text) : rest_(text) {}
    // The next one; nothing at the end or after a mistake.
    std::optional<Parameter> next();
    bool failed() const { return failed_; }

private:
    std::string_view rest_;
    bool failed_ = false;
};

struct MailParameters {
    std::optional<std::uint64_t> size_octets;
    BodyType body = BodyType::SevenBit;
};

ParameterError parse_mail_parameters(std::string_view text, MailParameters& out);
ParameterError parse_rcpt_parameters(std::string_view text);

// Up to 20 digits, nothing else. A number beyond 64 bits is the greatest one: it is too large in any case.
std::optional<std::uint64_t> parse_size_value(std::string_view digits);

}  // namespace postfleet::smtp
