// One command line: verb, path and parameters. What is accepted is within its limits and means the same when written again.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/smtp/command.hpp"
#include "postfleet/smtp/parameters.hpp"
#include "postfleet/smtp/path.hpp"

using namespace postfleet;

namespace {

bool is_inside(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_path(std::string_view text) {
    for (const auto utf8 : {Mailbox::Utf8::Refuse, Mailbox::Utf8::Allow}) {
        std::string_view rest = text;
        const auto parsed = smtp::parse_path(rest, utf8);
        if (std::holds_alternative<smtp::PathError>(parsed)) {
            require(rest == text);
            continue;
        }
        const auto& path = std::get<smtp::Path>(parsed);
        require(is_inside(rest, text) && rest.size() < text.size());
        require(path.mailbox.local_part.size() <= 64 && path.mailbox.domain.size() <= 255);
        if (path.kind != smtp::PathKind::Mailbox) continue;
        const std::string again = "<" + path.mailbox.to_string() + ">";
        std::string_view view = again;
        const auto parsed_again = smtp::parse_path(view, utf8);
        require(std::holds_alternative<smtp::Path>(parsed_again));
        require(std::get<smtp::Path>(parsed_again).mailbox == path.mailbox);
    }
}

// What was understood is understood the same when it is passed on.
void check_rcpt_parameters(std::string_view line, Mailbox::Utf8 utf8) {
    smtp::RcptParameters parameters;
    if (smtp::parse_rcpt_parameters(line, utf8, parameters) != smtp::ParameterError::None) return;
    std::string again;
    if (parameters.notify != 0) smtp::append_notify(again, parameters.notify);
    if (!parameters.original.empty()) smtp::append_original_recipient(again, parameters.original);
    smtp::RcptParameters second;
    require(smtp::parse_rcpt_parameters(again, utf8, second) == smtp::ParameterError::None);
    require(second.notify == parameters.notify && second.original == parameters.original);
}

}  // namespace

void fuzz_smtp_command(std::span<const std::byte> input) {
    const std::string_view line(reinterpret_cast<const char*>(input.data()), input.size());
    const smtp::Command command = smtp::parse_command(line);
    require(is_inside(command.argument, line));
    std::string_view argument = command.argument;
    if (smtp::take_path_keyword("FROM", argument) || smtp::take_path_keyword("TO", argument)) {
        require(is_inside(argument, line));
        check_path(argument);
    }
    check_path(line);
    smtp::MailParameters parameters;
    static_cast<void>(smtp::parse_mail_parameters(line, parameters, {true, true, true, true}));
    for (const auto utf8 : {Mailbox::Utf8::Refuse, Mailbox::Utf8::Allow}) check_rcpt_parameters(line, utf8);
    static_cast<void>(smtp::parse_size_value(line));
    static_cast<void>(smtp::parse_chunk_argument(line));
    static_cast<void>(smtp::is_hello_name(line));
}
