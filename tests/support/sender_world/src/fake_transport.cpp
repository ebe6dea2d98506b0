#include "postfleet/support/fake_transport.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::support {

// The client's end. Everything that goes to the handler is posted, never called from inside a call.
class FakeStream final : public Stream {
public:
    FakeStream(Executor& executor, StreamHandler& handler, Endpoint local, Endpoint remote)
        : executor_(executor),
          handler_(&handler),
          local_(local),
          remote_(remote),
          alive_(std::make_shared<FakeStream*>(this)) {}
    ~FakeStream() override { drop(); }

    void set_handler(StreamHandler& handler) override { handler_ = &handler; }
    void write(std::span<const WritePiece> pieces) override {
        for (const WritePiece& piece : pieces) unsent_.append(piece.octets);
        push();
        if (!unsent_.empty()) must_tell_writable_ = true;
    }
    std::size_t unsent_octets() const override { return unsent_.size(); }
    void pause_reading() override {}
    void resume_reading() override {}
    void set_deadline(SteadyTime when) override {
        executor_.cancel(deadline_);
        deadline_ = {};
        if (when == SteadyTime::max()) return;
        deadline_ = executor_.schedule_at(when, [this, weak = std::weak_ptr(alive_)] {
            if (!weak.lock() || handler_->on_deadline()) return;
            die({CloseReason::Kind::TimedOut, "timed out"});
        });
    }
    void shutdown_write() override {
        is_shut_ = true;
        if (unsent_.empty()) tell_peer_of_fin();
    }
    void close() override { drop(); }
    Endpoint local() const override { return local_; }
    Endpoint remote() const override { return remote_; }

    // From the server's side.
    void connected(std::shared_ptr<Peer> peer, FakeHost& host) {
        peer_ = std::move(peer);
        host_ = &host;
        peer_->stream_ = this;
        ++host.open;
        host.most_open = std::max(host.most_open, host.open);
        const SteadyTime up = executor_.now() + host.connect_takes;
        at(up, [](FakeStream& s) { s.handler_->on_connected(); });
        at(up + host.greeting_after, [](FakeStream& s) {
            if (s.host_ != nullptr && !s.host_->greets_inside_tls) s.peer_->say(s.host_->greeting);
        });
    }
    void deliver(std::string octets) {
        later([octets = std::move(octets)](FakeStream& s) { s.handler_->on_data(octets); });
    }
    void die(CloseReason reason) {
        later([reason = std::move(reason)](FakeStream& s) {
            if (std::exchange(s.is_dead_, true)) return;
            s.leave_host();
            s.handler_->on_closed(reason);
        });
    }
    void push() {
        if (!peer_ || host_->is_stalled) return;
        const std::size_t n = std::min(unsent_.size(), host_->socket_octets);
        if (n == 0) return;
        const std::string out = unsent_.substr(0, n);
        unsent_.erase(0, n);
        // What the socket did not take goes a little later.
        if (!unsent_.empty()) later([](FakeStream& s) { s.push(); });
        const auto peer = peer_;
        later([peer, out](FakeStream&) { peer->on_octets(out); });
        if (unsent_.empty() && std::exchange(must_tell_writable_, false)) {
            later([](FakeStream& s) { s.handler_->on_writable(); });
        }
        if (unsent_.empty() && is_shut_) tell_peer_of_fin();
    }

private:
    template <class F>
    void later(F&& f) {
        executor_.post([weak = std::weak_ptr(alive_), f = std::forward<F>(f)]() mutable {
            if (const auto self = weak.lock()) f(**self);
        });
    }
    template <class F>
    void at(SteadyTime when, F&& f) {
        if (when <= executor_.now()) return later(std::forward<F>(f));
        executor_.schedule_at(when, [weak = std::weak_ptr(alive_), f = std::forward<F>(f)]() mutable {
            if (const auto self = weak.lock()) f(**self);
        });
    }
    void tell_peer_of_fin() {
        if (host_ == nullptr || host_->keeps_open_after_quit) return;
        die({CloseReason::Kind::PeerClosed, ""});
    }
    void leave_host() {
        executor_.cancel(deadline_);
        if (host_ == nullptr) return;
        --host_->open;
        host_ = nullptr;
        peer_->stream_ = nullptr;
    }
    void drop() {
        is_dead_ = true;
        leave_host();
        alive_.reset();
    }

    Executor& executor_;
    StreamHandler* handler_;
    const Endpoint local_, remote_;
    std::shared_ptr<FakeStream*> alive_;
    std::shared_ptr<Peer> peer_;
    FakeHost* host_ = nullptr;
    std::string unsent_;
    TimerId deadline_;
    bool must_tell_writable_ = false, is_shut_ = false, is_dead_ = false;
    friend class Peer;
    friend class FakeTlsClient;
};

// --- the server ----------------------------------------------------------------------------------------

void Peer::say(std::string_view octets) {
    if (stream_ != nullptr && !octets.empty()) stream_->deliver(std::string(octets));
}

void Peer::hang_up() {
    if (stream_ != nullptr) stream_->die({CloseReason::Kind::PeerClosed, ""});
}

void Peer::reset() {
    if (stream_ != nullptr) stream_->die({CloseReason::Kind::Reset, "connection reset by peer"});
}

void Peer::on_octets(std::string_view octets) {
    input_.append(octets);
    if (host_.on_octets && host_.on_octets(*this, input_)) return;
    if (!in_data_ && !chunk_) {
        const auto lines = static_cast<unsigned>(std::count(input_.begin(), input_.end(), '\n'));
        most_pipelined = std::max(most_pipelined, lines);
    }
    for (;;) {
        if (chunk_) {
            if (input_.size() < *chunk_) return;
            delivery_.content = input_.substr(0, *chunk_);
            input_.erase(0, *chunk_);
            chunk_.reset();
            if (delivery_.to.empty()) say("503 5.5.1 no valid recipients\r\n");
            else end_of_data();
            continue;
        }
        if (in_data_) {
            std::size_t end = input_.starts_with(".\r\n") && delivery_.content.empty() ? 0 : input_.find("\r\n.\r\n");
            if (end == std::string::npos) return;
            const bool is_empty = end == 0 && input_.starts_with(".\r\n");
            delivery_.content = is_empty ? "" : input_.substr(0, end + 2);
            input_.erase(0, is_empty ? 3 : end + 5);
            in_data_ = false;
            end_of_data();
            continue;
        }
        const std::size_t end = input_.find("\r\n");
        if (end == std::string::npos) return;
        const std::string line = input_.substr(0, end);
        input_.erase(0, end + 2);
        on_line(line);
    }
}

void Peer::end_of_data() {
    commands.push_back(".");
    std::optional<std::string> reply;
    if (host_.on_command) reply = host_.on_command(*this, ".");
    const std::string text = reply.value_or("250 2.0.0 queued\r\n");
    if (text.starts_with('2')) {
        delivery_.connection = number_;
        delivery_.is_secured = is_secured;
        delivery_.client = client_;
        delivery_.at = stream_ != nullptr ? stream_->executor_.now() : SteadyTime{};
        host_.deliveries.push_back(delivery_);
    }
    delivery_ = {};
    has_mail_ = false;
    say(text);
}

void Peer::on_line(std::string_view view) {
    const std::string line(view);
    commands.push_back(line);
    if (line.starts_with("BDAT ")) {
        chunk_ = std::stoul(line.substr(5));
        return;
    }
    if (line.starts_with("RCPT") && stream_ != nullptr) {
        host_.recipients_seen.emplace_back(stream_->executor_.now(), line);
    }
    std::optional<std::string> scripted;
    if (host_.on_command) scripted = host_.on_command(*this, line);
    std::string usual = "250 2.0.0 ok\r\n";
    if (line.starts_with("EHLO ")) {
        helo = line.substr(5);
        usual = host_.ehlo;
    } else if (line.starts_with("MAIL FROM:<")) {
        delivery_ = {};
        delivery_.from = line.substr(11, line.find('>') - 11);
    } else if (line.starts_with("RCPT TO:<") && !has_mail_) {
        usual = "503 5.5.1 MAIL first\r\n";
    } else if (line == "DATA") {
        usual = delivery_.to.empty() ? "554 5.5.1 no valid recipients\r\n" : "354 go ahead\r\n";
    } else if (line == "QUIT") {
        usual = "221 2.0.0 bye\r\n";
    }
    const std::string reply = scripted.value_or(usual);
    if (line.starts_with("MAIL FROM:<")) has_mail_ = reply.empty() || reply.starts_with('2');
    if (line.starts_with("RCPT TO:<") && reply.starts_with('2')) {
        delivery_.to.push_back(line.substr(9, line.find('>') - 9));
    }
    if (line == "DATA" && reply.starts_with("354")) in_data_ = true;
    say(reply);
    if (line == "QUIT" && !host_.keeps_open_after_quit) hang_up();
}

std::vector<std::string> FakeHost::recipients_delivered() const {
    std::vector<std::string> out;
    for (const Delivery& delivery : deliveries) out.insert(out.end(), delivery.to.begin(), delivery.to.end());
    std::sort(out.begin(), out.end());
    return out;
}

// --- TLS -----------------------------------------------------------------------------------------------

namespace {

class FakeSecureStream final : public SecureStream, private StreamHandler {
public:
    FakeSecureStream(std::unique_ptr<Stream> plain, StreamHandler& handler)
        : plain_(std::move(plain)), handler_(&handler) {
        plain_->set_handler(*this);
    }
    TlsFacts security() const override { return facts; }
    TlsFailure failure() const override { return failed_; }
    using Stream::write;
    void set_handler(StreamHandler& handler) override { handler_ = &handler; }
    void write(std::span<const WritePiece> pieces) override { plain_->write(pieces); }
    std::size_t unsent_octets() const override { return plain_->unsent_octets(); }
    void pause_reading() override {}
    void resume_reading() override {}
    void set_deadline(SteadyTime when) override { plain_->set_deadline(when); }
    void shutdown_write() override { plain_->shutdown_write(); }
    void close() override { plain_->close(); }
    Endpoint local() const override { return plain_->local(); }
    Endpoint remote() const override { return plain_->remote(); }

    void finish(TlsFailure failure) {
        failed_ = failure;
        if (failure == TlsFailure::None) {
            is_up_ = true;
            return handler_->on_connected();
        }
        handler_->on_closed({CloseReason::Kind::TlsFailed, "TLS handshake: scripted failure"});
    }

    TlsFacts facts{.protocol = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256"};
    const std::shared_ptr<FakeSecureStream*> alive = std::make_shared<FakeSecureStream*>(this);

private:
    void on_data(std::string_view octets) override {
        if (is_up_) return handler_->on_data(octets);
        finish(TlsFailure::NotTls);  // plain text where TLS has to be
    }
    void on_writable() override { handler_->on_writable(); }
    void on_closed(const CloseReason& reason) override {
        if (is_up_) return handler_->on_closed(reason);
        finish(reason.kind == CloseReason::Kind::TimedOut ? TlsFailure::TimedOut : TlsFailure::PeerClosed);
    }

    std::unique_ptr<Stream> plain_;
    StreamHandler* handler_;
    TlsFailure failed_ = TlsFailure::None;
    bool is_up_ = false;
};

}  // namespace

Result<std::unique_ptr<SecureStream>> FakeTlsClient::secure(std::unique_ptr<Stream> plain, const TlsRequest& request,
                                                            StreamHandler& handler) {
    const auto* stream = static_cast<FakeStream*>(plain.get());
    const std::shared_ptr<Peer> peer = stream->peer_;
    FakeHost& host = peer->host_;
    host.tls_requests.push_back(request);
    host.tls_rules.push_back(request.rules);
    const bool is_any = request.authentication == TlsAuthentication::Any;
    const TlsFailure failure = host.tls_failure != TlsFailure::None ? host.tls_failure
                               : is_any                             ? TlsFailure::None
                                                                    : host.verification;
    plain->set_deadline(request.deadline);
    auto secured = std::make_unique<FakeSecureStream>(std::move(plain), handler);
    secured->facts.is_verified = host.verification == TlsFailure::None;
    secured->facts.verification = host.verification;
    if (host.tls_hangs) return std::unique_ptr<SecureStream>(std::move(secured));
    executor_.post([weak = std::weak_ptr(secured->alive), peer, failure] {
        const auto self = weak.lock();
        if (!self || (*self)->failure() != TlsFailure::None) return;
        peer->is_secured = failure == TlsFailure::None;
        (*self)->finish(failure);
        if (peer->is_secured && peer->host_.greets_inside_tls) peer->say(peer->host_.greeting);
    });
    return std::unique_ptr<SecureStream>(std::move(secured));
}

// --- connecting ----------------------------------------------------------------------------------------

std::unique_ptr<Stream> FakeTransport::connect(const ConnectRequest& request, StreamHandler& handler) {
    Endpoint local{request.source.value_or(IpAddress::parse("127.0.0.1").value()), 40000};
    auto stream = std::make_unique<FakeStream>(executor_, handler, local, request.peer);
    if (request.deadline != SteadyTime::max()) stream->set_deadline(request.deadline);
    FakeHost& host = *shared().emplace(request.peer, std::make_shared<FakeHost>()).first->second;
    ++host.connects;
    host.connect_times.push_back(executor_.now());
    if (request.source && host.unbindable.contains(request.source->to_string())) {
        stream->die({CloseReason::Kind::BindFailed, "Cannot assign requested address"});
        return stream;
    }
    host.sources.push_back(local.address.to_string());
    if (host.refuses) {
        stream->die(*host.refuses);
    } else if (!host.is_black_hole) {
        auto peer = std::make_shared<Peer>(host, host.connects, local);
        host.peers.push_back(peer);
        stream->connected(std::move(peer), host);
    }
    return stream;
}

}  // namespace postfleet::support
