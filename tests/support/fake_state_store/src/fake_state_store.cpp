#include "postfleet/support/fake_state_store.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::support {

namespace {

template <class T>
void answer(Completion<T>&& done, T value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = std::move(value)]() mutable { done.run(std::move(value)); });
}

}  // namespace

template <class T>
bool FakeStateStore::fails(Completion<T>& done) {
    const auto failure = std::exchange(failure_, std::nullopt);
    if (failure) answer(std::move(done), T(*failure));
    return failure.has_value();
}

// --- orders

void FakeStateStore::add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) {
    if (fails(done)) return;
    ++revision_;
    std::vector<OrderId> ids;
    for (Order& order : orders) {
        order.id = OrderId{++last_id_};
        ids.push_back(order.id);
        orders_[order.id] = {.order = std::move(order), .revision = revision_};
    }
    answer(std::move(done), Result<std::vector<OrderId>>(std::move(ids)));
}

void FakeStateStore::remove_orders(std::vector<OrderId> orders, Completion<Status> done) {
    if (fails(done)) return;
    ++revision_;
    for (const OrderId id : orders) {
        orders_.erase(id);
        removals_[id] = revision_;
    }
    answer(std::move(done), Status());
}

void FakeStateStore::update_order(Order order, Completion<Status> done) {
    if (fails(done)) return;
    ++revision_;
    if (const auto found = orders_.find(order.id); found != orders_.end()) {
        found->second.order.recipients = order.recipients;
        found->second.order.finished_at = order.finished_at;
        found->second.revision = revision_;
    }
    answer(std::move(done), Status());
}

Result<std::vector<Order>> FakeStateStore::orders() {
    std::vector<Order> all;
    for (const auto& [id, kept] : orders_) all.push_back(kept.order);
    return all;
}

void FakeStateStore::order_changes(std::uint64_t after_revision, Completion<Result<OrderChanges>> done) {
    if (fails(done)) return;
    OrderChanges changes{.revision = revision_};
    if (after_revision != revision_) {
        changes.complete = after_revision == 0 || after_revision > revision_;
        for (const auto& [id, kept] : orders_) {
            if (changes.complete || kept.revision > after_revision) changes.changed.push_back(kept.order);
        }
        for (const auto& [id, revision] : removals_) {
            if (!changes.complete && revision > after_revision) changes.removed.push_back(id);
        }
    }
    answer(std::move(done), Result<OrderChanges>(std::move(changes)));
}

void FakeStateStore::report_progress(std::string sender, Order order, Completion<Status> done) {
    if (fails(done)) return;
    if (const auto found = orders_.find(order.id); found != orders_.end()) {
        KeptOrder& kept = found->second;
        kept.revision = ++revision_;
        order.recipients = std::max(order.recipients, kept.progress[sender].recipients);
        kept.progress[sender] = std::move(order);
        kept.order.recipients = 0;
        kept.order.finished_at.reset();
        for (const auto& [name, part] : kept.progress) {
            kept.order.recipients += part.recipients;
            kept.order.finished_at = std::max(kept.order.finished_at, part.finished_at);
        }
        const auto has_finished = [&](const std::string& name) {
            const auto part = kept.progress.find(name);
            return part != kept.progress.end() && part->second.finished_at.has_value();
        };
        bool all = has_finished(sender);
        for (const auto& [name, record] : senders_) all = all && (record.grant.is_free() || has_finished(name));
        if (!all) kept.order.finished_at.reset();
    }
    answer(std::move(done), Status());
}

// --- idempotency keys

void FakeStateStore::claim(std::vector<KeyClaim> claims, Completion<Result<std::vector<KeyVerdict>>> done) {
    if (fails(done)) return;
    const WallTime now = wall_clock_now();
    std::vector<KeyVerdict> verdicts;
    for (const KeyClaim& claim : claims) {
        const auto window = std::chrono::duration_cast<std::chrono::microseconds>(claim.window);
        auto found = keys_.find(claim.key);
        if (found != keys_.end() && found->second.expires_at <= now) {
            keys_.erase(found);
            found = keys_.end();
        }
        const bool is_new = found == keys_.end();
        if (is_new) found = keys_.emplace(claim.key, KeptKey{.message = claim.message}).first;
        KeptKey& key = found->second;
        key.window = claim.window;
        key.expires_at = now + window;
        ++key.claims;
        verdicts.push_back({is_new ? KeyState::New : key.is_done ? KeyState::Done : KeyState::Pending, key.message});
    }
    answer(std::move(done), Result<std::vector<KeyVerdict>>(std::move(verdicts)));
}

void FakeStateStore::confirm(std::vector<IdempotencyKey> keys, Completion<Status> done) {
    if (fails(done)) return;
    for (const IdempotencyKey& key : keys) {
        const auto found = keys_.find(key);
        if (found == keys_.end()) continue;
        found->second.is_done = true;
        found->second.expires_at =
            wall_clock_now() + std::chrono::duration_cast<std::chrono::microseconds>(found->second.window);
    }
    answer(std::move(done), Status());
}

void FakeStateStore::release(std::vector<IdempotencyKey> keys, Completion<Status> done) {
    if (fails(done)) return;
    for (const IdempotencyKey& key : keys) {
        const auto found = keys_.find(key);
        if (found != keys_.end() && !found->second.is_done && found->second.claims == 1) keys_.erase(found);
    }
    answer(std::move(done), Status());
}

// --- ownership

std::optional<SenderGrant> FakeStateStore::grant_of_spool(const std::string& spool_id) const {
    for (const auto& [name, record] : senders_) {
        if (record.grant.spool_id == spool_id) return record.grant;
    }
    return std::nullopt;
}

SenderRecord& FakeStateStore::record_of(const std::string& sender) {
    SenderRecord& record = senders_[sender];
    record.grant.sender = sender;
    return record;
}

void FakeStateStore::claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) {
    if (fails(done)) return;
    if (claim.sender.empty() || claim.spool_id.empty()) {
        const Error incomplete{ErrorKind::InvalidArgument, "a claim names the sender and its spool"};
        return answer(std::move(done), Result<SenderVerdict>(incomplete));
    }
    auto verdict = judge_claim(claim, record_of(claim.sender), grant_of_spool(claim.spool_id), wall_clock_now());
    answer(std::move(done), Result<SenderVerdict>(std::move(verdict)));
}

void FakeStateStore::release_sender(std::string sender, std::uint64_t epoch, Completion<Status> done) {
    if (fails(done)) return;
    answer(std::move(done), judge_release(epoch, record_of(sender)));
}

void FakeStateStore::take_over_sender(SenderTakeover takeover, Completion<Result<SenderGrant>> done) {
    if (fails(done)) return;
    SenderRecord& record = record_of(takeover.sender);
    const auto heir = heir_of(takeover, record);
    if (!heir) return answer(std::move(done), Result<SenderGrant>(heir.error()));
    answer(std::move(done), judge_takeover(takeover, record, grant_of_spool(*heir), wall_clock_now()));
}

void FakeStateStore::list_senders(Completion<Result<std::vector<SenderRecord>>> done) {
    std::vector<SenderRecord> records;
    for (const auto& [name, record] : senders_) records.push_back(record);
    answer(std::move(done), Result<std::vector<SenderRecord>>(std::move(records)));
}

// --- the active configuration

void FakeStateStore::activate(ConfigurationSnapshot snapshot, Completion<Result<std::uint64_t>> done) {
    if (fails(done)) return;
    if (!configuration_ || configuration_->version != snapshot.version) {
        snapshot.epoch = (configuration_ ? configuration_->epoch : 0) + 1;
        configuration_ = std::move(snapshot);
    }
    answer(std::move(done), Result<std::uint64_t>(configuration_->epoch));
}

void FakeStateStore::active(std::uint64_t known_epoch, Completion<Result<std::optional<ConfigurationSnapshot>>> done) {
    if (fails(done)) return;
    auto news = configuration_;
    if (news && news->epoch == known_epoch) news.reset();
    answer(std::move(done), Result<std::optional<ConfigurationSnapshot>>(std::move(news)));
}

// --- suppressions

void FakeStateStore::add_suppressions(std::vector<Suppression> suppressions, Completion<Status> done) {
    if (fails(done)) return;
    for (Suppression& suppression : suppressions) {
        suppression.key.target = suppression_target(suppression.key.target);
        suppressions_[suppression.key] = suppression;
    }
    answer(std::move(done), Status());
}

void FakeStateStore::remove_suppressions(std::vector<SuppressionKey> keys, Completion<Status> done) {
    if (fails(done)) return;
    for (const SuppressionKey& key : keys) suppressions_.erase({key.tenant, suppression_target(key.target)});
    answer(std::move(done), Status());
}

const Suppression* FakeStateStore::suppression_of(const SuppressionKey& key) const {
    const auto found = suppressions_.find(key);
    if (found == suppressions_.end()) return nullptr;
    const auto& expires_at = found->second.expires_at;
    return expires_at && *expires_at <= wall_clock_now() ? nullptr : &found->second;
}

void FakeStateStore::find_suppressions(std::vector<SuppressionQuestion> questions,
                                       Completion<Result<std::vector<std::optional<Suppression>>>> done) {
    if (fails(done)) return;
    std::vector<std::optional<Suppression>> answers;
    for (const SuppressionQuestion& question : questions) {
        const std::string address = suppression_target(question.address);
        const std::string domain(domain_of_target(address));
        std::optional<Suppression> found;
        for (const SuppressionKey& key :
             {SuppressionKey{question.tenant, address}, {question.tenant, domain}, {"", address}, {"", domain}}) {
            if (const Suppression* covers = suppression_of(key); covers != nullptr && !found) found = *covers;
        }
        answers.push_back(std::move(found));
    }
    answer(std::move(done), Result<std::vector<std::optional<Suppression>>>(std::move(answers)));
}

void FakeStateStore::list_suppressions(SuppressionPage page, Completion<Result<std::vector<Suppression>>> done) {
    std::vector<Suppression> out;
    for (const auto& [key, suppression] : suppressions_) {
        if (key > page.after && out.size() < page.limit && suppression_of(key) != nullptr) out.push_back(suppression);
    }
    answer(std::move(done), Result<std::vector<Suppression>>(std::move(out)));
}

}  // namespace postfleet::support
