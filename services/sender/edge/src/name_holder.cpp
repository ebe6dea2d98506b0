#include "postfleet/sender_edge/name_holder.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::sender {

NameHolder::NameHolder(NameHolderPorts ports, SenderClaim claim) : ports_(std::move(ports)), claim_(std::move(claim)) {}

std::string NameHolder::obstacle() const {
    const std::lock_guard lock(mutex_);
    return obstacle_;
}

void NameHolder::set_obstacle(std::string text) {
    const std::lock_guard lock(mutex_);
    obstacle_ = std::move(text);
}

void NameHolder::on_granted(const SenderGrant& grant) {
    if (stopped_ || grant_) return;
    grant_ = grant;
    claim_.epoch = grant.epoch;
    last_beat_ = begins_at_ = ports_.clock();
    // The first owner of a name has nobody to wait for.
    if (was_refused_ || grant.epoch > 1) {
        const Duration since = ports_.on.wall_now() - grant.since;
        begins_at_ += std::clamp<Duration>(kTakeoverRest - since, Duration::zero(), kTakeoverRest);
    }
    ports_.log.line(LogLevel::Info, "sender-granted")
        .field("sender", grant.sender)
        .field("epoch", grant.epoch)
        .field("begins_in", format_duration(std::chrono::ceil<std::chrono::seconds>(begins_at_ - last_beat_)));
    if (!std::exchange(is_beating_, true)) beat();
}

void NameHolder::on_refused(const std::string& why) {
    if (stopped_) return;
    if (grant_) return lose(why);
    was_refused_ = true;
    ports_.log.line(LogLevel::Error, "sender-refused").field("sender", claim_.sender).field("reason", why);
    set_obstacle(why);
}

void NameHolder::stop() { stopped_ = true; }

void NameHolder::beat() {
    if (stopped_) return;
    const SteadyTime now = ports_.clock();
    if (!in_doubt_ && now - last_beat_ >= kStandstill) {
        in_doubt_ = true;
        ports_.log.line(LogLevel::Warning, "stood-still")
            .field("for", format_duration(std::chrono::floor<std::chrono::seconds>(now - last_beat_)))
            .field("then", "nothing is sent until a router says that the name is still ours");
        set_obstacle("this process stood still, and asks whether it still owns the name " + claim_.sender);
    }
    if (in_doubt_) {
        ask();
    } else {
        last_beat_ = now;
        if (now >= begins_at_) {
            if (!may_start_.exchange(true)) set_obstacle({});
            ports_.allow_until(now + kStandstill);
        } else {
            set_obstacle("another spool had the name " + claim_.sender + ": its process is given time to hear of it");
        }
    }
    ports_.on.schedule_at(ports_.on.now() + kBeat, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->beat();
    });
}

void NameHolder::ask() {
    if (std::exchange(asking_, true)) return;
    ports_.claims.claim_sender(claim_, {&ports_.on, [weak = weak_from_this()](const Result<SenderVerdict>& verdict) {
                                            if (const auto self = weak.lock()) self->on_verdict(verdict);
                                        }});
}

void NameHolder::on_verdict(const Result<SenderVerdict>& verdict) {
    asking_ = false;
    if (stopped_ || !in_doubt_ || !verdict) return;  // asked again with the next beat
    if (!verdict->granted) return lose(verdict->refusal);
    if (verdict->grant.epoch != claim_.epoch) return lose("the name has had another owner meanwhile");
    in_doubt_ = false;
    last_beat_ = ports_.clock();
    set_obstacle({});
    ports_.log.line(LogLevel::Info, "sender-granted").field("sender", claim_.sender).field("epoch", claim_.epoch);
    if (last_beat_ >= begins_at_) ports_.allow_until(last_beat_ + kStandstill);
}

void NameHolder::lose(const std::string& why) {
    stopped_ = true;
    ports_.allow_until(SteadyTime::min());
    ports_.log.line(LogLevel::Error, "sender-lost").field("sender", claim_.sender).field("reason", why);
    set_obstacle(why);
    ports_.lost(why);
}

}  // namespace postfleet::sender
