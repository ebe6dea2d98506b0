// SiteTable: recipient domain → where its mail goes (route, or MX through the Resolver) → site.
//
//   unknown ──ask──▶ asking ──answer──▶ fresh until its TTL ──▶ stale: used for kStaleUse more while it is asked again
//                                                                then: mail waits for the answer
//
// A domain keeps its entry while tasks name it (they hold its number), and kUnusedEntries more. When an answer
// changes where a domain goes, or some mail waits for it, Moved is called, so that the mail is re-keyed. A failed lookup keeps a good
// answer that is not older than kKeepGood, and so does a first answer that there is no such domain: it takes a
// second one. Without a good answer the domain's destination is of kind Failed until the next. Failures are told with Moved each time, too, so that the queue can count them.
//
// The MTA-STS policy of a domain is found while its MX records are looked up; when those are there, mail waits for it as
// long as the fetch takes, and other domains do not.
//
// A bounded number of questions is open (AskWindow); further ones wait in line (restart, reload, an outage).
//
// Threads: thread-safe; Moved is called without the lock, on the shard that asked.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ask_window.hpp"
#include "destination.hpp"
#include "postfleet/base/executor.hpp"
#include "postfleet/ports/resolver.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "sts_table.hpp"

namespace postfleet::sender {

// Whether what the recipient's domain publishes about TLS counts for a message.
enum class TlsPolicies : std::uint8_t { Heeded, Waived };

class SiteTable final {
public:
    static constexpr Duration kStaleUse = std::chrono::minutes(1);
    static constexpr Duration kKeepGood = std::chrono::hours(24);
    static constexpr Duration kMinTtl = std::chrono::seconds(1);
    static constexpr Duration kMaxTtl = std::chrono::hours(24);
    static constexpr Duration kLongestUnchecked = std::chrono::hours(1);  // of a domain's MTA-STS policy
    static constexpr std::size_t kUnusedEntries = 10'000;

    // The domain's tasks stand in queues of site `old_site`; they belong to `to` now.
    using Moved = std::function<void(std::uint32_t domain, const std::string& old_site,
                                     const std::shared_ptr<Destination>& to, Executor& on)>;

    SiteTable(Resolver& resolver, StsTable& policies, std::shared_ptr<const routing::Snapshot> routing, Moved moved)
        : resolver_(resolver), policies_(policies), routing_(std::move(routing)), moved_(std::move(moved)) {}

    struct Place {
        std::uint32_t domain = 0;
        std::shared_ptr<Destination> destination;  // null: the answer is on its way
        std::string site;                          // where it waits for that; empty if there is a destination
    };
    // Counts one more task of this domain, and asks if that is needed; the answer comes on `on`.
    // Mail that waives TLS policies has an entry of its own, and so destinations of its own.
    Place enter(std::string_view domain, TlsPolicies policies, Executor& on);
    // The same for a task that is counted already.
    Place look_again(std::uint32_t domain, Executor& on);
    // Asks now, however fresh the answer is (it failed, and its rest is over).
    void ask_again(std::uint32_t domain, Executor& on);
    void leave(std::uint32_t domain);
    std::string name_of(std::uint32_t domain) const;
    // Where mail for the domain stands now; empty: nowhere yet.
    std::string site_of(std::string_view domain) const;

    // New routes and providers: every domain with mail is asked for again.
    void reload(std::shared_ptr<const routing::Snapshot> routing, Executor& on);

private:
    struct Entry {
        std::string key;  // in index_
        std::string name;
        TlsPolicies policies = TlsPolicies::Heeded;
        std::uint32_t tasks = 0;
        bool in_use = false;
        bool asking = false;
        bool has_waiting = false;   // some task was told to wait for the answer
        std::uint32_t denials = 0;  // answers in a row that there is no such domain
        std::shared_ptr<Destination> destination;
        SteadyTime fresh_until = SteadyTime::min();
        SteadyTime answered_at = SteadyTime::min();  // the last good answer
    };
    struct Lookup;

    struct Question {
        std::uint32_t domain = 0;
        std::string name;
        TlsPolicies policies = TlsPolicies::Heeded;
        std::shared_ptr<const routing::Snapshot> routing;
    };

    Place place_locked(std::uint32_t number, SteadyTime now);
    bool needs_asking_locked(const Entry& entry, SteadyTime now) const;
    std::uint32_t make_entry_locked(std::string_view domain, TlsPolicies policies, std::string&& key);
    void drop_unused_locked();
    // Marks the entry; the question to put, unless it has to stand in line.
    std::optional<Question> ask_locked(std::uint32_t domain, Executor& on);
    Question question_locked(std::uint32_t domain) const;
    void put(Question&& question, Executor& on);
    void ask_policy(const std::shared_ptr<Lookup>& lookup);
    void resolve_route(const std::shared_ptr<Lookup>& lookup, const std::vector<config::RouteHop>& hops);
    void on_host(const std::shared_ptr<Lookup>& lookup, std::size_t hop, const MxAnswer& answer);
    void finish_route(const std::shared_ptr<Lookup>& lookup);
    void on_mx(const std::shared_ptr<Lookup>& lookup, MxAnswer&& answer);
    void admit(const std::shared_ptr<Lookup>& lookup, std::vector<Hop> hops, routing::HopsState state,
               Duration time_to_live);
    void next_in_line(const Question& answered, Destination::Kind kind);
    void conclude(const std::shared_ptr<Lookup>& lookup);
    void finish(const std::shared_ptr<Lookup>& lookup, Destination::Kind kind, std::string text, std::vector<Hop> hops,
                Duration time_to_live);
    std::shared_ptr<Destination> intern_locked(Destination::Kind kind, std::string site, std::string text,
                                               std::vector<Hop>&& hops, TlsTerms&& terms);

    Resolver& resolver_;
    StsTable& policies_;
    mutable std::mutex mutex_;
    std::shared_ptr<const routing::Snapshot> routing_;
    const Moved moved_;
    std::deque<Entry> entries_;  // addresses do not move
    std::vector<std::uint32_t> free_;
    std::unordered_map<std::string_view, std::uint32_t> index_;  // views of Entry::key
    std::deque<std::uint32_t> unused_;                           // oldest first; may name one twice
    std::unordered_map<std::string, std::weak_ptr<Destination>> destinations_;
    std::size_t sweep_at_ = 1024;
    AskWindow window_;
    std::deque<std::pair<std::uint32_t, Executor*>> line_;
};

}  // namespace postfleet::sender
