// Random limits of every kind at once, priorities and warm-up among them, measured at the receiving side (P7): none is
// exceeded in any window, and all mail goes all the same (P5), in bursts with pauses, too: no mail waits for a connection
// that an idle session has.
// POSTFLEET_RANDOM_LIMITS says how many worlds.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <random>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr int kSites = 4, kBursts = 3, kMessages = 30;
// Retries, rates and looks at full addresses are all faster than that, and idle_timeout is not.
constexpr Duration kLongestGap = 5s;
const std::vector<std::string> kSources{"192.0.2.10", "192.0.2.22", "192.0.2.33"};

std::string endpoint(int number) { return "192.0.2." + std::to_string(number) + ":25"; }
std::string domain(int number) { return "d" + std::to_string(number) + ".test"; }

struct Attempt {
    SteadyTime at;
    std::string source;
    int site;
    std::int64_t day;
};

class RandomLimits {
public:
    explicit RandomLimits(std::uint64_t seed) : random_(seed) {
        world_.add_virtual_mta("v2", {kSources[1]});
        world_.add_virtual_mta("v3", {kSources[2]});
        auto& pool = world_.config.pools["p"];
        pool.name = "p";
        pool.members = {{"v1", 1}, {"v2", 1}, {"v3", 1}};
        for (int i = 1; i <= kSites; ++i) make_site(i);
        auto& keys = world_.shaping();
        keys.max_messages_per_connection = 1 + below(8);
        keys.max_recipients_per_transaction = 1 + below(3);
        keys.max_connections = queue_connections_ = 1 + below(3);
        keys.retry_after = std::vector<Duration>{1s};
        if (once_in(2)) keys.idle_timeout = 10min;
        if (once_in(2)) keys.max_message_rate = queue_rate_ = rate();
        if (once_in(2)) keys.per_destination_max_connections = host_connections_ = 1 + below(3);
        if (once_in(3)) keys.per_destination_max_message_rate = host_rate_ = rate();
        if (once_in(2)) world_.config.outbound.total.max_connections = total_connections_ = 1 + below(6);
        if (once_in(3)) world_.config.outbound.total.max_message_rate = total_rate_ = rate();
        for (std::size_t i = 0; i < kSources.size(); ++i) {
            auto& limits = world_.config.virtual_mtas["v" + std::to_string(i + 1)].limits;
            if (once_in(3)) limits.max_connections = source_connections_[kSources[i]] = 1 + below(4);
            if (once_in(3)) limits.max_message_rate = source_rate_[kSources[i]] = rate();
        }
        config::ShapingRule cold;
        cold.match.virtual_mta = "v2";
        cold.keys.warm_up = config::CountList{{warm_up_[0] = 1 + below(8), warm_up_[1] = 5 + below(10)}};
        world_.config.shaping.push_back(cold);
    }

    void run() {
        world_.start();
        for (int day = 0; day < 2; ++day) {
            for (int burst = 0; burst < kBursts; ++burst) {
                run_burst();
                world_.advance(std::chrono::seconds(below(120)));
            }
            world_.advance(24h);
        }
        check_rates();
        check_warm_up();
    }

private:
    void run_burst() {
        for (int n = 0; n < kMessages; ++n) send();
        world_.settle();
        const ManualExecutor& clock = *world_.executors[0];
        const SteadyTime began = clock.now();
        while (world_.count(EventType::Delivered) < sent_) {
            world_.advance(10ms);
            check_connections();
            const SteadyTime last = attempts_.empty() ? began : std::max(began, attempts_.back().at);
            REQUIRE(clock.now() - last < kLongestGap);
        }
    }

    std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }
    bool once_in(std::uint32_t times) { return below(times) == 0; }
    config::Rate rate() { return {5 + below(60), 1s}; }

    void make_site(int number) {
        world_.route(domain(number), endpoint(number));
        FakeHost& host = world_.host(endpoint(number));
        const Duration takes = std::chrono::milliseconds(below(80));
        host.on_command = [this, number, takes](Peer& peer, const std::string& command) -> std::optional<std::string> {
            ManualExecutor& clock = *world_.executors[0];
            if (command.starts_with("RCPT")) {
                const auto day = std::chrono::floor<std::chrono::days>(clock.wall_now().time_since_epoch()).count();
                attempts_.push_back({clock.now(), peer.client().address.to_string(), number, day});
                if (once_in(20)) return "451 4.2.1 later\r\n";
            }
            if (command != "." || takes == Duration::zero()) return {};
            clock.schedule_at(clock.now() + takes, [&peer] { peer.say("250 2.0.0 queued\r\n"); });
            return "";
        };
        config::ShapingRule rule;
        rule.match.site = domain(number);
        rule.keys.priority = static_cast<Priority>(below(kPriorities));
        world_.config.shaping.push_back(rule);
    }

    void send() {
        Mail mail;
        const int site = 1 + static_cast<int>(below(kSites));
        mail.to.clear();
        for (std::uint32_t i = 0; i <= below(3); ++i) mail.to.push_back("r" + std::to_string(i) + "@" + domain(site));
        mail.virtual_mta = "v" + std::to_string(1 + below(3));
        mail.pool = "p";
        mail.priority = static_cast<Priority>(below(kPriorities));
        sent_ += mail.to.size();
        world_.hand_over(mail);
    }

    void check_connections() {
        std::uint32_t total = 0;
        std::map<std::string, std::uint32_t> by_source;
        for (int i = 1; i <= kSites; ++i) {
            FakeHost& host = world_.host(endpoint(i));
            total += host.open;
            REQUIRE(host.open <= host_connections_);
            std::map<std::string, std::uint32_t> of_queue;
            for (const auto& peer : host.peers) {
                if (!peer->is_open()) continue;
                ++of_queue[peer->client().address.to_string()];
                ++by_source[peer->client().address.to_string()];
            }
            for (const auto& [source, open] : of_queue) REQUIRE(open <= queue_connections_);
            if (host.open == 0) host.peers.clear();
        }
        REQUIRE(total <= total_connections_);
        for (const auto& [source, limit] : source_connections_) REQUIRE(by_source[source] <= limit);
    }

    template <class Which>
    void check_rate(const config::Rate& rate, Which&& which) {
        if (rate.is_unlimited()) return;
        std::vector<SteadyTime> at;
        for (const Attempt& attempt : attempts_) {
            if (which(attempt)) at.push_back(attempt.at);
        }
        for (std::size_t i = 0; i < at.size(); ++i) {
            for (std::size_t j = i + 1; j < at.size() && at[j] - at[i] < 1min; ++j) {
                REQUIRE(static_cast<Duration::rep>(j - i + 1) <= (at[j] - at[i]) / rate.interval() + 1);
            }
        }
    }

    void check_rates() {
        check_rate(total_rate_, [](const Attempt&) { return true; });
        for (const std::string& source : kSources) {
            check_rate(source_rate_[source], [&](const Attempt& a) { return a.source == source; });
            for (int i = 1; i <= kSites; ++i) {
                check_rate(queue_rate_, [&](const Attempt& a) { return a.source == source && a.site == i; });
            }
        }
        for (int i = 1; i <= kSites; ++i) check_rate(host_rate_, [&](const Attempt& a) { return a.site == i; });
    }

    // At every site the first day with mail has the first limit, the second one the second.
    void check_warm_up() {
        for (int i = 1; i <= kSites; ++i) {
            std::map<std::int64_t, std::uint32_t> by_day;
            for (const Attempt& attempt : attempts_) {
                if (attempt.source == kSources[1] && attempt.site == i) ++by_day[attempt.day];
            }
            std::size_t day = 0;
            for (const auto& [date, count] : by_day) REQUIRE(count <= warm_up_[std::min<std::size_t>(day++, 1)]);
        }
    }

    std::mt19937_64 random_;
    SenderWorld world_;
    std::vector<Attempt> attempts_;
    std::size_t sent_ = 0;
    std::uint32_t queue_connections_ = 0, host_connections_ = UINT32_MAX, total_connections_ = UINT32_MAX;
    std::map<std::string, std::uint32_t> source_connections_;
    config::Rate queue_rate_, host_rate_, total_rate_;
    std::map<std::string, config::Rate> source_rate_;
    std::array<std::uint32_t, 2> warm_up_{};
};

}  // namespace

TEST_CASE("whatever limits are set, none is exceeded at the receiving side, and all mail goes", "[P5][P7]") {
    const char* const asked = std::getenv("POSTFLEET_RANDOM_LIMITS");
    const std::uint64_t worlds = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 25;
    for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
        INFO("seed " << seed);
        RandomLimits(seed).run();
    }
}
