#include "sts_table.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/sender/sts_fetch.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kNote = "mta-sts/";
constexpr const char* kFetches = "postfleet_sender_mta_sts_fetches_total";
constexpr const char* kFetchesHelp = "Fetches of MTA-STS policies";

// A kept policy: "<domain> <id> <fetched at, unix µs>", the lines of the policy, an empty line.
struct Kept {
    std::string domain, id;
    std::int64_t fetched_at = 0;
    mta_sts::Policy policy;
};

std::optional<Kept> parse_kept(std::string_view text) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto words = split(text.substr(0, end), ' ');
    auto policy = mta_sts::parse_policy(text.substr(end + 1));
    if (words.size() != 3 || !policy) return std::nullopt;
    Kept kept{std::string(words[0]), std::string(words[1]), 0, std::move(*policy)};
    const auto [at, failed] = std::from_chars(words[2].data(), words[2].data() + words[2].size(), kept.fetched_at);
    if (failed != std::errc{} || at != words[2].data() + words[2].size()) return std::nullopt;
    return kept;
}

}  // namespace

StsTable::StsTable(const Ports& ports, Metrics& metrics, Log log)
    : ports_(ports),
      log_(std::move(log)),
      fetched_total_(metrics.counter(kFetches, kFetchesHelp, {{"result", "good"}})),
      failed_total_(metrics.counter(kFetches, kFetchesHelp, {{"result", "failed"}})),
      kept_(metrics.gauge("postfleet_sender_mta_sts_policies", "MTA-STS policies that are kept")) {}

void StsTable::configure(Rules rules) {
    const std::lock_guard lock(mutex_);
    rules_ = std::move(rules);
}

bool StsTable::is_on() const {
    if (ports_.http == nullptr) return false;
    const std::lock_guard lock(mutex_);
    return rules_.is_wanted;
}

// --- what holds ----------------------------------------------------------------------------------------

// FNV-1a: the same in every process, because the notes are read by the next one.
std::size_t StsTable::bucket_of(std::string_view domain) {
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (const char c : domain) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    return static_cast<std::size_t>(hash % kBuckets);
}

// A clock that was set back must not make a policy hold for longer.
WallTime StsTable::expiry_of(const Entry& entry, WallTime now) {
    return std::min(entry.fetched_at, now) + entry.policy->max_age;
}

bool StsTable::is_due(const Entry& entry, WallTime now, SteadyTime steady_now) {
    if (!entry.policy || steady_now < entry.retry_at) return false;
    const auto rest = std::min<Duration>(entry.policy->max_age / 2, kOldestUnchecked);
    return now - std::min(entry.fetched_at, now) >= rest;
}

StsAnswer StsTable::answer_of(const Entry& entry, WallTime now) {
    StsAnswer answer{nullptr, entry.problem};
    const bool holds = entry.policy && entry.policy->mode != mta_sts::Mode::None && now < expiry_of(entry, now);
    if (holds) answer.policy = entry.policy;
    return answer;
}

void StsTable::find(std::string domain, Completion<StsAnswer> done) {
    Executor* const on = done.on;
    std::string name = "_mta-sts." + domain;
    ports_.resolver.resolve_txt(
        std::move(name), {on, [this, domain = std::move(domain), done = std::move(done)](TxtAnswer record) mutable {
                              on_record(domain, record, std::move(done));
                          }});
}

void StsTable::on_record(const std::string& domain, const TxtAnswer& record, Completion<StsAnswer>&& done) {
    Executor& on = *done.on;
    const auto id = record.kind == TxtAnswer::Kind::Found ? mta_sts::record_id(record.records) : std::nullopt;
    std::optional<StsAnswer> answer;
    {
        const std::lock_guard lock(mutex_);
        Bucket& bucket = buckets_[bucket_of(domain)];
        const auto known = bucket.find(domain);
        Entry* const entry = known == bucket.end() ? nullptr : &known->second;
        if (entry != nullptr) entry->used_at = on.wall_now();
        const bool has_it = entry != nullptr && entry->policy && (!id || entry->id == *id) &&
                            on.wall_now() < expiry_of(*entry, on.wall_now());
        const bool rests = entry != nullptr && id && entry->tried_id == *id && on.now() < entry->retry_at;
        if (has_it || rests) answer = answer_of(*entry, on.wall_now());
        else if (!id) answer.emplace();
        if (!answer) begin_locked(domain, *id, std::move(done));
        else if (has_it && id && is_due(*entry, on.wall_now(), on.now())) begin_locked(domain, *id, std::nullopt);
    }
    start_fetches(on);
    if (answer) done.run(std::move(*answer));
}

// --- fetching ------------------------------------------------------------------------------------------

void StsTable::begin_locked(const std::string& domain, std::string id, std::optional<Completion<StsAnswer>> waiter) {
    const auto [fetch, is_new] = fetches_.try_emplace(domain);
    fetch->second.id = std::move(id);
    if (waiter) fetch->second.waiters.push_back(std::move(*waiter));
    if (is_new) line_.push_back(domain);
}

void StsTable::start_fetches(Executor& on) {
    std::vector<StsFetch> next;
    {
        const std::lock_guard lock(mutex_);
        for (; !line_.empty() && running_ < kMaxFetches; ++running_) {
            next.push_back({line_.front(), rules_.ca_file, rules_.routing});
            line_.pop_front();
        }
    }
    for (StsFetch& fetch : next) {
        const std::string domain = fetch.domain;
        fetch_sts_policy(ports_.resolver, *ports_.http, std::move(fetch),
                         {&on, [this, domain, &on](Result<mta_sts::Policy> fetched) {
                              on_fetched(domain, std::move(fetched), on);
                          }});
    }
}

void StsTable::on_fetched(const std::string& domain, Result<mta_sts::Policy>&& fetched, Executor& on) {
    report(domain, fetched, on.wall_now());
    Fetch fetch;
    StsAnswer answer;
    {
        const std::lock_guard lock(mutex_);
        const auto found = fetches_.find(domain);
        fetch = std::move(found->second);
        fetches_.erase(found);
        --running_;
        Entry& entry = entry_locked(domain, on.wall_now());
        if (fetched) {
            entry.id = fetch.id;
            entry.policy = std::make_shared<const mta_sts::Policy>(std::move(*fetched));
            entry.fetched_at = on.wall_now();
            entry.problem.reset();
            keep_locked(bucket_of(domain), on);
        } else {
            entry.problem = fetched.error();
        }
        entry.tried_id = fetch.id;
        entry.retry_at = on.now() + kRetry;
        answer = answer_of(entry, on.wall_now());
    }
    for (Completion<StsAnswer>& waiter : fetch.waiters) {
        waiter.on->post([run = std::move(waiter.run), answer]() mutable { run(std::move(answer)); });
    }
    start_fetches(on);
}

void StsTable::report(const std::string& domain, const Result<mta_sts::Policy>& fetched, WallTime now) const {
    (fetched ? fetched_total_ : failed_total_).add();
    auto line = log_.line(LogLevel::Info, fetched ? "mta-sts-policy" : "mta-sts-failed");
    line.field("domain", domain);
    if (fetched) line.field("mode", mta_sts::to_string(fetched->mode)).field("max_age", fetched->max_age.count());
    else line.field("reason", fetched.error().text);
    if (fetched || !ports_.tallies.is_on()) return;
    // RFC 8460 §4.3.2.2
    const char* result = fetched.error().kind == ErrorKind::PermissionDenied  ? "sts-webpki-invalid"
                         : fetched.error().kind == ErrorKind::InvalidArgument ? "sts-policy-invalid"
                                                                              : "sts-policy-fetch-error";
    ports_.tallies.add(domain, {.type = tls_report::PolicyType::Sts},
                       tls_report::Failure{.result = result, .reason = fetched.error().text}, now);
}

void StsTable::refresh(Executor& on) {
    if (!is_on()) return;
    {
        const std::lock_guard lock(mutex_);
        std::size_t begun = 0;
        for (std::size_t looked = 0; looked < kBuckets && begun < kRefreshAtOnce; ++looked) {
            next_refreshed_ = (next_refreshed_ + 1) % kBuckets;
            for (const auto& [domain, entry] : buckets_[next_refreshed_]) {
                if (!is_due(entry, on.wall_now(), on.now()) || fetches_.contains(domain)) continue;
                begin_locked(domain, entry.id, std::nullopt);
                ++begun;
            }
        }
    }
    start_fetches(on);
}

// --- keeping -------------------------------------------------------------------------------------------

StsTable::Entry& StsTable::entry_locked(const std::string& domain, WallTime now) {
    Bucket& bucket = buckets_[bucket_of(domain)];
    const auto known = bucket.find(domain);
    if (known != bucket.end()) return known->second;
    if (size_ >= kMaxPolicies) make_room_locked(now);
    ++size_;
    kept_.set(static_cast<std::int64_t>(size_));
    Entry& entry = bucket[domain];
    entry.used_at = now;
    return entry;
}

// Looks at all of them, and so takes out a good part: everything that has no policy or is expired, and a hundredth of
// the rest.
void StsTable::make_room_locked(WallTime now) {
    std::vector<WallTime> used;
    for (Bucket& bucket : buckets_) {
        std::erase_if(bucket, [&](const auto& item) {
            const Entry& entry = item.second;
            return !entry.policy || expiry_of(entry, now) <= now;
        });
        for (const auto& [domain, entry] : bucket) used.push_back(entry.used_at);
    }
    if (used.size() >= kMaxPolicies) {
        const auto last = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 100);
        std::nth_element(used.begin(), last, used.end());
        for (Bucket& bucket : buckets_) {
            std::erase_if(bucket, [&](const auto& item) { return item.second.used_at <= *last; });
        }
    }
    size_ = 0;
    for (const Bucket& bucket : buckets_) size_ += bucket.size();
}

// Should it fail, the policy is fetched again after a restart.
void StsTable::keep_locked(std::size_t number, Executor& on) {
    std::string text;
    for (const auto& [domain, entry] : buckets_[number]) {
        if (!entry.policy || expiry_of(entry, on.wall_now()) <= on.wall_now()) continue;
        text += domain + ' ' + entry.id + ' ' + std::to_string(to_unix_microseconds(entry.fetched_at)) + '\n' +
                mta_sts::to_text(*entry.policy) + '\n';
    }
    ports_.spool.put_note(std::string(kNote) + std::to_string(number), std::move(text), {&on, [](Status) {}});
}

void StsTable::restore(WallTime now) {
    const auto notes = ports_.spool.notes();
    const std::lock_guard lock(mutex_);
    for (const auto& [name, value] : notes) {
        if (!name.starts_with(kNote)) continue;
        std::string_view rest = value;
        while (!rest.empty() && size_ < kMaxPolicies) {
            const auto end = rest.find("\n\n");
            const auto kept = parse_kept(rest.substr(0, end));
            rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 2);
            if (!kept) continue;
            Entry& entry = entry_locked(kept->domain, now);
            entry.id = kept->id;
            entry.policy = std::make_shared<const mta_sts::Policy>(kept->policy);
            entry.fetched_at = entry.used_at = from_unix_microseconds(kept->fetched_at);
        }
    }
}

}  // namespace postfleet::sender
