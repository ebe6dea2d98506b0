// SubmissionTransaction: one submission becomes one message.
//
// It is spoken to the same SMTP session and the same Intake that a client of a listener meets: EHLO, MAIL, RCPT, BDAT …
// LAST, or XMRG, XDFN, RCPT, XPRT where each recipient gets a text of its own. So every check, limit and repair of a
// listener holds for submissions too. All recipients are taken, or the submission is not.
//
//   begin() ─▶ Waiting ─on_progress▶ Accepted | Refused
//
// Threads: confined to its shard; destroyed at any time (what was stored by then is given up). Borrows what it is made
// from. Units: octets. Errors: none; a refusal says why, and whether trying again later can help.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "postfleet/submission/finish.hpp"

namespace postfleet::ingest {

class SubmissionDriver {
public:
    // The state is another one; never inside a call of begin().
    virtual void on_progress() = 0;

protected:
    ~SubmissionDriver() = default;
};

class SubmissionTransaction final : private IntakeDriver {
public:
    enum class State : std::uint8_t { Waiting, Accepted, Refused };

    SubmissionTransaction(IntakeShard& shard, ListenerShared& listener, std::shared_ptr<const ListenerRules> rules,
                          MessageOrigin origin, SubmissionDriver& driver);
    ~SubmissionTransaction();

    // Once.
    State begin(submission::FinishedSubmission&& finished);

    State state() const { return state_; }
    // Once Refused: what the reply was, and to what.
    const std::string& refusal() const { return refusal_; }
    bool may_try_again() const { return may_try_again_; }

private:
    void resume(smtp::Decision decision) override;
    bool say(const std::string& command);
    bool say_sender(const submission::FinishedSubmission& finished);
    bool say_recipients(const submission::FinishedSubmission& finished);
    State feed();
    State refuse(std::string_view reply, const std::string& to_what);

    SubmissionDriver& driver_;
    Intake intake_;
    smtp::ServerSession session_;
    std::string content_;  // as it is fed: with its dots doubled where it is merged
    std::size_t fed_ = 0;
    std::string replies_;
    std::string refusal_;
    State state_ = State::Waiting;
    bool may_try_again_ = false;
};

}  // namespace postfleet::ingest
