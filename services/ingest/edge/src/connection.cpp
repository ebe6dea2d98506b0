#include "connection.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::ingest {

using smtp::ServerSession;

namespace {

TlsFacts facts_of(const tls::TlsStream& stream, bool may_log_in) {
    const tls::Facts facts = stream.facts();
    TlsFacts known{.protocol = facts.protocol_name, .cipher = facts.cipher};
    if (may_log_in) {
        known.exporter_binding = stream.exporter_binding();
        known.server_end_point_binding = stream.server_end_point_binding();
    }
    if (facts.peer_certificate) {
        known.certificate_subject = facts.peer_certificate->subject;
        known.certificate_fingerprint = facts.peer_certificate->fingerprint_sha256;
        known.is_certificate_verified = facts.is_verified;
    }
    return known;
}

}  // namespace

EdgeShard::EdgeShard(net::EpollLoop& loop, Handover& handover, IngestCounters& counters, const Log& log,
                     std::uint64_t seed)
    : loop_(loop), intake_(loop, handover, counters, log, seed), workspace_(loop) {}

EdgeShard::~EdgeShard() { close_all(); }

void EdgeShard::accept(ShardListener& listener, std::unique_ptr<Stream> stream) {
    ProcessLimits& process = listener.shared->process;
    if (!process.connections.take(process.max_connections)) return turn_away(listener, *stream);
    connections_.emplace_front(*this, listener, std::move(stream));
    Connection& connection = connections_.front();
    if (draining_ || listener.is_closing) connection.drain();
    connection.open(connections_.begin());
}

// Without a Connection: a refusal must cost less than what is refused.
void EdgeShard::turn_away(const ShardListener& listener, Stream& stream) {
    intake_.counters().refused(Reason::TooManyConnectionsInAll);
    intake_.log()
        .line(LogLevel::Info, "refused")
        .field("listener", listener.rules->listener.name)
        .field("client", stream.remote().address.to_string())
        .field("reason", to_string(Reason::TooManyConnectionsInAll));
    const bool hears_smtp =
        listener.rules->listener.tls != config::ListenerTls::Implicit && !listener.rules->expects_proxy();
    if (hears_smtp) stream.write("421 4.3.2 Too many connections, try later\r\n");
    stream.close();
}

void EdgeShard::count_unheard(const ShardListener& listener) {
    constexpr Duration kWarningInterval = std::chrono::seconds(10);
    intake_.counters().refused(Reason::NoDescriptors);
    if (loop_.now() < next_warning_) return;
    next_warning_ = loop_.now() + kWarningInterval;
    intake_.log()
        .line(LogLevel::Warning, "no-descriptors")
        .field("listener", listener.rules->listener.name)
        .field("advice", "raise LimitNOFILE (systemd) or ulimit -n, or lower limits.max_connections");
}

void EdgeShard::remove(std::list<Connection>::iterator connection) {
    connections_.erase(connection);
    if (connections_.empty() && when_empty_) std::exchange(when_empty_, {})();
}

void EdgeShard::drain(ShardListener* listener) {
    (listener == nullptr ? draining_ : listener->is_closing) = true;
    for (auto at = connections_.begin(); at != connections_.end();) {
        Connection& connection = *at++;  // draining may remove it
        if (listener == nullptr || &connection.listener() == listener) connection.drain();
    }
}

void EdgeShard::when_empty(Callback then) {
    if (connections_.empty()) then();
    else when_empty_ = std::move(then);
}

void EdgeShard::close_all() {
    for (Connection& connection : connections_) connection.shut_down();
    connections_.clear();
    if (when_empty_) std::exchange(when_empty_, {})();
}

Connection::Connection(EdgeShard& shard, ShardListener& listener, std::unique_ptr<Stream> stream)
    : shard_(shard),
      listener_(listener),
      tls_(listener.tls),
      stream_(std::move(stream)),
      intake_(shard.intake(), *listener.shared, listener.rules, stream_->remote().address, *this),
      session_(intake_.session_settings(), intake_),
      opened_at_(shard.loop().now()) {
    stream_->set_handler(*this);
}

Connection::~Connection() {
    session_.lose();
    if (slow_until_) shard_.loop().cancel(slow_until_);
    if (stream_ != nullptr) stream_->close();  // before the limits are told
    listener_.shared->process.connections.give_back();
}

void Connection::open(std::list<Connection>::iterator self) {
    self_ = self;
    if (intake_.rules().expects_proxy()) await_header();
    else begin({});
}

void Connection::await_header() {
    if (!intake_.rules().is_proxy(stream_->remote().address)) {
        intake_.refuse_unheard(Reason::ProxyNotTrusted, "not a proxy of this listener");
        return shard_.remove(self_);
    }
    header_ = std::make_unique<proxy::HeaderReader>();
    stream_->set_deadline(shard_.loop().now() + kHeaderPatience);
}

void Connection::take_header(std::string_view octets) {
    switch (header_->take(octets)) {
        case proxy::HeaderReader::Progress::NeedsMore: return;
        case proxy::HeaderReader::Progress::Malformed:
            intake_.refuse_unheard(Reason::ProxyHeader, header_->problem());
            return shard_.remove(self_);
        case proxy::HeaderReader::Progress::Done: break;
    }
    const std::unique_ptr<proxy::HeaderReader> reader = std::move(header_);
    const auto& announced = reader->header().announced;
    intake_.proxied_for(announced ? std::optional(announced->client.address) : std::nullopt);
    session_.use(intake_.session_settings());
    begin(octets);
}

// `received` came behind the PROXY header.
void Connection::begin(std::string_view received) {
    if (intake_.rules().records_server) intake_.set_server(stream_->local().address);
    if (intake_.rules().listener.tls == config::ListenerTls::Implicit) {
        // There is nobody to say 421 to: the client waits for a handshake, not for SMTP.
        const bool may_begin = intake_.admit().kind == smtp::Decision::Kind::Accept &&
                               intake_.on_starttls().kind == smtp::Decision::Kind::Accept;
        if (!may_begin) return shard_.remove(self_);
        return start_tls(received);
    }
    session_.open(shard_.output());
    session_.receive(received, shard_.output());
    finish_turn();
}

void Connection::drain() {
    if (ending_) return;
    session_.drain(shard_.output());
    if (session_.is_closed()) finish_turn();
}

// The stream goes at once: what the kernel has taken, it sends.
void Connection::shut_down() {
    if (ending_ || stream_ == nullptr) return;
    std::string& output = shard_.output();
    session_.shut_down(output);
    if (!output.empty()) stream_->write(std::exchange(output, {}));
}

void Connection::start_tls(std::string_view received) {
    stream_->resume_reading();
    const Duration patience = intake_.are_handshakes_many() ? kShortPatience : kHandshakePatience;
    auto secured = tls::TlsStream::accept(std::move(stream_), *tls_,
                                          {.workspace = shard_.workspace(),
                                           .handler = *this,
                                           .handshake_deadline = shard_.loop().now() + patience,
                                           .received = received});
    if (!secured) {
        shard_.intake().counters().tls_failures.add();
        return shard_.remove(self_);
    }
    stream_ = std::move(*secured);
}

void Connection::on_connected() {
    shard_.intake().counters().tls_handshakes.add();
    const bool may_log_in = intake_.rules().auth != nullptr;
    intake_.secured(facts_of(static_cast<const tls::TlsStream&>(*stream_), may_log_in));
    session_.secured();
    if (session_.state() == ServerSession::State::Opening) session_.open(shard_.output());
    finish_turn();
}

void Connection::on_data(std::string_view octets) {
    if (ending_) return;  // read away
    if (header_ != nullptr) return take_header(octets);
    refresh_rules();
    if (shard_.loop().now() >= opened_at_ + intake_.rules().listener.max_session_time) session_.expire(shard_.output());
    session_.receive(octets, shard_.output());
    finish_turn();
}

void Connection::resume(smtp::Decision decision) {
    const std::uint32_t before = session_.messages();
    session_.resume(std::move(decision), shard_.output());
    if (session_.messages() != before) answered_late_ = client_ended_;
    finish_turn();
}

bool Connection::on_end() {
    if (session_.waiting_for() == ServerSession::Waiting::Decision) client_ended_ = true;
    return client_ended_;
}

bool Connection::on_deadline() {
    if (ending_ || header_ != nullptr) return false;  // lingered long enough; no PROXY header
    IngestCounters& counters = shard_.intake().counters();
    counters.timeouts.add();
    if (session_.is_in_transaction()) counters.lost.add();
    session_.time_out(shard_.output());
    finish_turn();
    return true;
}

void Connection::refresh_rules() {
    if (&intake_.rules() == listener_.rules.get() || session_.is_in_transaction() || !session_.wants_input()) return;
    intake_.use(listener_.rules);
    tls_ = listener_.tls;
    session_.use(intake_.session_settings());
}

void Connection::finish_turn() {
    std::string& output = shard_.output();
    if (!output.empty()) {
        stream_->write(output);
        output.clear();
    }
    const bool is_answered = client_ended_ && session_.waiting_for() != ServerSession::Waiting::Decision;
    if (session_.is_closed() || is_answered) return end();
    if (!session_.is_in_transaction())
        session_.use(intake_.session_settings());  // XCLIENT may have changed whose it is
    if (session_.wants_tls()) return start_tls({});
    slow_down();
    if (may_read() && stream_->unsent_octets() <= kUnreadReplies) stream_->resume_reading();
    else stream_->pause_reading();
    set_deadline();
}

bool Connection::may_read() const { return session_.unread_octets() == 0 && !slow_until_; }

void Connection::slow_down() {
    const std::uint32_t errors = std::exchange(errors_seen_, session_.errors());
    if (session_.errors() <= errors || slow_until_) return;
    const Duration delay = intake_.delay_after(session_.errors());
    if (delay == Duration::zero()) return;
    slow_until_ = shard_.loop().schedule_at(shard_.loop().now() + delay, [this] {
        slow_until_ = {};
        if (!ending_ && may_read()) stream_->resume_reading();
    });
}

void Connection::on_writable() {
    if (!ending_ && may_read()) stream_->resume_reading();
}

// Nothing more to say. After QUIT the client has nothing more to say either, and the socket can go; in all
// other cases it may still be sending.
void Connection::end() {
    if (session_.said_quit() && !client_ended_ && stream_->unsent_octets() == 0) {
        shard_.remove(self_);
        return;
    }
    ending_ = true;
    session_.lose();
    stream_->shutdown_write();
    stream_->resume_reading();
    stream_->set_deadline(shard_.loop().now() + kLinger);
}

void Connection::set_deadline() {
    const ServerSession::Waiting waiting = session_.waiting_for();
    const bool changed = std::exchange(waited_for_, waiting) != waiting;
    const SteadyTime now = shard_.loop().now();
    const bool next = std::exchange(commands_seen_, session_.commands()) != session_.commands();
    const config::Listener& listener = intake_.rules().listener;
    // For what is under way when the session has lasted too long.
    const SteadyTime last = opened_at_ + listener.max_session_time + listener.data_timeout;
    switch (waiting) {
        case ServerSession::Waiting::Nothing:
        case ServerSession::Waiting::Handshake: return;  // has its own
        case ServerSession::Waiting::Decision: stream_->set_deadline(SteadyTime::max()); return;
        case ServerSession::Waiting::Command:
            if (!changed && !next) return;
            stream_->set_deadline(std::min(now + intake_.command_patience(), last));
            return;
        case ServerSession::Waiting::Content: {
            // Each chunk of BDAT has a time of its own.
            if (changed || next) {
                data_began_ = now;
                octets_before_ = session_.content_octets();
            }
            const auto earned =
                std::chrono::seconds((session_.content_octets() - octets_before_) / listener.min_data_rate);
            stream_->set_deadline(std::min(data_began_ + listener.data_timeout + earned, last));
            return;
        }
    }
}

void Connection::on_closed(const CloseReason& reason) {
    IngestCounters& counters = shard_.intake().counters();
    // It had not only ended its side: nobody was there to read the 250.
    if (answered_late_ && reason.kind == CloseReason::Kind::Reset) counters.unanswered.add();
    if (header_ != nullptr && reason.kind == CloseReason::Kind::TimedOut) {
        intake_.refuse_unheard(Reason::ProxyHeader, "no PROXY header in time");
    } else if (!ending_) {
        if (session_.is_in_transaction()) counters.lost.add();
        if (reason.kind == CloseReason::Kind::TlsFailed) {
            counters.tls_failures.add();
            shard_.intake()
                .log()
                .line(LogLevel::Info, "tls-failed")
                .field("listener", intake_.rules().listener.name)
                .field("client", intake_.client().to_string())
                .field("text", reason.text);
        }
    }
    shard_.remove(self_);
}

}  // namespace postfleet::ingest
