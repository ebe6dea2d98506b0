// The server side of a connection against whatever a client may send. The first octet chooses line ends, limits, and
// whether there are AUTH, schedules and mail merge.
//
// Whatever comes: memory is bounded, every accepted message has clean CRLF line ends, replies are whole lines with a
// code, and cutting the input differently changes nothing (except that data before the 354 is noticed or not).
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "postfleet/support/scripted_policy.hpp"

using namespace postfleet;

namespace {

void check_content(std::string_view content) {
    for (std::size_t i = 0; i < content.size(); ++i) {
        require(content[i] != '\0');
        if (content[i] == '\n') require(i > 0 && content[i - 1] == '\r');
        if (content[i] == '\r') require(i + 1 < content.size() && content[i + 1] == '\n');
    }
}

void check_replies(std::string_view out) {
    while (!out.empty()) {
        const auto end = out.find("\r\n");
        require(end != std::string_view::npos && end >= 4 && end + 2 <= 512);
        require(out[0] >= '2' && out[0] <= '5' && (out[3] == ' ' || out[3] == '-'));
        for (const char c : out.substr(0, end)) require(c >= ' ' && c < 0x7f);
        out.remove_prefix(end + 2);
    }
}

struct Run {
    support::ScriptedPolicy policy;
    std::string out;
    bool talked_early() const {
        return std::count(policy.refusals.begin(), policy.refusals.end(), smtp::Refusal::EarlyTalk) > 0;
    }
};

Run run(const smtp::ServerSettings& settings, std::string_view input, std::size_t piece) {
    Run result;
    result.policy.xclient = true;
    smtp::ServerSession session(settings, result.policy);
    session.open(result.out);
    while (!input.empty() && !session.is_closed()) {
        const std::string part(input.substr(0, piece));
        input.remove_prefix(part.size());
        session.receive(part, result.out);
        while (session.waiting_for() == smtp::ServerSession::Waiting::Decision) {
            session.resume(smtp::Decision::accept(), result.out);
        }
        require(session.unread_octets() == 0);
    }
    session.lose();
    check_replies(result.out);
    for (const auto& message : result.policy.messages) {
        check_content(message.content);
        // The policy writes "number:" in front of each part.
        const std::size_t marks = settings.offers_merge ? kMaxMergeParts * std::string_view("65535:").size() : 0;
        require(message.content.size() <= settings.max_message_octets + marks);
        require(!message.recipients.empty() && message.recipients.size() <= settings.max_recipients);
    }
    return result;
}

}  // namespace

void fuzz_smtp_server(std::span<const std::byte> input) {
    if (input.empty()) return;
    const auto choice = static_cast<unsigned>(input.front());
    std::string_view text(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
    smtp::ServerSettings settings{.hostname = "mx.example"};
    settings.line_ends = choice % 2 == 0 ? smtp::LineEndPolicy::Strict : smtp::LineEndPolicy::Normalize;
    settings.max_message_octets = (choice & 2) != 0 ? 100 : 1'000'000;
    settings.max_recipients = 5;
    if ((choice & 4) != 0) {  // what not every listener offers
        settings.auth_mechanisms = "TEST";
        settings.auth_without_tls = true;
        settings.schedule = {.max_hold = std::chrono::hours(24), .deliver_by = true, .mt_priority = true};
        settings.offers_merge = true;
    }
    const Run whole = run(settings, text, text.size());
    const Run cut = run(settings, text, 1 + choice / 4);
    if (whole.talked_early() || cut.talked_early()) return;
    require(whole.out == cut.out && whole.policy.messages == cut.policy.messages);
    require(whole.policy.refusals == cut.policy.refusals && whole.policy.abandoned == cut.policy.abandoned);
}
