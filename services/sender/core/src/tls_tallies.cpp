#include "tls_tallies.hpp"

#include <charconv>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kNote = "tls-rpt/";

// FNV-1a: the same in every process, because the notes are read by the next one.
std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    return hash;
}

}  // namespace

TlsTallies::TlsTallies(Spool& spool, Metrics& metrics)
    : spool_(spool),
      dropped_(metrics.counter("postfleet_sender_tls_report_dropped_total",
                               "TLS sessions that no report will tell of: too many domains, or nobody to take it")) {}

std::size_t TlsTallies::bucket_of(std::string_view domain) {
    return static_cast<std::size_t>(hash_of(domain) % kBuckets);
}

WallTime TlsTallies::moment_of(const Key& key) {
    const auto spread = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(kSpread).count());
    return key.first + std::chrono::days(1) +
           std::chrono::seconds(static_cast<std::int64_t>(hash_of(key.second) / kBuckets % spread));
}

void TlsTallies::add(const std::string& domain, const tls_report::AppliedPolicy& policy,
                     const std::optional<tls_report::Failure>& failure, WallTime now) {
    const Key key{std::chrono::floor<std::chrono::days>(now), domain};
    const std::size_t bucket = bucket_of(domain);
    const std::lock_guard lock(mutex_);
    auto found = buckets_[bucket].find(key);
    if (found == buckets_[bucket].end()) {
        if (size_ >= kMaxTallies) return dropped_.add();
        found = buckets_[bucket].emplace(key, Entry{{}, moment_of(key)}).first;
        ++size_;
    }
    found->second.tally.add(policy, failure);
    is_changed_[bucket] = true;
}

std::vector<TlsTallies::Due> TlsTallies::take_due(WallTime now, std::size_t most) {
    std::vector<Due> due;
    const std::lock_guard lock(mutex_);
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
        for (auto at = buckets_[bucket].begin(); at != buckets_[bucket].end() && due.size() < most;) {
            const auto& [day, domain] = at->first;
            if (now >= day + std::chrono::days(1) + kGiveUp) {
                dropped_.add();
                at = buckets_[bucket].erase(at);
                --size_;
                is_changed_[bucket] = true;
                continue;
            }
            // The map is in order of days, and today is not over.
            if (now < day + std::chrono::days(1)) break;
            if (now >= at->second.next_try) {
                at->second.next_try = now + std::chrono::duration_cast<WallTime::duration>(kRetry);
                due.push_back({day, domain, at->second.tally});
            }
            ++at;
        }
    }
    return due;
}

void TlsTallies::done(tls_report::Day day, const std::string& domain) {
    const std::size_t bucket = bucket_of(domain);
    const std::lock_guard lock(mutex_);
    if (buckets_[bucket].erase({day, domain}) == 0) return;
    --size_;
    is_changed_[bucket] = true;
}

// "D <day> <domain>", the lines of the tally, an empty line.
void TlsTallies::flush(Part part, Executor& on) {
    ++flushes_;
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
        if (part == Part::Some && bucket % 4 != flushes_ % 4) continue;
        std::string text;
        {
            const std::lock_guard lock(mutex_);
            if (!std::exchange(is_changed_[bucket], false)) continue;
            for (const auto& [key, entry] : buckets_[bucket]) {
                text += "D " + std::to_string(key.first.time_since_epoch().count()) + ' ' + key.second + '\n' +
                        entry.tally.to_text() + '\n';
            }
        }
        // Should it fail, a restart forgets what has come since the last time.
        spool_.put_note(std::string(kNote) + std::to_string(bucket), std::move(text), {&on, [](Status) {}});
    }
}

void TlsTallies::restore() {
    const auto notes = spool_.notes();
    const std::lock_guard lock(mutex_);
    for (const auto& [name, value] : notes) {
        if (!name.starts_with(kNote)) continue;
        std::string_view rest = value;
        while (!rest.empty() && size_ < kMaxTallies) {
            const auto end = rest.find("\n\n");
            const std::string_view one = rest.substr(0, end);
            rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 2);
            const auto line = one.find('\n');
            const auto words = split(one.substr(0, line), ' ');
            if (line == std::string_view::npos || words.size() != 3 || words[0] != "D") continue;
            int days = 0;
            std::from_chars(words[1].data(), words[1].data() + words[1].size(), days);
            const Key key{tls_report::Day(std::chrono::days(days)), std::string(words[2])};
            Entry entry{tls_report::DomainTally::parse(one.substr(line + 1)), moment_of(key)};
            size_ += buckets_[bucket_of(key.second)].emplace(key, std::move(entry)).second ? 1 : 0;
        }
    }
}

}  // namespace postfleet::sender
