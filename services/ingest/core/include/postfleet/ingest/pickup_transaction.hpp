// PickupTransaction: one pickup file becomes one message.
//
// The file is spoken to the same SMTP session and the same Intake that a client of a listener meets: EHLO, MAIL, RCPT,
// BDAT … LAST. So every check, limit and repair of a listener holds for files too, and lines that end in a bare LF are
// normalized by the same scanner. A file that is a dialogue (BSMTP) says it all by itself. All receivers are taken, or the file is not.
//
//   begin() ─▶ Hungry ─feed()▶ Waiting ─on_progress▶ Hungry | Accepted | Refused
//
// Threads: confined to its shard; destroyed at any time (what was stored by then is given up). Borrows what it is
// made from. Units: octets. Errors: none; a refusal says why, and whether trying again later can help.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/ingest/pickup_dialogue.hpp"
#include "postfleet/ingest/pickup_envelope.hpp"
#include "postfleet/smtp/server_session.hpp"

namespace postfleet::ingest {

class PickupDriver {
public:
    // The state is another one; never inside a call of begin() or feed().
    virtual void on_progress() = 0;

protected:
    ~PickupDriver() = default;
};

class PickupTransaction final : private IntakeDriver {
public:
    enum class State : std::uint8_t { Hungry, Waiting, Accepted, Refused };

    PickupTransaction(IntakeShard& shard, ListenerShared& listener, std::shared_ptr<const ListenerRules> rules,
                      MessageOrigin origin, PickupDriver& driver);
    ~PickupTransaction();

    // `content_octets` of the file follow its envelope, and will be fed. Not zero.
    State begin(const PickupEnvelope& envelope, std::uint64_t content_octets);
    // Only when Hungry.
    State feed(std::string_view octets);

    State state() const { return state_; }
    // Once Refused: the reply, and what it was said to: "550 5.1.1 …, to: RCPT TO:<…>".
    const std::string& refusal() const { return refusal_; }
    bool may_try_again() const { return may_try_again_; }

private:
    void resume(smtp::Decision decision) override;
    bool say(const std::string& command);
    State look();
    State go_on();
    State refuse(std::string text);

    PickupDriver& driver_;
    Intake intake_;
    smtp::ServerSession session_;
    std::optional<PickupDialogue> dialogue_;  // of a file that is one
    std::string replies_;
    std::string refusal_;
    State state_ = State::Hungry;
    bool may_try_again_ = false;
};

}  // namespace postfleet::ingest
