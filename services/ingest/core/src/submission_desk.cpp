#include "postfleet/ingest/submission_desk.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::ingest {

using Kind = SubmissionOutcome::Kind;

SubmissionDesk::~SubmissionDesk() { *alive_ = nullptr; }

void SubmissionDesk::submit(Submission submission, SubmissionSource source, Answer answer) {
    Entry& entry = entries_.emplace_back(*this, std::move(submission), std::move(source), std::move(answer));
    entry.self = std::prev(entries_.end());
    if (!entry.submission.idempotency_key.empty()) return take_key(entry);
    entry.id = entry.source.id.value_or(shard_.next_id());
    start(entry);
}

void SubmissionDesk::take_key(Entry& entry) {
    if (Status checked = submission::check_idempotency_key(entry.submission.idempotency_key); !checked) {
        return answer_later(entry, {.kind = Kind::Refused, .problem = checked.error().text});
    }
    if (keys_ == nullptr) {
        return answer_later(entry, {.kind = Kind::Refused, .problem = "idempotency_key: keys are not kept here"});
    }
    const std::string& tenant =
        entry.source.sends_as != nullptr ? entry.source.sends_as->tenant : entry.source.rules->listener.tenant;
    entry.key = IdempotencyKey{tenant, entry.submission.idempotency_key};
    const auto [place, is_first] = busy_.try_emplace(*entry.key);
    if (is_first) claim(entry);
    else place->second.push_back(&entry);
}

void SubmissionDesk::claim(Entry& entry) {
    claiming_.push_back(&entry);
    if (!is_claiming_) send_claims();
}

// All that have come while the last call was under way.
void SubmissionDesk::send_claims() {
    const std::size_t count = std::min(claiming_.size(), kKeysAtOnce);
    const auto end = claiming_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<Entry*> asked(claiming_.begin(), end);
    claiming_.erase(claiming_.begin(), end);
    std::vector<KeyClaim> claims;
    claims.reserve(asked.size());
    for (Entry* entry : asked) {
        entry->id = shard_.next_id();
        claims.push_back({.key = *entry->key, .message = entry->id, .window = entry->source.idempotency_window});
    }
    is_claiming_ = true;
    keys_->claim(std::move(claims), {&shard_.executor(), [alive = alive_, asked = std::move(asked)](auto verdicts) {
                                         if (*alive != nullptr) (*alive)->on_verdicts(asked, std::move(verdicts));
                                     }});
}

void SubmissionDesk::on_verdicts(std::vector<Entry*> asked, Result<std::vector<KeyVerdict>> verdicts) {
    is_claiming_ = false;
    if (verdicts) require(verdicts->size() == asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
        Entry& entry = *asked[i];
        if (!verdicts) {
            finish(entry,
                   {.kind = Kind::Later, .id = entry.id, .problem = "idempotency keys: " + verdicts.error().text});
        } else if ((*verdicts)[i].state == KeyState::Done) {
            finish(entry, {.kind = Kind::Duplicate, .id = (*verdicts)[i].message});
        } else {
            entry.id = (*verdicts)[i].message;
            entry.source.taken_as = entry.id;
            start(entry);
        }
    }
    if (!is_claiming_ && !claiming_.empty()) send_claims();
}

void SubmissionDesk::start(Entry& entry) {
    const ListenerRules& rules = *entry.source.rules;
    const std::string id = entry.id.to_string();
    Duration max_hold = rules.listener.max_future_release;
    if (entry.source.sends_as) max_hold = entry.source.sends_as->schedule.max_future_release.value_or(max_hold);
    auto finished = submission::finish(
        std::move(entry.submission), {.max_recipients = rules.listener.max_recipients, .max_hold = max_hold},
        {.now = shard_.executor().wall_now(), .date = shard_.date(), .id = id, .hostname = rules.session.hostname});
    if (!finished) return answer_later(entry, {.kind = Kind::Refused, .id = {}, .problem = finished.error().text});
    MessageOrigin origin{.id = entry.id,
                         .name = entry.source.name,
                         .kind = entry.source.kind,
                         .taken_as = entry.source.taken_as,
                         .user = std::move(entry.source.user),
                         .sends_as = entry.source.sends_as,
                         .virtual_mta = std::move(finished->virtual_mta),
                         .job = std::move(finished->job),
                         .send_at = finished->send_at,
                         .expires_at = finished->expires_at,
                         .metadata = std::move(finished->metadata)};
    entry.transaction =
        std::make_unique<SubmissionTransaction>(shard_, listener_, entry.source.rules, std::move(origin), entry);
    if (entry.transaction->begin(std::move(*finished)) != SubmissionTransaction::State::Refused) return;
    const Kind kind = entry.transaction->may_try_again() ? Kind::Later : Kind::Refused;
    answer_later(entry, {.kind = kind, .id = entry.id, .problem = entry.transaction->refusal()});
}

// Inside a call of its transaction.
void SubmissionDesk::settle(Entry& entry) {
    if (entry.transaction->state() == SubmissionTransaction::State::Accepted) {
        return finish(entry, {.kind = Kind::Accepted, .id = entry.id});
    }
    const Kind kind = entry.transaction->may_try_again() ? Kind::Later : Kind::Refused;
    finish(entry, {.kind = kind, .id = entry.id, .problem = entry.transaction->refusal()});
}

void SubmissionDesk::answer_later(Entry& entry, SubmissionOutcome outcome) {
    shard_.executor().post([alive = alive_, &entry, outcome = std::move(outcome)]() mutable {
        if (*alive != nullptr) (*alive)->finish(entry, std::move(outcome));
    });
}

void SubmissionDesk::finish(Entry& entry, SubmissionOutcome outcome) {
    finished_.clear();
    finished_.splice(finished_.begin(), entries_, entry.self);
    if (entry.key) {
        if (outcome.kind == Kind::Accepted) {
            confirmed_.waiting.push_back(*entry.key);
            tell(confirmed_, &KeyClaims::confirm);
        } else if (outcome.kind == Kind::Refused) {
            released_.waiting.push_back(*entry.key);
            tell(released_, &KeyClaims::release);
        }
        free_key(entry);
    }
    Answer answer = std::move(entry.answer);
    answer(std::move(outcome));
}

// The next one under the same key has its turn.
void SubmissionDesk::free_key(const Entry& entry) {
    const auto place = busy_.find(*entry.key);
    if (place == busy_.end()) return;
    if (place->second.empty()) {
        busy_.erase(place);
        return;
    }
    Entry& next = *place->second.front();
    place->second.pop_front();
    claim(next);
}

void SubmissionDesk::tell(KeyLine& line, TellKeys what) {
    if (line.is_asking || line.waiting.empty()) return;
    line.is_asking = true;
    const auto end = line.waiting.begin() + static_cast<std::ptrdiff_t>(std::min(line.waiting.size(), kKeysAtOnce));
    std::vector<IdempotencyKey> keys(line.waiting.begin(), end);
    line.waiting.erase(line.waiting.begin(), end);
    (keys_->*what)(keys, {&shard_.executor(), [alive = alive_, &line, what, keys](const Status& told) {
                              if (*alive != nullptr) (*alive)->on_told(line, what, keys, told);
                          }});
}

// What is never told leaves its key as it is claimed: whoever comes with it goes on under the same message id.
void SubmissionDesk::on_told(KeyLine& line, TellKeys what, const std::vector<IdempotencyKey>& keys,
                             const Status& told) {
    if (told) {
        line.has_failed = line.is_asking = false;
        return tell(line, what);
    }
    if (!std::exchange(line.has_failed, true)) {
        shard_.log().line(LogLevel::Warning, "idempotency-keys").field("text", told.error().text);
    }
    const ErrorKind kind = told.error().kind;
    const bool may_pass =
        kind == ErrorKind::Unavailable || kind == ErrorKind::DeadlineExceeded || kind == ErrorKind::ResourceExhausted;
    if (may_pass && line.waiting.size() < kMostUntold) {
        line.waiting.insert(line.waiting.begin(), keys.begin(), keys.end());
    }
    shard_.executor().schedule_at(shard_.executor().now() + kTellAgain, [alive = alive_, &line, what] {
        if (*alive == nullptr) return;
        line.is_asking = false;
        (*alive)->tell(line, what);
    });
}

}  // namespace postfleet::ingest
