#include "postfleet/ingest/handover_desk.hpp"

#include <utility>

namespace postfleet::ingest {

HandoverDesk::~HandoverDesk() { executor_.cancel(timer_); }

HandoverDesk::Ticket HandoverDesk::hand_over(HandoverWaiter& waiter, AcceptedMessage message) {
    const MessageId id = message.message->id;
    const Ticket ticket = take_slot(Kind::HandOver, waiter, id, message.message->content_chunks - 1);
    asking_ = true;
    handover_.hand_over(std::move(message), completion_for(ticket));
    asking_ = false;
    return ticket;
}

HandoverDesk::Ticket HandoverDesk::append(HandoverWaiter& waiter, MessageId id, std::uint32_t chunk,
                                          SharedOctets octets) {
    const Ticket ticket = take_slot(Kind::Append, waiter, id, chunk + 1);
    asking_ = true;
    handover_.append_content(id, chunk, std::move(octets), completion_for(ticket));
    asking_ = false;
    return ticket;
}

HandoverDesk::Ticket HandoverDesk::keep(HandoverWaiter& waiter, MailForUs mail) {
    const Ticket ticket = take_slot(Kind::Keep, waiter, mail.id, 0);
    asking_ = true;
    feedback_intake_->keep(std::move(mail), completion_for(ticket));
    asking_ = false;
    return ticket;
}

HandoverDesk::Ticket HandoverDesk::take_slot(Kind kind, HandoverWaiter& waiter, MessageId message,
                                             std::uint32_t chunks) {
    std::uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Slot& slot = slots_[index];
    slot.waiter = &waiter;
    slot.asked_at = executor_.now();
    slot.message = message;
    slot.chunks = chunks;
    slot.kind = kind;
    slot.in_row = true;
    slot.previous = last_;
    slot.next = kNone;
    (last_ == kNone ? first_ : slots_[last_].next) = index;
    last_ = index;
    watch();
    return {index, slot.generation};
}

Completion<Status> HandoverDesk::completion_for(Ticket ticket) {
    return {&executor_, [this, ticket](Status status) { finish(ticket, std::move(status)); }};
}

void HandoverDesk::finish(Ticket ticket, Status status) {
    if (asking_) {
        // A port that knows at once. The session is in the middle of its question.
        executor_.post([this, ticket, status = std::move(status)]() mutable { finish(ticket, std::move(status)); });
        return;
    }
    Slot& slot = slots_[ticket.slot];
    require(slot.generation == ticket.generation);
    leave_row(ticket.slot);
    if (slot.kind == Kind::HandOver) {
        counters_.handover_seconds.observe(std::chrono::duration<double>(executor_.now() - slot.asked_at).count());
    }
    HandoverWaiter* const waiter = std::exchange(slot.waiter, nullptr);
    if (waiter == nullptr) finish_unanswered(slot, status);
    // Freed before the answer: the waiter may hand over its next message inside it.
    ++slot.generation;
    free_.push_back(ticket.slot);
    if (waiter != nullptr) waiter->on_answer(status);
}

void HandoverDesk::finish_unanswered(const Slot& slot, const Status& status) {
    if (slot.kind != Kind::Append && status) {
        counters_.unanswered.add();
        return;
    }
    // DeadlineExceeded leaves open whether the message exists; then its content must stay.
    const bool unknown = !status && status.error().kind == ErrorKind::DeadlineExceeded;
    if (slot.chunks > 0 && (slot.kind == Kind::Append || !unknown)) discard(slot.message, slot.chunks);
}

void HandoverDesk::forget(Ticket ticket) {
    Slot& slot = slots_[ticket.slot];
    if (slot.generation != ticket.generation) return;
    leave_row(ticket.slot);
    slot.waiter = nullptr;
}

void HandoverDesk::leave_row(std::uint32_t index) {
    Slot& slot = slots_[index];
    if (!std::exchange(slot.in_row, false)) return;
    (slot.previous == kNone ? first_ : slots_[slot.previous].next) = slot.next;
    (slot.next == kNone ? last_ : slots_[slot.next].previous) = slot.previous;
}

// The timer is not moved when the first in the row is answered: it fires once too early in patience_, and
// then looks again.
void HandoverDesk::watch() {
    if (timer_ || first_ == kNone) return;
    timer_ = executor_.schedule_at(slots_[first_].asked_at + patience_, [this] {
        timer_ = {};
        expire();
    });
}

void HandoverDesk::expire() {
    while (first_ != kNone && slots_[first_].asked_at + patience_ <= executor_.now()) {
        const std::uint32_t index = first_;
        leave_row(index);
        HandoverWaiter* const waiter = std::exchange(slots_[index].waiter, nullptr);
        waiter->on_answer(Error{ErrorKind::DeadlineExceeded, "the store gave no answer in time"});
    }
    watch();
}

}  // namespace postfleet::ingest
