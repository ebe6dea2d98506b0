#include "server_replies.hpp"

#include "postfleet/base/require.hpp"

namespace postfleet::smtp {

Refusal refusal_of(PathError error) {
    switch (error) {
        case PathError::Syntax: return Refusal::Syntax;
        case PathError::TooLong: return Refusal::PathTooLong;
        case PathError::NotAscii: return Refusal::NonAsciiPath;
    }
    return Refusal::Syntax;
}

Refusal refusal_of(ParameterError error) {
    switch (error) {
        case ParameterError::None:
        case ParameterError::Syntax: return Refusal::Syntax;
        case ParameterError::Unknown:
        case ParameterError::Unsupported: return Refusal::UnknownParameter;
    }
    return Refusal::Syntax;
}

std::string_view sender_fault(PathError error) {
    switch (error) {
        case PathError::Syntax: return "501 5.1.7 Bad sender address syntax\r\n";
        case PathError::TooLong: return "501 5.1.7 Sender address too long\r\n";
        case PathError::NotAscii: return "553 5.6.7 Sender address is not ASCII\r\n";
    }
    return {};
}

std::string_view recipient_fault(PathError error) {
    switch (error) {
        case PathError::Syntax: return "501 5.1.3 Bad recipient address syntax\r\n";
        case PathError::TooLong: return "501 5.1.3 Recipient address too long\r\n";
        case PathError::NotAscii: return "553 5.6.7 Recipient address is not ASCII\r\n";
    }
    return {};
}

std::string_view parameter_fault(ParameterError error) {
    switch (error) {
        case ParameterError::None: break;
        case ParameterError::Syntax: return "501 5.5.4 Bad parameter syntax\r\n";
        case ParameterError::Unknown: return "555 5.5.4 Parameter not known or not offered\r\n";
        case ParameterError::Unsupported: return "504 5.5.4 Parameter value not implemented\r\n";
    }
    return {};
}

void append_reply(std::string& out, const Reply& reply) {
    constexpr std::size_t kLineLimit = 512;
    require(reply.code >= 200 && reply.code < 600);
    const std::size_t start = out.size();
    out.append(std::to_string(reply.code));
    if (reply.enhanced) out.append(1, ' ').append(reply.enhanced.to_string());
    out.append(1, ' ');
    const std::size_t room = kLineLimit - 2 - (out.size() - start);
    for (const char c : std::string_view(reply.text).substr(0, room)) {
        out.push_back(c >= ' ' && c < 0x7f ? c : '?');
    }
    out.append("\r\n");
}

const char* to_string(Refusal refusal) {
    switch (refusal) {
        case Refusal::Syntax: return "syntax";
        case Refusal::Sequence: return "sequence";
        case Refusal::UnknownCommand: return "unknown_command";
        case Refusal::UnknownParameter: return "unknown_parameter";
        case Refusal::LineTooLong: return "line_too_long";
        case Refusal::BareLineEnd: return "bare_line_end_in_command";
        case Refusal::PathTooLong: return "path_too_long";
        case Refusal::NonAsciiPath: return "path_not_ascii";
        case Refusal::DeclaredTooBig: return "declared_too_big";
        case Refusal::TooBig: return "too_big";
        case Refusal::BadLineEnds: return "bare_line_end_in_message";
        case Refusal::NulOctet: return "nul_in_message";
        case Refusal::TooManyRecipients: return "too_many_recipients";
        case Refusal::TooManyMessages: return "too_many_messages";
        case Refusal::TooManyErrors: return "too_many_errors";
        case Refusal::EarlyTalk: return "early_talk";
        case Refusal::ForeignProtocol: return "foreign_protocol";
        case Refusal::NeedsTls: return "needs_tls";
        case Refusal::TooManyUnknownCommands: return "too_many_unknown_commands";
        case Refusal::TooManyIdleCommands: return "too_many_idle_commands";
        case Refusal::SessionTooLong: return "session_too_long";
        case Refusal::TimedOut: return "timed_out";
        case Refusal::ShuttingDown: return "shutting_down";
        case Refusal::XclientDenied: return "xclient_denied";
    }
    return "unknown";
}

}  // namespace postfleet::smtp
