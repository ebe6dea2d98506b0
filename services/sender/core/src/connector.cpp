#include "connector.hpp"

#include <algorithm>
#include <utility>

#include "engine.hpp"
#include "postfleet/proxy/header_writer.hpp"

namespace postfleet::sender {

std::string describe(const CloseReason& reason) {
    switch (reason.kind) {
        case CloseReason::Kind::PeerClosed: return "the server closed the connection";
        case CloseReason::Kind::TimedOut: return "timed out";
        case CloseReason::Kind::Reset:
        case CloseReason::Kind::ConnectRefused:
        case CloseReason::Kind::ConnectFailed:
        case CloseReason::Kind::BindFailed:
        case CloseReason::Kind::TlsFailed: break;
    }
    return reason.text.empty() ? "connection lost" : reason.text;
}

namespace {
// How long a server that was hung up on may take to notice; until then the connection counts.
constexpr Duration kAfterglow = std::chrono::seconds(1);
// For a connection that a limit of an address has no room for, if nobody tells before.
constexpr Duration kLookAgain = std::chrono::seconds(2);
}  // namespace

Connector::Connector(Engine& engine, Shard& shard, const std::shared_ptr<Queue>& queue, Destination& destination,
                     ConnectorOwner& owner)
    : engine_(engine),
      shard_(shard),
      queue_(queue),
      identity_(*queue->virtual_mta),
      destination_(destination),
      owner_(owner),
      give_up_at_(shard.executor->now() + kLongestSearch) {}

void Connector::choose_candidates() {
    has_chosen_ = true;
    const bool has_v4 = identity_.has_source(false), has_v6 = identity_.has_source(true);
    const OrderRules rules{.policy = settings_->address_family,
                           .has_v4_source = has_v4,
                           .has_v6_source = has_v6,
                           .is_avoided = [&, now = shard_.executor->now()](const Endpoint& peer) {
                               return engine_.peers.is_unreachable(peer, now);
                           }};
    candidates_ = delivery_order(*destination_.hops(), rules, shard_.random());
    failure_.reply = Reply{0, {4, 4, 4}, "no host of the destination has an address that may be used"};
    if (!has_v6) failure_.reply.text += "; " + identity_.name + " has no IPv6 source address";
    if (!has_v4) failure_.reply.text += "; " + identity_.name + " has no IPv4 source address";
}

void Connector::next(const shaping::Settings& settings) {
    settings_ = &settings;
    give_room_back();
    if (!has_chosen_) choose_candidates();
    const bool may_try = shard_.executor->now() < give_up_at_ && !engine_.is_draining();
    while (may_try && next_candidate_ < candidates_.size()) {
        if (try_candidate(candidates_[next_candidate_++])) return;
    }
    if (has_tried_ && !no_source_.is_login) no_source_ = {};
    if (full_) engine_.make_room(full_, shard_.executor->now());
    owner_.on_no_connection();
}

void Connector::again(const shaping::Settings& settings) {
    --next_candidate_;
    next(settings);
}

// The one that ends first.
void Connector::note(Held held, Held& in) {
    if (in.reason.empty() || held.until < in.until) in = std::move(held);
}

bool Connector::rests(const std::shared_ptr<const config::RouteAccess>& access) {
    const SteadyTime now = shard_.executor->now();
    auto rest = engine_.logins.hold_of(access, now);
    if (!rest) return false;
    note({std::move(rest->reason), std::min(rest->until, now + LoginMemory::kRecheck), true}, no_source_);
    return true;
}

void Connector::hold_login() { rests(candidates_[next_candidate_ - 1].access); }

// True: it is under way.
bool Connector::try_candidate(const Candidate& candidate) {
    const SteadyTime now = shard_.executor->now();
    if (candidate.access && rests(candidate.access)) return false;
    VirtualMta::Source source = identity_.choose_source(candidate.peer.address.v6, now, destination_.site);
    if (source.kind == VirtualMta::Source::Kind::AllDisabled) {
        note({source.reason, source.retry_at}, no_source_);
        return false;
    }
    peer_ = candidate.peer;
    mx_host_ = candidate.host;
    mx_address_ = candidate.peer.to_string();
    source_text_.clear();
    source_.reset();
    if (source.kind == VirtualMta::Source::Kind::NoneOfFamily) {
        fail(SmtpPhase::Connect, smtp::Ending::Lost, Reply{0, {4, 4, 1}, source.reason});
        return false;
    }
    if (source.kind == VirtualMta::Source::Kind::Address) source_ = source.address;
    if (!take_room(candidate)) return false;
    way_out_ = std::move(source.identity);
    ConnectRequest request{candidate.peer, source_, now + settings_->connect_timeout};
    if (way_out_ && way_out_->proxy) {
        request.peer = way_out_->proxy->address;
        request.source.reset();
    }
    deadline_ = request.deadline;
    stream_ = shard_.transport->connect(request, *this);
    return true;
}

// --- limits of addresses -------------------------------------------------------------------------------

bool Connector::take_room(const Candidate& candidate) {
    const SteadyTime now = shard_.executor->now();
    std::vector<LimitUse> wanted = engine_.limits.of_connection(
        destination_.site, source_, candidate.peer.address, settings_->per_source(), settings_->per_destination(), now);
    if (wanted.empty()) return true;
    std::vector<shaping::PacedScope> rates;
    for (LimitUse& use : wanted) {
        const SteadyTime next = use.limit->messages.next(use.pace());
        if (now < next) {
            hold("rate limited: " + use.limit->describe(), next);
        } else if (!use.limit->try_take_connection(use.allows.max_connections)) {
            use.limit->wait(queue_, SharedLimit::Need::Starved, settings_->priority);
            // One may have come back before we stood in line.
            if (use.has_room()) engine_.wake_next(use.limit);
            if (!full_) full_ = use.limit;
            hold("connection limit of " + use.limit->describe(), now + kLookAgain);
        } else {
            if (!use.connect_pace().is_unlimited()) rates.push_back({&use.limit->connects, use.connect_pace()});
            use.limit->leave(*queue_);
            limits_.push_back(std::move(use));
            continue;
        }
        give_room_back();
        return false;
    }
    const std::lock_guard lock(engine_.limits.rates_mutex());
    if (const auto wait = shaping::take_all(rates, {queue_.get(), settings_->priority}, 0, now)) {
        hold("connect rate limited: " + limits_.front().limit->describe(), *wait);
        give_room_back();
        return false;
    }
    return true;
}

void Connector::hold(std::string reason, SteadyTime until) { note({std::move(reason), until}, no_room_); }

void Connector::give_room_back() {
    if (limits_.empty()) return;
    auto give = [&engine = engine_, limits = std::exchange(limits_, {})] {
        for (const LimitUse& use : limits) {
            use.limit->give_back_connection();
            engine.wake_next(use.limit);
        }
    };
    if (!std::exchange(was_up_, false)) return give();
    shard_.executor->schedule_at(shard_.executor->now() + kAfterglow, std::move(give));
}

void Connector::stop() {
    stream_.reset();
    was_up_ = false;  // the owner has waited for the close
    give_room_back();
}

void Connector::abandon() {
    stream_.reset();
    limits_.clear();
}

bool Connector::has_other_host() const {
    const SteadyTime now = shard_.executor->now();
    return std::any_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
        return candidate.peer != peer_ && !engine_.peers.is_unreachable(candidate.peer, now);
    });
}

std::string Connector::ehlo_name() const {
    if (!way_out_) return {};
    for (const auto& [address, name] : way_out_->ehlo_names) {
        if (source_ == address) return name;
    }
    return way_out_->ehlo;
}

void Connector::fail(SmtpPhase phase, smtp::Ending ending, Reply reply) {
    has_tried_ = true;
    failure_ = {phase, ending, std::move(reply), mx_host_, mx_address_, source_text_};
}

void Connector::on_connected() {
    if (way_out_ && way_out_->proxy) return greet_proxy();
    source_text_ = stream_->local().address.to_string();
    on_up({});
}

// The proxy has taken the connection: tell it where to and from which address.
void Connector::greet_proxy() {
    using Kind = config::EgressProxy::Kind;
    if (source_) source_text_ = source_->to_string();
    std::string out;
    if (way_out_->proxy->kind == Kind::Socks5) {
        secrets_ = engine_.secrets();
        const Secret* password = nullptr;
        if (!way_out_->proxy_user.empty() && secrets_) {
            const auto found = secrets_->find(way_out_->proxy_password_file);
            if (found != secrets_->end()) password = &found->second;
        }
        socks_.emplace(proxy::Socks5Request{
            .target = peer_,
            .source = source_,
            .user = password != nullptr ? std::string_view(way_out_->proxy_user) : std::string_view{},
            .password = password != nullptr ? password->view() : std::string_view{}});
        socks_->begin(out);
        stream_->write(out);
        stream_->set_deadline(deadline_);
        return;
    }
    const auto version =
        way_out_->proxy->kind == Kind::HaproxyV1 ? proxy::HeaderVersion::Text : proxy::HeaderVersion::Binary;
    stream_->write(proxy::write_header(version, Endpoint{*source_, 0}, peer_));
    on_up({});
}

void Connector::on_data(std::string_view octets) {
    using Socks = proxy::Socks5Client;
    std::string out;
    const Socks::Step step = socks_->on_octets(octets, out);
    if (!out.empty()) stream_->write(out);
    if (step == Socks::Step::NeedsMore) return;
    if (step == Socks::Step::Connected) {
        if (socks_->bound()) source_text_ = socks_->bound()->to_string();
        socks_.reset();
        return on_up(octets);
    }
    const std::string problem = socks_->problem();
    switch (socks_->fault()) {
        case Socks::Fault::Proxy: on_proxy_failed(problem); break;
        case Socks::Fault::Source: on_bind_failed(problem); break;
        case Socks::Fault::Target: on_target_failed(problem); break;
    }
    stream_.reset();
    next(*settings_);
}

void Connector::on_up(std::string_view first_octets) {
    was_up_ = true;
    if (source_ && identity_.on_bound(*source_)) {
        engine_.report_source(EventType::VirtualMtaEnabled, identity_, source_->to_string(), {}, shard_);
    }
    if (way_out_ && way_out_->proxy && identity_.on_proxy_worked()) {
        engine_.report_source(EventType::VirtualMtaEnabled, identity_, {}, way_out_->proxy->to_string(), shard_);
    }
    owner_.on_connection_up(first_octets);
}

void Connector::on_closed(const CloseReason& reason) {
    if (way_out_ && way_out_->proxy) {
        on_proxy_failed(describe(reason));
    } else if (reason.kind == CloseReason::Kind::BindFailed && source_) {
        on_bind_failed(reason.text);
    } else {
        on_target_failed(describe(reason));
    }
    stream_.reset();
    next(*settings_);
}

void Connector::on_bind_failed(std::string_view why) {
    const std::string text = "cannot bind " + source_->to_string() + ": " + std::string(why);
    if (identity_.on_bind_failed(*source_, text, shard_.executor->now())) {
        engine_.report_source(EventType::VirtualMtaDisabled, identity_, source_->to_string(), text, shard_);
    }
    --next_candidate_;  // the same address, from another source if there is one
}

void Connector::on_proxy_failed(std::string_view why) {
    const std::string text = "proxy " + way_out_->proxy->to_string() + ": " + std::string(why);
    if (identity_.on_proxy_failed(text, shard_.executor->now())) {
        engine_.report_source(EventType::VirtualMtaDisabled, identity_, {}, text, shard_);
    }
    --next_candidate_;  // it says nothing about the address
}

void Connector::on_target_failed(std::string why) {
    engine_.metrics.connect_failures.add();
    engine_.peers.on_unreachable(peer_, shard_.executor->now());
    fail(SmtpPhase::Connect, smtp::Ending::Lost, Reply{0, {4, 4, 1}, std::move(why)});
}

}  // namespace postfleet::sender
