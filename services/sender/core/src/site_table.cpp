#include "site_table.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/require.hpp"

namespace postfleet::sender {

// One question on its way. shared_ptr because several completions may hold it (a route with several names).
struct SiteTable::Lookup {
    Question question;
    Executor* on = nullptr;
    std::vector<Hop> hops;  // of a route
    std::size_t waiting_for = 0;
    std::string problem;  // why a name of the route did not resolve
    Duration time_to_live = kMaxTtl;

    bool has_asked_policy = false, waits_for_policy = false;
    std::shared_ptr<const mta_sts::Policy> policy;
    struct Finding {
        Destination::Kind kind;
        std::string text;
        std::vector<Hop> hops;
        Duration time_to_live{};
    };
    std::optional<Finding> finding;  // where the mail goes
};

// --- entries -------------------------------------------------------------------------------------------

SiteTable::Place SiteTable::enter(std::string_view domain, TlsPolicies policies, Executor& on) {
    std::optional<Question> question;
    Place place;
    std::string waived;  // no domain has a blank
    if (policies == TlsPolicies::Waived) waived = std::string(domain) + " tls-waived";
    const std::string_view key = waived.empty() ? domain : std::string_view(waived);
    {
        const std::lock_guard lock(mutex_);
        const auto found = index_.find(key);
        const std::uint32_t number =
            found != index_.end() ? found->second : make_entry_locked(domain, policies, std::string(key));
        ++entries_[number].tasks;
        if (needs_asking_locked(entries_[number], on.now())) question = ask_locked(number, on);
        place = place_locked(number, on.now());
    }
    if (question) put(std::move(*question), on);
    return place;
}

SiteTable::Place SiteTable::look_again(std::uint32_t domain, Executor& on) {
    std::optional<Question> question;
    Place place;
    {
        const std::lock_guard lock(mutex_);
        if (needs_asking_locked(entries_[domain], on.now())) question = ask_locked(domain, on);
        place = place_locked(domain, on.now());
    }
    if (question) put(std::move(*question), on);
    return place;
}

void SiteTable::ask_again(std::uint32_t domain, Executor& on) {
    std::optional<Question> question;
    {
        const std::lock_guard lock(mutex_);
        if (!entries_[domain].asking) question = ask_locked(domain, on);
    }
    if (question) put(std::move(*question), on);
}

void SiteTable::leave(std::uint32_t domain) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[domain];
    require(entry.tasks > 0);
    if (--entry.tasks > 0) return;
    unused_.push_back(domain);
    drop_unused_locked();
}

std::string SiteTable::name_of(std::uint32_t domain) const {
    const std::lock_guard lock(mutex_);
    return entries_[domain].name;
}

std::string SiteTable::site_of(std::string_view domain) const {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(domain);
    if (found == index_.end()) return {};
    const Entry& entry = entries_[found->second];
    return entry.destination ? entry.destination->site : entry.name;
}

void SiteTable::reload(std::shared_ptr<const routing::Snapshot> routing, Executor& on) {
    std::vector<Question> questions;
    {
        const std::lock_guard lock(mutex_);
        routing_ = std::move(routing);
        for (std::uint32_t number = 0; number < entries_.size(); ++number) {
            Entry& entry = entries_[number];
            entry.fresh_until = SteadyTime::min();
            if (!entry.in_use || entry.tasks == 0 || entry.asking) continue;
            if (auto question = ask_locked(number, on)) questions.push_back(std::move(*question));
        }
    }
    for (Question& question : questions) put(std::move(question), on);
}

SiteTable::Place SiteTable::place_locked(std::uint32_t number, SteadyTime now) {
    Entry& entry = entries_[number];
    Place place;
    place.domain = number;
    if (entry.destination && (!entry.asking || now <= entry.fresh_until + kStaleUse)) {
        place.destination = entry.destination;
    } else {
        place.site = entry.destination ? entry.destination->site : entry.name;
        entry.has_waiting = true;
    }
    return place;
}

bool SiteTable::needs_asking_locked(const Entry& entry, SteadyTime now) const {
    return !entry.asking && (!entry.destination || now > entry.fresh_until);
}

std::uint32_t SiteTable::make_entry_locked(std::string_view domain, TlsPolicies policies, std::string&& key) {
    std::uint32_t number;
    if (free_.empty()) {
        number = static_cast<std::uint32_t>(entries_.size());
        entries_.emplace_back();
    } else {
        number = free_.back();
        free_.pop_back();
        entries_[number] = Entry{};
    }
    Entry& entry = entries_[number];
    entry.key = std::move(key);
    entry.name.assign(domain);
    entry.policies = policies;
    entry.in_use = true;
    index_.emplace(entry.key, number);
    return number;
}

void SiteTable::drop_unused_locked() {
    for (std::size_t looked = 0; unused_.size() > kUnusedEntries && looked < 4; ++looked) {
        const std::uint32_t number = unused_.front();
        unused_.pop_front();
        Entry& entry = entries_[number];
        if (!entry.in_use || entry.tasks > 0) continue;
        if (entry.asking) {
            unused_.push_back(number);
            continue;
        }
        index_.erase(entry.key);
        entry = Entry{};
        free_.push_back(number);
    }
}

// --- questions and answers -----------------------------------------------------------------------------

std::optional<SiteTable::Question> SiteTable::ask_locked(std::uint32_t domain, Executor& on) {
    Entry& entry = entries_[domain];
    entry.asking = true;
    if (!window_.may_ask()) {
        line_.emplace_back(domain, &on);
        return std::nullopt;
    }
    window_.on_asked();
    return question_locked(domain);
}

SiteTable::Question SiteTable::question_locked(std::uint32_t domain) const {
    const Entry& entry = entries_[domain];
    return {domain, entry.name, entry.policies, routing_};
}

void SiteTable::put(Question&& question, Executor& on) {
    auto lookup = std::make_shared<Lookup>();
    lookup->question = std::move(question);
    lookup->on = &on;
    const std::string& name = lookup->question.name;
    if (const auto* route = lookup->question.routing->find_route(name)) return resolve_route(lookup, *route);
    if (name.starts_with('[') && name.ends_with(']')) {  // an address literal (RFC 5321 §4.1.3)
        std::string_view literal = std::string_view(name).substr(1, name.size() - 2);
        if (literal.size() > 5 && (literal[0] == 'i' || literal[0] == 'I')) literal.remove_prefix(5);  // "IPv6:"
        const auto address = IpAddress::parse(literal);
        // Never inside the call that asks: whoever asks may hold a queue's turn.
        on.post([this, lookup, address] {
            if (!address) return finish(lookup, Destination::Kind::NoSuchDomain, "not an address", {}, kMaxTtl);
            admit(lookup, {{0, address->to_string(), 25, {*address}}}, routing::HopsState::Complete, kMaxTtl);
        });
        return;
    }
    if (lookup->question.policies == TlsPolicies::Heeded && policies_.is_on()) ask_policy(lookup);
    resolver_.resolve_mx(name, {&on, [this, lookup](MxAnswer answer) { on_mx(lookup, std::move(answer)); }});
}

void SiteTable::ask_policy(const std::shared_ptr<Lookup>& lookup) {
    lookup->has_asked_policy = lookup->waits_for_policy = true;
    policies_.find(lookup->question.name, {lookup->on, [this, lookup](StsAnswer answer) {
                                               lookup->waits_for_policy = false;
                                               lookup->policy = std::move(answer.policy);
                                               if (lookup->finding) conclude(lookup);
                                           }});
}

void SiteTable::on_mx(const std::shared_ptr<Lookup>& lookup, MxAnswer&& answer) {
    using Kind = Destination::Kind;
    switch (answer.kind) {
        case MxAnswer::Kind::NoSuchDomain:
            return finish(lookup, Kind::NoSuchDomain, std::move(answer.text), {}, answer.time_to_live);
        case MxAnswer::Kind::NullMx:
            return finish(lookup, Kind::NullMx, std::move(answer.text), {}, answer.time_to_live);
        case MxAnswer::Kind::Temporary:
            return finish(lookup, Kind::Failed, std::move(answer.text), {}, answer.time_to_live);
        case MxAnswer::Kind::Found: break;
    }
    std::vector<Hop> hops;
    for (MxHost& host : answer.hosts) {
        const bool is_secure = answer.state == DnsState::Secure && host.state == DnsState::Secure;
        hops.push_back({host.preference, std::move(host.name), 25, std::move(host.addresses), is_secure, false,
                        std::move(host.canonical_name)});
    }
    admit(lookup, std::move(hops), answer.is_partial ? routing::HopsState::Partial : routing::HopsState::Complete,
          answer.time_to_live);
}

void SiteTable::admit(const std::shared_ptr<Lookup>& lookup, std::vector<Hop> hops, routing::HopsState state,
                      Duration time_to_live) {
    using Verdict = routing::Admission::Verdict;
    auto admitted = lookup->question.routing->admit(lookup->question.name, std::move(hops), state);
    auto kind = Destination::Kind::Deliverable;
    switch (admitted.verdict) {
        case Verdict::Deliverable: break;
        case Verdict::Loop: kind = Destination::Kind::Loop; break;
        case Verdict::Private: kind = Destination::Kind::Private; break;
        case Verdict::Unknown: kind = Destination::Kind::Failed; break;
    }
    finish(lookup, kind, std::move(admitted.text), std::move(admitted.hops), time_to_live);
}

void SiteTable::resolve_route(const std::shared_ptr<Lookup>& lookup, const std::vector<config::RouteHop>& hops) {
    for (std::size_t i = 0; i < hops.size(); ++i) {
        Hop& hop = lookup->hops.emplace_back();
        hop.preference = static_cast<std::uint16_t>(i);  // tried in the order written
        hop.host = hops[i].host;
        hop.port = hops[i].port;
        hop.is_configured = true;
        hop.access = hops[i].access;
        if (const auto address = IpAddress::parse(hop.host)) {
            hop.addresses.push_back(*address);
        } else {
            ++lookup->waiting_for;
        }
    }
    if (lookup->waiting_for == 0) {
        lookup->on->post([this, lookup] { finish_route(lookup); });
        return;
    }
    for (std::size_t i = 0; i < lookup->hops.size(); ++i) {
        if (!lookup->hops[i].addresses.empty()) continue;
        resolver_.resolve_host(lookup->hops[i].host,
                               {lookup->on, [this, lookup, i](MxAnswer answer) { on_host(lookup, i, answer); }});
    }
}

void SiteTable::on_host(const std::shared_ptr<Lookup>& lookup, std::size_t hop, const MxAnswer& answer) {
    if (answer.kind == MxAnswer::Kind::Found && !answer.hosts.empty()) {
        const MxHost& host = answer.hosts.front();
        lookup->hops[hop].addresses = host.addresses;
        // The operator wrote the name; only its addresses can be forged.
        lookup->hops[hop].is_secure = host.state == DnsState::Secure;
        lookup->hops[hop].canonical_name = host.canonical_name;
        lookup->time_to_live = std::min(lookup->time_to_live, answer.time_to_live);
    } else {
        lookup->problem = lookup->hops[hop].host + ": " + answer.text;
    }
    if (--lookup->waiting_for == 0) finish_route(lookup);
}

void SiteTable::finish_route(const std::shared_ptr<Lookup>& lookup) {
    const bool any =
        std::any_of(lookup->hops.begin(), lookup->hops.end(), [](const Hop& hop) { return !hop.addresses.empty(); });
    // A next hop that the operator wrote down and that does not resolve is a mistake to mend, not a reason to
    // bounce mail: it waits.
    if (!any) return finish(lookup, Destination::Kind::Failed, lookup->problem, {}, Duration{});
    finish(lookup, Destination::Kind::Deliverable, "", std::move(lookup->hops), lookup->time_to_live);
}

void SiteTable::finish(const std::shared_ptr<Lookup>& lookup, Destination::Kind kind, std::string text,
                       std::vector<Hop> hops, Duration time_to_live) {
    lookup->finding.emplace(Lookup::Finding{kind, std::move(text), std::move(hops), time_to_live});
    next_in_line(lookup->question, kind);  // DNS has done its part
    if (!lookup->waits_for_policy) return conclude(lookup);
    if (kind == Destination::Kind::Deliverable) return;
    conclude(lookup);
    lookup->finding.reset();  // the policy comes too late
}

void SiteTable::conclude(const std::shared_ptr<Lookup>& lookup) {
    const Question& question = lookup->question;
    Lookup::Finding& finding = *lookup->finding;
    if (lookup->has_asked_policy) finding.time_to_live = std::min(finding.time_to_live, kLongestUnchecked);
    const Destination::Kind kind = finding.kind;
    auto placed = question.routing->place(question.name, std::move(finding.hops));
    TlsTerms terms{std::move(lookup->policy), question.policies == TlsPolicies::Waived};
    const SteadyTime now = lookup->on->now();
    std::string old_site;
    std::shared_ptr<Destination> to;
    bool moved = false;
    {
        const std::lock_guard lock(mutex_);
        Entry& entry = entries_[question.domain];
        entry.asking = false;
        const bool has_good = entry.destination && entry.destination->kind == Destination::Kind::Deliverable;
        entry.fresh_until = now + std::clamp(finding.time_to_live, kMinTtl, kMaxTtl);
        const bool is_doubtful = kind == Destination::Kind::NoSuchDomain && entry.denials++ == 0;
        if ((kind == Destination::Kind::Failed || is_doubtful) && has_good && now - entry.answered_at < kKeepGood) {
            // An outage of DNS is no reason to forget what was right an hour ago, and a domain that was there then
            // does not vanish by one answer.
            to = entry.destination;
        } else {
            if (kind != Destination::Kind::NoSuchDomain) entry.denials = 0;
            to = intern_locked(kind, std::move(placed.site), std::move(finding.text), std::move(placed.hops),
                               std::move(terms));
            entry.answered_at = now;
        }
        old_site = entry.destination ? entry.destination->site : entry.name;
        moved = entry.tasks > 0 && (entry.has_waiting || entry.destination != to || kind == Destination::Kind::Failed);
        entry.has_waiting = false;
        entry.destination = to;
    }
    if (moved) moved_(question.domain, old_site, to, *lookup->on);
}

void SiteTable::next_in_line(const Question& answered, Destination::Kind kind) {
    std::vector<std::pair<Question, Executor*>> next;
    {
        const std::lock_guard lock(mutex_);
        // What a route says, or an address literal, tells nothing of the name servers.
        const bool is_of_dns =
            answered.routing->find_route(answered.name) == nullptr && !answered.name.starts_with('[');
        window_.on_answer(!is_of_dns                          ? AskWindow::Answer::NotAsked
                          : kind == Destination::Kind::Failed ? AskWindow::Answer::Failed
                                                              : AskWindow::Answer::Came);
        while (!line_.empty() && window_.may_ask()) {
            const auto [domain, executor] = line_.front();
            line_.pop_front();
            window_.on_asked();
            next.emplace_back(question_locked(domain), executor);
        }
    }
    for (auto& [question, executor] : next) put(std::move(question), *executor);
}

std::shared_ptr<Destination> SiteTable::intern_locked(Destination::Kind kind, std::string site, std::string text,
                                                      std::vector<Hop>&& hops, TlsTerms&& terms) {
    const std::string key = identity_of(kind, site, hops, terms);
    std::weak_ptr<Destination>& slot = destinations_[key];
    if (auto known = slot.lock()) {
        known->replace_hops(std::move(hops));
        return known;
    }
    auto fresh =
        std::make_shared<Destination>(kind, std::move(site), std::move(text), std::move(hops), std::move(terms));
    slot = fresh;
    if (destinations_.size() > sweep_at_) {
        std::erase_if(destinations_, [](const auto& item) { return item.second.expired(); });
        sweep_at_ = std::max<std::size_t>(1024, destinations_.size() * 2);
    }
    return fresh;
}

}  // namespace postfleet::sender
