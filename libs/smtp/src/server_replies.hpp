// The server's own replies, whole lines, and how a Reply becomes one (RFC 5321 §4.2, RFC 3463).
#pragma once

#include <string>
#include <string_view>

#include "postfleet/mail/reply.hpp"
#include "postfleet/smtp/parameters.hpp"
#include "postfleet/smtp/path.hpp"
#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::smtp {

inline constexpr int kClosingCode = 421;

inline constexpr std::string_view kOk = "250 2.0.0 Ok\r\n";
inline constexpr std::string_view kMailOk = "250 2.1.0 Ok\r\n";
inline constexpr std::string_view kRcptOk = "250 2.1.5 Ok\r\n";
inline constexpr std::string_view kQueued = "250 2.0.0 Ok: queued\r\n";
inline constexpr std::string_view kStartData = "354 End data with <CR><LF>.<CR><LF>\r\n";
inline constexpr std::string_view kBye = "221 2.0.0 Bye\r\n";
inline constexpr std::string_view kHelp =
    "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP\r\n";
inline constexpr std::string_view kCannotVerify = "252 2.5.0 Cannot verify, but will take mail and try\r\n";

inline constexpr std::string_view kUnknown = "500 5.5.1 Command not known\r\n";
inline constexpr std::string_view kSwitchedOff = "502 5.5.1 Command not implemented\r\n";
inline constexpr std::string_view kLineTooLong = "500 5.5.2 Line too long\r\n";
inline constexpr std::string_view kControlInLine = "500 5.5.2 Bare <CR> or NUL in a command\r\n";
inline constexpr std::string_view kBareLineEnd = "521 5.5.2 Bare <LF> in a command; lines end in <CR><LF>; closing\r\n";
inline constexpr std::string_view kForeign = "421 4.7.0 This is an SMTP server; closing\r\n";
inline constexpr std::string_view kStartTls = "220 2.0.0 Ready to start TLS\r\n";
inline constexpr std::string_view kTlsActive = "503 5.5.1 TLS is active already\r\n";
inline constexpr std::string_view kAuthenticated = "235 2.7.0 Authentication successful\r\n";
inline constexpr std::string_view kIsAuthenticated = "503 5.5.1 Authenticated already\r\n";
inline constexpr std::string_view kNeedTls = "530 5.7.0 Must issue a STARTTLS command first\r\n";
inline constexpr std::string_view kInjection = "554 5.5.0 Data behind STARTTLS; closing\r\n";
inline constexpr std::string_view kEarlyTalk = "554 5.5.0 Data before the 354 reply; closing\r\n";

inline constexpr std::string_view kBadSequence = "503 5.5.1 Bad sequence of commands\r\n";
inline constexpr std::string_view kNeedHello = "503 5.5.1 Send EHLO or HELO first\r\n";
inline constexpr std::string_view kNestedMail = "503 5.5.1 A transaction is open already\r\n";
inline constexpr std::string_view kNeedMail = "503 5.5.1 Send MAIL first\r\n";
inline constexpr std::string_view kNeedRcpt = "503 5.5.1 Send RCPT first\r\n";
inline constexpr std::string_view kNoValidRecipients = "554 5.5.1 No valid recipients\r\n";
inline constexpr std::string_view kInChunks = "503 5.5.1 BDAT has begun: send more of it, or RSET\r\n";
inline constexpr std::string_view kOnlyQuit = "503 5.5.1 Only QUIT is possible here\r\n";

inline constexpr std::string_view kBadHello = "501 5.5.4 A domain name or an address literal is needed\r\n";
inline constexpr std::string_view kMailSyntax = "501 5.5.4 Syntax: MAIL FROM:<address>\r\n";
inline constexpr std::string_view kRcptSyntax = "501 5.5.4 Syntax: RCPT TO:<address>\r\n";
inline constexpr std::string_view kBadChunk = "501 5.5.4 Syntax: BDAT size [LAST]; closing\r\n";
inline constexpr std::string_view kNoArgument = "501 5.5.4 This command takes no argument\r\n";
inline constexpr std::string_view kNeedsArgument = "501 5.5.4 An argument is needed\r\n";

inline constexpr std::string_view kXclientDenied = "550 5.7.1 XCLIENT is not for you\r\n";
inline constexpr std::string_view kBadXclient = "501 5.5.4 Bad XCLIENT attribute\r\n";
inline constexpr std::string_view kNeedMerge = "503 5.5.1 Send XMRG first\r\n";
inline constexpr std::string_view kNeedParts = "503 5.5.1 Send XPRT: the transaction began with XMRG\r\n";
inline constexpr std::string_view kInParts = "503 5.5.1 XPRT has begun: send more of it, or RSET\r\n";
inline constexpr std::string_view kLooseVariables = "503 5.5.1 Variables without a RCPT behind them\r\n";
inline constexpr std::string_view kRefusedVariables = "503 5.5.1 Its variables were refused\r\n";
inline constexpr std::string_view kXackSyntax = "501 5.5.4 Syntax: XACK ON or XACK OFF\r\n";
inline constexpr std::string_view kXprtSyntax = "501 5.5.4 Syntax: XPRT number [LAST]\r\n";
inline constexpr std::string_view kXdfnSyntax = "501 5.5.4 Syntax: XDFN name=value name=\"value\"\r\n";
inline constexpr std::string_view kDefinedTwice = "501 5.5.4 The variable is defined already\r\n";
inline constexpr std::string_view kReservedVariable = "504 5.5.4 This reserved variable cannot be defined\r\n";
inline constexpr std::string_view kTooManyVariables = "552 5.3.4 Too many variables, or too large\r\n";
inline constexpr std::string_view kPartTwice = "501 5.5.4 This part was sent already\r\n";
inline constexpr std::string_view kTooManyParts = "552 5.3.4 Too many parts\r\n";
inline constexpr std::string_view kStartPart = "354 Send the part; end with <CR><LF>.<CR><LF>\r\n";
inline constexpr std::string_view kPartOk = "250 2.6.0 Part ok\r\n";

inline constexpr std::string_view kTooBig = "552 5.3.4 Message too big\r\n";
inline constexpr std::string_view kTooManyRecipients = "452 4.5.3 Too many recipients\r\n";
inline constexpr std::string_view kTooManyMessages = "421 4.7.0 Too many messages on this connection\r\n";
inline constexpr std::string_view kTooManyErrors = "421 4.7.0 Too many errors\r\n";
inline constexpr std::string_view kTooManyUnknown = "421 4.7.0 Too many unknown commands\r\n";
inline constexpr std::string_view kTooManyIdle = "421 4.7.0 Too many commands without a message\r\n";
inline constexpr std::string_view kSessionTooLong = "421 4.7.0 This session has lasted too long, connect again\r\n";

Refusal refusal_of(PathError error);
Refusal refusal_of(ParameterError error);
std::string_view sender_fault(PathError error);
std::string_view recipient_fault(PathError error);
std::string_view parameter_fault(ParameterError error);

// One line, at most 512 octets (RFC 5321 §4.5.3.1.5); whatever is not printable ASCII becomes "?".
void append_reply(std::string& out, const Reply& reply);

}  // namespace postfleet::smtp
