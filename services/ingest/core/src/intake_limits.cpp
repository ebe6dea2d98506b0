// How much of everything a client may have, and when it may have more.
#include <algorithm>
#include <array>
#include <utility>

#include "postfleet/ingest/intake.hpp"

namespace postfleet::ingest {
namespace {

constexpr Duration kLongestErrorDelay = std::chrono::seconds(30);
constexpr Duration kPatienceWhenFull = std::chrono::seconds(10);

throttle::Allowance allowance_of(const config::Rate& rate) { return {rate.count, rate.period}; }

// One limit that an arrival takes a part of.
struct Gauge {
    throttle::RateMeter* meter = nullptr;  // null: the client's, in the listener's table
    const config::Rate* rate = nullptr;
    const char* of = "";  // "… messages <of>"
};

const config::Rate& rate_of(const config::ArrivalRates& rates, Arrival arrival) {
    if (arrival == Arrival::Connection) return rates.connections;
    return arrival == Arrival::Message ? rates.messages : rates.recipients;
}

throttle::RateMeter& meter_of(ArrivalMeters& meters, Arrival arrival) {
    if (arrival == Arrival::Connection) return meters.connections;
    return arrival == Arrival::Message ? meters.messages : meters.recipients;
}

Gauge gauge_of(const Account& account, Arrival arrival, const char* of) {
    const bool is_message = arrival == Arrival::Message;
    return {is_message ? &account.meters->messages : &account.meters->recipients,
            is_message ? &account.limits.max_message_rate : &account.limits.max_recipient_rate, of};
}

Reason reason_of(Arrival arrival) {
    switch (arrival) {
        case Arrival::Connection: return Reason::ConnectionRate;
        case Arrival::Message: return Reason::MessageRate;
        case Arrival::Recipient: return Reason::RecipientRate;
        case Arrival::Error: break;
    }
    return Reason::ErrorRate;
}

const char* plural_of(Arrival arrival) {
    switch (arrival) {
        case Arrival::Connection: return "connections";
        case Arrival::Message: return "messages";
        case Arrival::Recipient: return "recipients";
        case Arrival::Error: break;
    }
    return "errors";
}

// Rounded up: who comes back then is not too early again.
std::string refusal_text(Arrival arrival, const char* of, const config::Rate& rate, Duration wait) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    return std::string("Too many ") + plural_of(arrival) + of + " (limit " + rate.to_string() + "), try again in " +
           std::to_string(std::max<std::int64_t>(seconds, 1)) + (seconds > 1 ? " seconds" : " second");
}

}  // namespace

const smtp::ServerSettings& Intake::session_settings() const {
    return is_throttled() ? rules_->session : rules_->trusted_session;
}

Duration Intake::command_patience() const {
    const Duration usual = rules_->listener.command_timeout;
    return listener_.process.is_nearly_full() ? std::min(usual, kPatienceWhenFull) : usual;
}

Duration Intake::delay_after(std::uint32_t errors) const {
    const Duration each = rules_->listener.error_delay;
    if (each == Duration::zero() || !is_throttled()) return Duration::zero();
    return std::min(each * static_cast<Duration::rep>(errors), kLongestErrorDelay);
}

IpAddress Intake::client_network() const {
    const config::Listener& listener = rules_->listener;
    const std::uint32_t bits = client_.v6 ? listener.client_prefix_v6 : listener.client_prefix_v4;
    return Network::around(client_, static_cast<std::uint8_t>(bits)).base;
}

// Whether its network has made so many mistakes that it is not heard for a while.
std::optional<smtp::Decision> Intake::check_client() {
    const config::Rate& rate = rules_->listener.max_error_rate_per_client;
    if (rate.is_unlimited() || !is_throttled()) return std::nullopt;
    const Duration wait = listener_.clients.wait(client_network(), static_cast<std::size_t>(Arrival::Error),
                                                 shard_.executor().now(), allowance_of(rate));
    if (wait == Duration::zero()) return std::nullopt;
    return refuse(Reason::ErrorRate, 421, {4, 7, 0}, refusal_text(Arrival::Error, " from your network", rate, wait));
}

void Intake::count_error() {
    const config::Rate& rate = rules_->listener.max_error_rate_per_client;
    if (rate.is_unlimited() || !is_throttled()) return;
    listener_.clients.take(client_network(), static_cast<std::size_t>(Arrival::Error), shard_.executor().now(),
                           allowance_of(rate));
}

// Takes one of every limit that holds here, or none, and says which of them is used up.
std::optional<smtp::Decision> Intake::throttle(Arrival arrival) {
    const bool by_account = user_ != nullptr && user_->has_rates && arrival != Arrival::Connection;
    if (!rules_->has_rates && !by_account) return std::nullopt;
    std::array<Gauge, 5> gauges;
    std::size_t used = 0;
    if (by_account) {
        gauges[used++] = gauge_of(user_->account, arrival, " of this user");
        gauges[used++] = gauge_of(user_->tenant_account, arrival, " of this tenant");
    }
    if (is_throttled()) {
        gauges[used++] = {nullptr, &rate_of(rules_->listener.rates_per_client, arrival), " from your network"};
    }
    gauges[used++] = {&meter_of(listener_.arrivals, arrival), &rate_of(rules_->listener.rates, arrival), ""};
    gauges[used++] = {&meter_of(listener_.process.arrivals, arrival), &rate_of(rules_->limits.rates, arrival), ""};

    const SteadyTime now = shard_.executor().now();
    const IpAddress network = client_network();
    const auto meter = static_cast<std::size_t>(arrival);
    for (std::size_t i = 0; i < used; ++i) {
        const throttle::Allowance allowance = allowance_of(*gauges[i].rate);
        const Duration wait = gauges[i].meter != nullptr ? gauges[i].meter->take(now, allowance)
                                                         : listener_.clients.take(network, meter, now, allowance);
        if (wait == Duration::zero()) continue;
        for (std::size_t taken = 0; taken < i; ++taken) {
            const throttle::Allowance back = allowance_of(*gauges[taken].rate);
            if (gauges[taken].meter != nullptr) gauges[taken].meter->give_back(back);
            else listener_.clients.give_back(network, meter, back);
        }
        const bool is_connection = arrival == Arrival::Connection;
        return refuse(reason_of(arrival), is_connection ? 421 : 450,
                      is_connection ? EnhancedStatus{4, 7, 0} : EnhancedStatus{4, 7, 1},
                      refusal_text(arrival, gauges[i].of, *gauges[i].rate, wait));
    }
    return std::nullopt;
}

std::optional<smtp::Decision> Intake::take_account_place() {
    if (user_ == nullptr || place_ != nullptr || origin_ != nullptr) return std::nullopt;
    place_ = AccountPlace::take(user_->account, user_->tenant_account);
    if (place_ != nullptr) return std::nullopt;
    return refuse(Reason::TooManyConnectionsOfUser, 421, {4, 7, 0}, "Too many connections of this user, try later");
}

bool Intake::may_hold_content(std::size_t octets) {
    if (merge_ != nullptr) octets += merge_->octets();
    if (octets == held_octets_) return true;
    const std::uint64_t limit = rules_->limits.memory_for_incoming;
    if (listener_.process.content.resize(held_octets_, octets, limit)) {
        held_octets_ = octets;
        return true;
    }
    shard_.counters().refused(Reason::MemoryLow);
    return false;
}

}  // namespace postfleet::ingest
