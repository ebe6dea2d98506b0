#include "postfleet/ingest/pickup_transaction.hpp"

#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

// The last line of a reply to one command.
std::string_view last_line(std::string_view replies) {
    if (replies.ends_with("\r\n")) replies.remove_suffix(2);
    const std::size_t before = replies.rfind('\n');
    return before == std::string_view::npos ? replies : replies.substr(before + 1);
}

}  // namespace

PickupTransaction::PickupTransaction(IntakeShard& shard, ListenerShared& listener,
                                     std::shared_ptr<const ListenerRules> rules, MessageOrigin origin,
                                     PickupDriver& driver)
    : driver_(driver),
      intake_(shard, listener, std::move(rules), {}, *this),
      session_(intake_.rules().session, intake_) {
    intake_.set_origin(std::move(origin));
}

PickupTransaction::~PickupTransaction() { session_.lose(); }

PickupTransaction::State PickupTransaction::refuse(std::string text) {
    refusal_ = std::move(text);
    session_.lose();
    return state_ = State::Refused;
}

// False: it was refused.
bool PickupTransaction::say(const std::string& command) {
    replies_.clear();
    session_.receive(command + "\r\n", replies_);
    const std::string_view reply = last_line(replies_);
    if (reply.starts_with('2')) return true;
    may_try_again_ = reply.starts_with('4');
    refuse(printable(reply) + ", in answer to: " + printable(command));
    return false;
}

PickupTransaction::State PickupTransaction::begin(const PickupEnvelope& envelope, std::uint64_t content_octets) {
    if (envelope.is_dialogue) {
        session_.open(replies_);
        if (!say("EHLO localhost")) return state_;
        dialogue_.emplace(session_, content_octets);
        return state_ = State::Hungry;
    }
    const smtp::ServerSettings& settings = intake_.rules().session;
    if (envelope.receivers.size() > settings.max_recipients) {
        return refuse(std::to_string(envelope.receivers.size()) + " receivers are too many; at most " +
                      std::to_string(settings.max_recipients) + " (max_recipients)");
    }
    const std::uint64_t octets = envelope.fields.size() + content_octets;
    session_.open(replies_);
    if (!say("EHLO localhost")) return state_;
    if (!say("MAIL FROM:" + envelope.sender + " SIZE=" + std::to_string(octets) +
             (envelope.has_utf8 ? " SMTPUTF8" : ""))) {
        return state_;
    }
    for (const std::string& receiver : envelope.receivers) {
        if (!say("RCPT TO:" + receiver)) return state_;
    }
    replies_.clear();
    session_.receive("BDAT " + std::to_string(octets) + " LAST\r\n" + envelope.fields, replies_);
    return look();
}

PickupTransaction::State PickupTransaction::feed(std::string_view octets) {
    if (dialogue_) {
        dialogue_->take(octets);
        return go_on();
    }
    session_.receive(octets, replies_);
    return look();
}

void PickupTransaction::resume(smtp::Decision decision) {
    if (dialogue_) replies_.clear();
    session_.resume(std::move(decision), replies_);
    if ((dialogue_ ? go_on() : look()) != State::Waiting) driver_.on_progress();
}

// After an answer of the policy, its reply is in replies_.
PickupTransaction::State PickupTransaction::go_on() {
    const std::string_view reply = last_line(replies_);
    if (reply.starts_with('4') || reply.starts_with('5')) return look();
    replies_.clear();
    if (auto problem = dialogue_->go_on(may_try_again_)) return refuse(std::move(*problem));
    if (dialogue_->is_accepted()) return state_ = State::Accepted;
    return state_ = session_.wants_input() ? State::Hungry : State::Waiting;
}

// A reply comes behind the last octet; until then there is none.
PickupTransaction::State PickupTransaction::look() {
    if (replies_.empty()) return state_ = session_.wants_input() ? State::Hungry : State::Waiting;
    const std::string_view reply = last_line(replies_);
    if (reply.starts_with('2')) return state_ = State::Accepted;
    may_try_again_ = reply.starts_with('4');
    return refuse(printable(reply));
}

}  // namespace postfleet::ingest
