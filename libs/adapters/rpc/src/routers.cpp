#include "routers.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <utility>

namespace postfleet::rpc {

namespace {

constexpr int kMostSnapshotOctets = 64 << 20;
constexpr Duration kTellAgainAfter = std::chrono::minutes(1);

grpc::ChannelArguments channel_arguments() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMostSnapshotOctets);
    // A router that is gone without a word is noticed within seconds, also by streams that wait.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 2'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // also the longest try to connect
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
    return arguments;
}

Counter& calls_counter(Metrics& metrics, const char* outcome) {
    return metrics.counter("postfleet_router_calls_total", "Attempts of calls to routers, by outcome.",
                           {{"outcome", outcome}});
}

}  // namespace

Routers::Routers(const RouterLinkSettings& settings)
    : attempt_deadline(settings.attempt_deadline),
      call_deadline(settings.call_deadline),
      addresses_(settings.addresses),
      calls_(calls_counter(settings.metrics, "answered")),
      failures_(calls_counter(settings.metrics, "unanswered")),
      retries_(settings.metrics.counter("postfleet_router_retries_total", "Calls to routers that were sent again.")),
      log_(settings.log) {
    for (const std::string& address : addresses_) {
        stubs_.push_back(v1::Router::NewStub(
            grpc::CreateCustomChannel(address, channel_credentials(settings.tls), channel_arguments())));
    }
    // Not every process begins with the same router.
    current_ = std::hash<std::string>()(settings.name) % stubs_.size();
}

void Routers::close() {
    std::unique_lock lock(mutex_);
    closing_ = true;
    ended_.wait(lock, [this] { return under_way_ == 0; });
    for (auto& stub : stubs_) stub.reset();
}

void Routers::leave(std::size_t router) {
    std::size_t seen = current_.load();
    if (seen % stubs_.size() == router) current_.compare_exchange_strong(seen, router + 1);
}

void Routers::succeeded(std::size_t router) {
    calls_.add();
    int budget = budget_.load();
    while (budget < kMostRetries * kCostOfRetry && !budget_.compare_exchange_weak(budget, budget + 1)) {
    }
    {
        const std::lock_guard lock(mutex_);
        obstacle_.clear();
        if (!std::exchange(is_away_told_, false)) return;
    }
    log_.line(LogLevel::Info, "router-answers").field("router", addresses_[router]);
}

void Routers::failed(std::size_t router, const Error& error) {
    failures_.add();
    {
        const std::lock_guard lock(mutex_);
        obstacle_ = addresses_[router] + ": " + error.text;
        const SteadyTime now = steady_clock_now();
        // Routers that answer some calls and not others are not worth a line each time.
        if (closing_) return;
        if (away_told_ && (is_away_told_ || now - *away_told_ < kTellAgainAfter)) return;
        away_told_ = now;
        is_away_told_ = true;
    }
    log_.line(LogLevel::Warning, "router-away")
        .field("router", addresses_[router])
        .field("reason", error.text)
        .field("then", "what is known goes on; it is asked again");
}

bool Routers::may_retry() {
    int budget = budget_.load();
    do {
        if (budget < kCostOfRetry) return false;
    } while (!budget_.compare_exchange_weak(budget, budget - kCostOfRetry));
    retries_.add();
    return true;
}

std::string Routers::obstacle() const {
    const std::lock_guard lock(mutex_);
    return obstacle_;
}

bool Routers::begin_call() {
    const std::lock_guard lock(mutex_);
    if (closing_) return false;
    ++under_way_;
    return true;
}

void Routers::end_call() {
    const std::lock_guard lock(mutex_);
    if (--under_way_ == 0) ended_.notify_all();
}

}  // namespace postfleet::rpc
