// router_probe: a service that does nothing but use routers, for the tests that end them.
//
//   router_probe DIRECTORY NAME HOST:PORT[,HOST:PORT…] [SENDER SPOOL-ID]
//
// Claims keys all the time and confirms them, a few at once, and says what it hears: one JSON line each for a
// configuration, orders, a grant, a refusal, and whether there are suppressions. At the end of standard input it prints what its claims were like.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/rpc/router_link.hpp"

namespace {

using namespace postfleet;

constexpr int kAtOnce = 8;

void say(const std::string& line) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);
}

// The executor's: a few claims under way, each followed by its confirm and the next.
class Claims {
public:
    Claims(rpc::RouterLink& link, Executor& executor, std::string name)
        : link_(link), executor_(executor), name_(std::move(name)) {}

    // What is under way still comes, and is counted.
    void stop() { stopped_ = true; }
    void begin() {
        if (stopped_) return;
        const IdempotencyKey key{"probe", name_ + "-" + std::to_string(++last_)};
        const SteadyTime start = steady_clock_now();
        link_.keys().claim({{.key = key, .message = ids_.next(wall_clock_now())}},
                           {&executor_, [this, key, start](auto verdicts) { on_verdict(key, start, verdicts); }});
    }
    void print() const {
        say("{\"event\":\"claims\",\"ok\":" + std::to_string(good_) + ",\"failed\":" + std::to_string(failed_) +
            ",\"not_new\":" + std::to_string(not_new_) + ",\"longest_ms\":" + std::to_string(longest_.count()) + "}");
    }

private:
    void on_verdict(const IdempotencyKey& key, SteadyTime start, const Result<std::vector<KeyVerdict>>& verdicts) {
        longest_ =
            std::max(longest_, std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock_now() - start));
        ++(verdicts ? good_ : failed_);
        if (stopped_) return;  // the link may be gone
        if (!verdicts) {
            executor_.schedule_at(executor_.now() + std::chrono::milliseconds(20), [this] { begin(); });
            return;
        }
        if (verdicts->at(0).state != KeyState::New) ++not_new_;
        link_.keys().confirm({key}, {&executor_, [this](const Status&) { begin(); }});
    }

    rpc::RouterLink& link_;
    Executor& executor_;
    const std::string name_;
    IdGenerator ids_;
    std::uint64_t last_ = 0, good_ = 0, failed_ = 0, not_new_ = 0;
    std::chrono::milliseconds longest_{0};
    bool stopped_ = false;
};

// The executor's: says each time that suppressions have come or are all gone.
class SuppressionWatch {
public:
    SuppressionWatch(const RecipientCheck& recipients, Executor& executor)
        : recipients_(recipients), executor_(executor) {}

    void stop() { stopped_ = true; }
    void look() {
        if (stopped_) return;
        const bool has_any = recipients_.has_any();
        if (has_any != had_any_) say(std::string("{\"event\":\"suppressions\",\"number\":") + (has_any ? "1}" : "0}"));
        had_any_ = has_any;
        executor_.schedule_at(executor_.now() + std::chrono::milliseconds(50), [this] { look(); });
    }

private:
    const RecipientCheck& recipients_;
    Executor& executor_;
    bool had_any_ = true;  // as has_any() before a router has said so
    bool stopped_ = false;
};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

std::string event(const char* name, std::uint64_t number) {
    return std::string("{\"event\":\"") + name + "\",\"number\":" + std::to_string(number) + "}";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 && argc != 6) return 2;
    Metrics metrics;
    auto loops = net::LoopGroup::create(1).value();
    loops->start();
    Executor& executor = (*loops)[0];
    rpc::RouterLinkSettings settings{.addresses = split(argv[3]),
                                     .tls = {},
                                     .service = "probe",
                                     .name = argv[2],
                                     .directory = argv[1],
                                     .executor = executor,
                                     .metrics = metrics,
                                     .log = {},
                                     .watches_orders = true,
                                     .checks_recipients = true};
    if (const char* ca = std::getenv("POSTFLEET_TLS_CA")) {
        settings.tls = {ca, std::getenv("POSTFLEET_TLS_CERTIFICATE"), std::getenv("POSTFLEET_TLS_KEY")};
    }
    auto link = rpc::RouterLink::open(std::move(settings));
    if (!link) {
        std::fprintf(stderr, "%s\n", link.error().text.c_str());
        return 1;
    }
    const auto first = (*link)->first_snapshot(std::chrono::seconds(20));
    if (!first) {
        std::fprintf(stderr, "%s\n", first.error().text.c_str());
        return 1;
    }
    say(event("configuration", first->epoch));
    (*link)->on_snapshot([](const ConfigurationSnapshot& snapshot) { say(event("configuration", snapshot.epoch)); });
    (*link)->on_orders([](const OrderChanges& changes) { say(event("orders", changes.revision)); });
    if (argc == 6) {
        (*link)->hold_sender({.claim = {.sender = argv[4], .spool_id = argv[5], .holder = argv[1]},
                              .on_granted = [](const SenderGrant& grant) { say(event("granted", grant.epoch)); },
                              .on_refused = [](const std::string&) { say(event("refused", 0)); }});
    }
    Claims claims(**link, executor, argv[2]);
    SuppressionWatch suppressions((*link)->recipients(), executor);
    executor.post([&] {
        for (int i = 0; i < kAtOnce; ++i) claims.begin();
        suppressions.look();
    });
    char end = 0;
    while (::read(0, &end, 1) > 0) {
    }
    std::promise<void> stopped;
    executor.post([&] {
        claims.stop();
        suppressions.stop();
        stopped.set_value();
    });
    stopped.get_future().wait();
    link->reset();
    loops->stop();
    loops->join();
    claims.print();
    return 0;
}
