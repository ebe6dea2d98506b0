#include "postfleet/ingest/submission_transaction.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/smtp/xtext.hpp"

namespace postfleet::ingest {
namespace {

// What is fed at a time, so that little waits inside the session.
constexpr std::size_t kPiece = 256 * 1024;
constexpr std::size_t kProblemsTold = 10;

// The last line of a reply to one command.
std::string_view last_line(std::string_view replies) {
    if (replies.ends_with("\r\n")) replies.remove_suffix(2);
    const std::size_t before = replies.rfind('\n');
    return before == std::string_view::npos ? replies : replies.substr(before + 1);
}

void append_notify(std::string& command, std::uint8_t notify) {
    if (notify == 0) return;
    command.append(" NOTIFY=");
    if ((notify & kNotifyNever) != 0) {
        command.append("NEVER");
        return;
    }
    const std::size_t begin = command.size();
    for (const auto& [bit, word] : {std::pair{kNotifySuccess, "SUCCESS"}, std::pair{kNotifyFailure, "FAILURE"},
                                    std::pair{kNotifyDelay, "DELAY"}}) {
        if ((notify & bit) == 0) continue;
        if (command.size() > begin) command.push_back(',');
        command.append(word);
    }
}

void append_original(std::string& command, const std::string& original) {
    if (original.empty()) return;
    const std::size_t semicolon = original.find(';');
    command.append(" ORCPT=").append(original, 0, semicolon + 1);
    smtp::append_xtext(command, std::string_view(original).substr(semicolon + 1));
}

// One XDFN: a value may be as long as its line.
std::string definition(std::string_view name, std::string_view value) {
    std::string line = "XDFN ";
    line.append(name).append("=\"");
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        if (c == '\r' || c == '\n') {
            if (c == '\r' && i + 1 < value.size() && value[i + 1] == '\n') ++i;
            line.append("\\r\\n");
            continue;
        }
        if (c == '"' || c == '\\') line.push_back('\\');
        line.push_back(c);
    }
    return line + "\"";
}

// As behind XPRT: lines in CRLF, dots at their beginnings doubled, and the line that ends it.
std::string with_dots(std::string_view content) {
    std::string out;
    out.reserve(content.size() + content.size() / 32 + 8);
    bool begins = true;
    for (std::size_t i = 0; i < content.size(); ++i) {
        const char c = content[i];
        if (begins && c == '.') out.push_back('.');
        begins = c == '\r' || c == '\n';
        if (!begins) {
            out.push_back(c);
            continue;
        }
        if (c == '\r' && i + 1 < content.size() && content[i + 1] == '\n') ++i;
        out.append("\r\n");
    }
    if (!begins) out.append("\r\n");
    return out + ".\r\n";
}

}  // namespace

SubmissionTransaction::SubmissionTransaction(IntakeShard& shard, ListenerShared& listener,
                                             std::shared_ptr<const ListenerRules> rules, MessageOrigin origin,
                                             SubmissionDriver& driver)
    : driver_(driver),
      intake_(shard, listener, std::move(rules), {}, *this),
      session_(intake_.rules().session, intake_) {
    intake_.set_origin(std::move(origin));
}

SubmissionTransaction::~SubmissionTransaction() { session_.lose(); }

SubmissionTransaction::State SubmissionTransaction::refuse(std::string_view reply, const std::string& to_what) {
    may_try_again_ = reply.starts_with('4');
    refusal_ = to_what + printable(reply);
    session_.lose();
    return state_ = State::Refused;
}

// False: it was not taken; its reply is in replies_.
bool SubmissionTransaction::say(const std::string& command) {
    replies_.clear();
    session_.receive(command + "\r\n", replies_);
    return replies_.starts_with('2') || replies_.starts_with('3');
}

bool SubmissionTransaction::say_sender(const submission::FinishedSubmission& finished) {
    std::string command = finished.is_personal ? "XMRG FROM:<" : "MAIL FROM:<";
    command.append(finished.reverse_path).append("> SIZE=").append(std::to_string(finished.content.size()));
    if (finished.needs_utf8) command.append(" SMTPUTF8");
    if (finished.priority) command.append(" MT-PRIORITY=").append(std::to_string(*finished.priority));
    if (finished.return_content != ReturnContent::NotGiven) {
        command.append(finished.return_content == ReturnContent::Full ? " RET=FULL" : " RET=HDRS");
    }
    if (!finished.envelope_id.empty()) {
        command.append(" ENVID=");
        smtp::append_xtext(command, finished.envelope_id);
    }
    if (say(command)) return true;
    refuse(last_line(replies_), finished.reverse_path.empty() ? "" : "mail_from " + finished.reverse_path + ": ");
    return false;
}

// Of those that are refused all are named; one that may be taken later makes it wait, unless others never can.
bool SubmissionTransaction::say_recipients(const submission::FinishedSubmission& finished) {
    std::string problems, passing;
    std::size_t refused = 0;
    for (const SubmittedRecipient& recipient : finished.recipients) {
        bool is_taken = true;
        for (const auto& [name, value] : recipient.variables.entries()) {
            is_taken = is_taken && say(definition(name, value));
        }
        std::string command = "RCPT TO:<" + recipient.address + ">";
        append_notify(command, recipient.notify);
        append_original(command, recipient.original);
        if (is_taken && say(command)) continue;
        const std::string problem = "recipient " + recipient.address + ": " + printable(last_line(replies_));
        if (replies_.starts_with('4')) {
            passing = problem;
            if (session_.is_closed()) break;
            continue;
        }
        if (++refused <= kProblemsTold) problems += (problems.empty() ? "" : "; ") + problem;
        if (session_.is_closed() || !is_taken) break;
    }
    if (refused == 0 && passing.empty()) return true;
    if (refused > kProblemsTold) problems += "; and " + std::to_string(refused - kProblemsTold) + " more";
    may_try_again_ = refused == 0;
    refusal_ = refused == 0 ? passing : problems;
    session_.lose();
    state_ = State::Refused;
    return false;
}

SubmissionTransaction::State SubmissionTransaction::begin(submission::FinishedSubmission&& finished) {
    session_.open(replies_);
    if (!say("EHLO localhost")) return refuse(last_line(replies_), "");
    if (!say_sender(finished) || !say_recipients(finished)) return state_;
    if (finished.is_personal) {
        content_ = with_dots(finished.content);
        if (!say("XPRT 1 LAST")) return refuse(last_line(replies_), "");
        replies_.clear();
    } else {
        content_ = std::move(finished.content);
        replies_.clear();
        session_.receive("BDAT " + std::to_string(content_.size()) + " LAST\r\n", replies_);
    }
    return feed();
}

SubmissionTransaction::State SubmissionTransaction::feed() {
    while (fed_ < content_.size() && replies_.empty() && session_.wants_input()) {
        const std::string_view piece = std::string_view(content_).substr(fed_, kPiece);
        fed_ += piece.size();
        session_.receive(piece, replies_);
    }
    if (replies_.empty()) return state_ = State::Waiting;
    if (!replies_.starts_with('2')) return refuse(last_line(replies_), "");
    return state_ = State::Accepted;
}

void SubmissionTransaction::resume(smtp::Decision decision) {
    session_.resume(std::move(decision), replies_);
    if (feed() != State::Waiting) driver_.on_progress();
}

}  // namespace postfleet::ingest
