#include "connector.hpp"

#include <algorithm>
#include <utility>

#include "engine.hpp"

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

Connector::Connector(Engine& engine, Shard& shard, VirtualMta& identity, Destination& destination,
                     ConnectorOwner& owner)
    : engine_(engine),
      shard_(shard),
      identity_(identity),
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
    if (!has_chosen_) choose_candidates();
    const bool may_try = shard_.executor->now() < give_up_at_ && !engine_.is_draining();
    while (may_try && next_candidate_ < candidates_.size()) {
        if (try_candidate(candidates_[next_candidate_++])) return;
    }
    if (has_tried_) no_source_ = {};
    owner_.on_no_connection();
}

void Connector::again(const shaping::Settings& settings) {
    --next_candidate_;
    next(settings);
}

// True: it is under way.
bool Connector::try_candidate(const Candidate& candidate) {
    const SteadyTime now = shard_.executor->now();
    const VirtualMta::Source source = identity_.choose_source(candidate.peer.address.v6, now);
    if (source.kind == VirtualMta::Source::Kind::AllDisabled) {
        if (no_source_.reason.empty() || source.retry_at < no_source_.until) {
            no_source_ = {source.reason, source.retry_at};
        }
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
    stream_ = shard_.transport->connect({candidate.peer, source_, now + settings_->connect_timeout}, *this);
    return true;
}

void Connector::fail(SmtpPhase phase, smtp::Ending ending, Reply reply) {
    has_tried_ = true;
    failure_ = {phase, ending, std::move(reply), mx_host_, mx_address_, source_text_};
}

void Connector::on_connected() {
    if (source_ && identity_.on_bound(*source_)) {
        engine_.report_source(EventType::VirtualMtaEnabled, identity_, *source_, {}, shard_);
    }
    source_text_ = stream_->local().address.to_string();
    owner_.on_connection_up();
}

void Connector::on_closed(const CloseReason& reason) {
    if (reason.kind == CloseReason::Kind::BindFailed && source_) {
        on_bind_failed(reason);
    } else {
        engine_.metrics.connect_failures.add();
        engine_.peers.on_unreachable(peer_, shard_.executor->now());
        fail(SmtpPhase::Connect, smtp::Ending::Lost, Reply{0, {4, 4, 1}, describe(reason)});
    }
    stream_.reset();
    next(*settings_);
}

void Connector::on_bind_failed(const CloseReason& reason) {
    const std::string text = "cannot bind " + source_->to_string() + ": " + reason.text;
    if (identity_.on_bind_failed(*source_, text, shard_.executor->now())) {
        engine_.report_source(EventType::VirtualMtaDisabled, identity_, *source_, text, shard_);
    }
    --next_candidate_;  // the same address, from another source if there is one
}

}  // namespace postfleet::sender
