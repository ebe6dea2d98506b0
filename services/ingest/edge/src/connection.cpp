#include "connection.hpp"

#include <utility>

namespace postfleet::ingest {

using smtp::ServerSession;

EdgeShard::EdgeShard(net::EpollLoop& loop, Handover& handover, IngestCounters& counters, const Log& log,
                     std::uint64_t seed)
    : loop_(loop), intake_(loop, handover, counters, log, seed) {}

EdgeShard::~EdgeShard() { close_all(); }

void EdgeShard::accept(ShardListener& listener, std::unique_ptr<Stream> stream) {
    connections_.emplace_front(*this, listener, std::move(stream));
    Connection& connection = connections_.front();
    if (draining_ || listener.is_closing) connection.drain();
    connection.open(connections_.begin());
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
    connections_.clear();
    if (when_empty_) std::exchange(when_empty_, {})();
}

Connection::Connection(EdgeShard& shard, ShardListener& listener, std::unique_ptr<Stream> stream)
    : shard_(shard),
      listener_(listener),
      stream_(std::move(stream)),
      intake_(shard.intake(), *listener.shared, listener.rules, stream_->remote().address, *this),
      session_(intake_.rules().session, intake_) {
    stream_->set_handler(*this);
}

Connection::~Connection() {
    session_.lose();
    stream_->close();  // before the listener's limits are told
}

void Connection::open(std::list<Connection>::iterator self) {
    self_ = self;
    session_.open(shard_.output());
    finish_turn();
}

void Connection::drain() {
    if (ending_) return;
    session_.drain(shard_.output());
    if (session_.is_closed()) finish_turn();
}

void Connection::on_data(std::string_view octets) {
    if (ending_) return;  // read away
    refresh_rules();
    session_.receive(octets, shard_.output());
    finish_turn();
}

void Connection::resume(smtp::Decision decision) {
    session_.resume(std::move(decision), shard_.output());
    finish_turn();
}

void Connection::refresh_rules() {
    if (&intake_.rules() == listener_.rules.get() || session_.is_in_transaction() || !session_.wants_input()) return;
    intake_.use(listener_.rules);
    session_.use(intake_.rules().session);
}

void Connection::finish_turn() {
    std::string& output = shard_.output();
    if (!output.empty()) {
        stream_->write(output);
        output.clear();
    }
    if (session_.is_closed()) return end();
    const bool hold = session_.unread_octets() > 0 || stream_->unsent_octets() > kUnreadReplies;
    if (hold) stream_->pause_reading();
    else stream_->resume_reading();
    set_deadline();
}

void Connection::on_writable() {
    if (!ending_ && session_.unread_octets() == 0) stream_->resume_reading();
}

// Nothing more to say. After QUIT the client has nothing more to say either, and the socket can go; in all
// other cases it may still be sending.
void Connection::end() {
    if (session_.said_quit() && stream_->unsent_octets() == 0) {
        shard_.remove(self_);
        return;
    }
    ending_ = true;
    stream_->shutdown_write();
    stream_->resume_reading();
    stream_->set_deadline(shard_.loop().now() + kLinger);
}

void Connection::set_deadline() {
    const ServerSession::Waiting waiting = session_.waiting_for();
    const bool changed = std::exchange(waited_for_, waiting) != waiting;
    const SteadyTime now = shard_.loop().now();
    const config::Listener& listener = intake_.rules().listener;
    switch (waiting) {
        case ServerSession::Waiting::Nothing: return;
        case ServerSession::Waiting::Decision: stream_->set_deadline(SteadyTime::max()); return;
        case ServerSession::Waiting::Command: {
            const bool next = std::exchange(commands_seen_, session_.commands()) != session_.commands();
            if (changed || next) stream_->set_deadline(now + listener.command_timeout);
            return;
        }
        case ServerSession::Waiting::Content: {
            if (session_.content_octets() == 0) data_began_ = now;
            const auto earned = std::chrono::seconds(session_.content_octets() / kSlowestRate);
            stream_->set_deadline(data_began_ + listener.data_timeout + earned);
            return;
        }
    }
}

void Connection::on_closed(const CloseReason& reason) {
    if (!ending_) {
        IngestCounters& counters = shard_.intake().counters();
        if (reason.kind == CloseReason::Kind::TimedOut) counters.timeouts.add();
        if (session_.is_in_transaction()) counters.lost.add();
    }
    shard_.remove(self_);
}

}  // namespace postfleet::ingest
