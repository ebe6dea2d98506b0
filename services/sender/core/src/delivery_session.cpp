#include "delivery_session.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace postfleet::sender {

void DeliverySession::open(Engine& engine, Shard& shard, std::shared_ptr<Queue> queue, std::uint32_t route,
                           std::shared_ptr<Destination> destination) {
    auto session = std::make_shared<DeliverySession>(engine, shard, std::move(queue), route, std::move(destination));
    shard.sessions.insert(session);
    engine.open_sessions.fetch_add(1);
    if (engine.traces->is_wanted()) session->join_trace("new connection of ");
    session->connector_.next(*session->settings_);
}

DeliverySession::DeliverySession(Engine& engine, Shard& shard, std::shared_ptr<Queue> queue, std::uint32_t route,
                                 std::shared_ptr<Destination> destination)
    : engine_(engine),
      shard_(shard),
      queue_(std::move(queue)),
      route_(route),
      settings_(queue_->settings()),
      connector_(engine, shard, queue_, *destination, *this) {}

bool DeliverySession::leaves_from(const VirtualMta& identity, const VirtualMta::Ban& ban) const {
    return queue_->virtual_mta.get() == &identity && connector_.source() &&
           ban.covers(*connector_.source(), queue_->site);
}

bool DeliverySession::is_paced() const {
    const auto& limits = connector_.limits();
    return std::any_of(limits.begin(), limits.end(), [](const LimitUse& use) { return use.allows.is_paced(); });
}

bool DeliverySession::counts_recipients() const {
    const auto& limits = connector_.limits();
    return std::any_of(limits.begin(), limits.end(),
                       [](const LimitUse& use) { return !use.allows.max_message_rate.is_unlimited(); });
}

bool DeliverySession::may_be_given(SteadyTime now, SteadyTime& wake_at) const {
    for (const LimitUse& use : connector_.limits()) {
        const SteadyTime next = use.limit->messages.next(use.pace());
        if (next <= now) continue;
        wake_at = std::min(wake_at, next);
        return false;
    }
    return true;
}

// --- opening -------------------------------------------------------------------------------------------

void DeliverySession::on_connection_up(std::string_view first_octets) {
    stream_ = connector_.take_stream();
    stream_->set_handler(*this);
    const SteadyTime now = shard_.executor->now();
    const bool pipelining = settings_->pipelining && engine_.peers.may_pipeline(connector_.peer(), now);
    most_transactions_ = engine_.peers.max_transactions(connector_.peer(), now);
    const bool is_tls_first = connector_.access() && connector_.access()->is_implicit_tls;
    smtp_.emplace(smtp::ClientOptions{connector_.ehlo_name(), pipelining, is_tls_first});
    seen_replies_ = 0;
    tls_facts_ = {};
    tls_text_.clear();
    secure_ = nullptr;
    tallied_.clear();
    phase_ = Phase::Opening;
    find_demand();
    if (trace_) {
        trace_->note("connected to " + connector_.mx_host() + " " + connector_.mx_address() + " from " +
                     connector_.source_address());
    }
    if (is_tls_first) return secure_first(first_octets);
    set_phase_deadline();
    if (!first_octets.empty()) on_data(first_octets);
}

void DeliverySession::on_opening_failed(SmtpPhase phase, smtp::Ending ending, Reply reply) {
    engine_.metrics.connect_failures.add();
    if (ending == smtp::Ending::Lost) engine_.peers.on_unreachable(connector_.peer(), shard_.executor->now());
    if (trace_) trace_->note("cannot be used: " + reply.to_string());
    connector_.fail(phase, ending, std::move(reply));
    leave_address();
    goes_in_clear_ = false;
    connector_.next(*settings_);
}

void DeliverySession::leave_address() {
    stream_.reset();
    secure_ = nullptr;
    login_.reset();
    login_secrets_.reset();
    smtp_.reset();
    out_.clear();
    ++question_;
    waits_for_demand_ = false;
    phase_ = Phase::Connecting;
}

void DeliverySession::on_no_connection() {
    const Connector::Held &no_source = connector_.no_source(), &no_room = connector_.no_room();
    if (engine_.is_draining()) {
        queue_->on_open_abandoned(route_);
    } else if (!no_room.reason.empty()) {
        if (trace_) trace_->note("no connection: " + no_room.reason);
        queue_->on_no_room(route_, no_room.reason, no_room.until);
    } else if (!no_source.reason.empty()) {
        if (trace_) trace_->note("no connection: " + no_source.reason);
        queue_->on_no_source(route_, no_source.reason, no_source.until);
    } else {
        OpenFailure failure = connector_.take_failure();
        if (trace_) trace_->note("no connection: " + failure.mx_address + " " + failure.reply.to_string());
        const OpenFailure refusal = engine_.has_reply_rules() ? failure : OpenFailure{};
        queue_->on_open_failed(route_, std::move(failure), shard_);
        if (engine_.has_reply_rules()) engine_.react_to(refusal, queue_, shard_);
    }
    gone();
}

void DeliverySession::on_smtp_ready() {
    was_opened_ = true;
    engine_.peers.on_reachable(connector_.peer());
    queue_->on_opened(route_);
    wants_work_ = true;
}

// --- octets --------------------------------------------------------------------------------------------

void DeliverySession::on_data(std::string_view octets) {
    const auto self = shared_from_this();
    if (!smtp_ || phase_ == Phase::Gone) return;
    if (trace_) trace_->received(octets);
    in_handler_ = true;
    while (!octets.empty() && phase_ != Phase::Gone && smtp_) {
        switch (smtp_->on_octets(octets, out_)) {
            case smtp::ClientSession::Step::Wait: break;
            case smtp::ClientSession::Step::Ready: is_greeted_ = true; break;
            case smtp::ClientSession::Step::Handshake: secure(); break;
            case smtp::ClientSession::Step::Challenge: on_challenge(); break;
            case smtp::ClientSession::Step::SendBody: send_body(); break;
            case smtp::ClientSession::Step::TransactionDone:
                finish_transaction();
                wants_work_ = true;
                break;
            case smtp::ClientSession::Step::Closed:
                in_handler_ = false;
                on_smtp_closed();
                return;
        }
    }
    if (phase_ != Phase::Gone && std::exchange(is_greeted_, false)) on_greeted();
    if (phase_ != Phase::Gone && std::exchange(wants_work_, false)) next_work();
    in_handler_ = false;
    if (phase_ == Phase::Gone || !stream_) return;
    flush();
    if (smtp_->replies() != std::exchange(seen_replies_, smtp_->replies())) set_phase_deadline();
    maybe_pass_turn();
}

void DeliverySession::on_smtp_closed() {
    is_greeted_ = false;
    wants_work_ = false;
    switch (phase_) {
        case Phase::Opening:
            if (smtp_->closing_phase() == SmtpPhase::StartTls) {
                return on_tls_failed(smtp_->closing_ending(), smtp_->closing_reply());
            }
            if (smtp_->closing_phase() == SmtpPhase::Auth) return on_login_failed(smtp_->closing_reply());
            on_opening_failed(smtp_->closing_phase(), smtp_->closing_ending(), smtp_->closing_reply());
            return;
        case Phase::Idle:
            if (!queue_->leave_idle(*this, shard_)) break;  // work is on its way: assign() puts it back
            break;
        case Phase::Working:
            if (smtp_->has_transaction()) {
                finish_transaction();
            } else if (!is_loading_) {
                drop_work();
            }
            break;
        case Phase::Closing:
        case Phase::Connecting:
        case Phase::Gone: break;
    }
    // Whoever floods us is not listened to until he has had enough.
    if (smtp_->closing_ending() == smtp::Ending::Garbage) return gone();
    start_closing();
}

void DeliverySession::on_closed(const CloseReason& reason) {
    const auto self = shared_from_this();
    if (trace_ && phase_ != Phase::Connecting) trace_->note("the connection has ended: " + describe(reason));
    switch (phase_) {
        case Phase::Connecting: return;  // the connector's
        case Phase::Opening:
            if (reason.kind == CloseReason::Kind::TlsFailed && !smtp_->is_secured()) {
                return on_tls_failed(smtp::Ending::Lost, Reply{0, {4, 7, 5}, describe(reason)});
            }
            smtp_->on_lost(describe(reason));
            if (smtp_->closing_phase() == SmtpPhase::StartTls) {
                return on_tls_failed(smtp::Ending::Lost, smtp_->closing_reply());
            }
            return on_opening_failed(smtp_->closing_phase(), smtp::Ending::Lost, smtp_->closing_reply());
        case Phase::Idle: queue_->leave_idle(*this, shard_); break;
        case Phase::Working:
            has_timed_out_ = reason.kind == CloseReason::Kind::TimedOut;
            if (has_timed_out_) {
                smtp_->on_timed_out();
            } else {
                smtp_->on_lost(describe(reason));
            }
            if (smtp_->has_transaction()) {
                finish_transaction();
            } else if (!is_loading_) {
                drop_work();
            }
            break;
        case Phase::Closing: break;
        case Phase::Gone: return;
    }
    gone();
}

void DeliverySession::flush() {
    if (out_.empty()) return;
    if (trace_) trace_->sent(out_);
    stream_->write(out_);
    out_.clear();
}

void DeliverySession::join_trace(std::string_view how) {
    trace_ = engine_.traces->join(queue_->site, queue_->virtual_mta->name, *shard_.executor);
    if (trace_) trace_->note(std::string(how) + queue_->name);
}

Duration DeliverySession::phase_timeout() const {
    switch (smtp_->phase()) {
        case SmtpPhase::Greeting: return settings_->greeting_timeout;
        case SmtpPhase::Ehlo:
        case SmtpPhase::Auth: return settings_->ehlo_timeout;
        case SmtpPhase::Mail: return settings_->mail_timeout;
        case SmtpPhase::Rcpt: return settings_->rcpt_timeout;
        case SmtpPhase::Data: return settings_->data_timeout;
        case SmtpPhase::Body: return settings_->body_timeout;
        case SmtpPhase::EndOfData: return settings_->end_of_data_timeout;
        case SmtpPhase::StartTls: return settings_->tls_timeout;
        case SmtpPhase::Quit: return settings_->quit_timeout;
        case SmtpPhase::None:
        case SmtpPhase::Resolve:
        case SmtpPhase::Connect: break;
    }
    return Duration::max();  // idle: the idle timer decides
}

void DeliverySession::set_phase_deadline() {
    const Duration timeout = phase_timeout();
    stream_->set_deadline(timeout == Duration::max() ? SteadyTime::max() : shard_.executor->now() + timeout);
}

// --- closing -------------------------------------------------------------------------------------------

// From here on mail that waits for a connection knows that one comes.
void DeliverySession::enter_closing() {
    if (phase_ == Phase::Closing) return;
    phase_ = Phase::Closing;
    queue_->on_leaving(*this);
}

void DeliverySession::quit() {
    enter_closing();
    smtp_->quit(out_);
    if (in_handler_) return;
    flush();
    set_phase_deadline();
}

// Our FIN goes out; the permit goes back when the peer's has come, because until then it counts us.
void DeliverySession::start_closing() {
    enter_closing();
    if (!stream_) return gone();
    stream_->shutdown_write();
    stream_->set_deadline(shard_.executor->now() + kGoodbye);
}

void DeliverySession::gone() {
    if (phase_ == Phase::Gone) return;
    phase_ = Phase::Gone;
    stream_.reset();
    if (trace_) trace_->note("closed");
    trace_.reset();
    const auto limits = is_leaving_ ? connector_.limits() : std::vector<LimitUse>();
    connector_.stop();
    for (const LimitUse& use : limits) use.limit->count_leaving(-1);  // whoever had waited for it has been told
    shard_.executor->cancel(pace_timer_);
    shard_.executor->cancel(idle_timer_);
    const auto self = shared_from_this();
    shard_.sessions.erase(self);
    queue_->on_closed(*this, route_, shard_);
    engine_.open_sessions.fetch_sub(1);
}

void DeliverySession::drain() {
    draining_ = true;
    quit_if_idle();
}

void DeliverySession::leave() {
    if (phase_ == Phase::Idle) quit();
}

void DeliverySession::quit_if_idle() {
    if (phase_ == Phase::Idle && queue_->leave_idle(*this, shard_)) quit();
}

bool DeliverySession::is_idle_in(const SharedLimit& limit) const {
    if (phase_ != Phase::Idle) return false;
    const auto& addresses = connector_.limits();
    return queue_->counts_in(limit) || std::any_of(addresses.begin(), addresses.end(),
                                                   [&](const LimitUse& use) { return use.limit.get() == &limit; });
}

void DeliverySession::make_room(Shard& shard, SharedLimit& limit) {
    if (!limit.lacks_more()) return;
    std::vector<std::shared_ptr<DeliverySession>> idle;
    std::copy_if(shard.sessions.begin(), shard.sessions.end(), std::back_inserter(idle),
                 [&](const auto& session) { return session->is_idle_in(limit); });
    std::sort(idle.begin(), idle.end(), [](const auto& a, const auto& b) { return a->idle_since_ < b->idle_since_; });
    const SteadyTime now = shard.executor->now();
    for (const auto& session : idle) {
        const bool is_unused = session->idle_since_ + SharedLimit::kUnused <= now;
        if (!limit.lacks_room(Priority::Low) && !(is_unused && limit.lacks_more())) return;
        session->quit_if_idle();
    }
}

void DeliverySession::abandon() {
    phase_ = Phase::Gone;
    stream_.reset();
    connector_.abandon();
    work_ = {};
    companions_.clear();
}

void DeliverySession::become_idle() {
    phase_ = Phase::Idle;
    idle_since_ = shard_.executor->now();
    // One timer for many idle moments: it looks, when it fires, how long this one has lasted.
    if (idle_timer_) return;
    idle_timer_ = shard_.executor->schedule_at(idle_since_ + settings_->idle_timeout,
                                               [self = shared_from_this()] { self->on_idle_timer(); });
}

void DeliverySession::on_idle_timer() {
    idle_timer_ = {};
    if (phase_ != Phase::Idle) return;
    const SteadyTime until = idle_since_ + settings_->idle_timeout;
    if (shard_.executor->now() < until) {
        idle_timer_ = shard_.executor->schedule_at(until, [self = shared_from_this()] { self->on_idle_timer(); });
        return;
    }
    quit_if_idle();
}

}  // namespace postfleet::sender
