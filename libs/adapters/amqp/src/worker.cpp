#include "worker.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "postfleet/base/require.hpp"
#include "values.hpp"

namespace postfleet::amqp {

namespace {

constexpr auto kHeld = std::chrono::seconds(10);  // a connection that was good
constexpr int kFramesAtOnce = 512;                // then it is time to write

}  // namespace

Worker::Worker(const WorkerParts& parts, std::string what)
    : options_(parts.options),
      declarations_(parts.declarations),
      watch_(parts.watch),
      what_(std::move(what)),
      pause_(parts.options.shortest_pause),
      random_(std::random_device{}()),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    require(wake_fd_ >= 0);
    watch_.add(stall_);
}

Worker::~Worker() {
    require(!thread_.joinable());
    watch_.remove(stall_);
    ::close(wake_fd_);
}

void Worker::start() {
    thread_ = std::thread([this] { run(); });
}

void Worker::request_stop() {
    is_stopping_.store(true);
    wake();
}

void Worker::stop() {
    request_stop();
    if (thread_.joinable()) thread_.join();
}

void Worker::wake() {
    if (is_woken_.exchange(true)) return;
    const std::uint64_t one = 1;
    // It fails only when the counter is full, and then the thread is woken anyway.
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

std::string Worker::obstacle() const {
    if (!has_obstacle_.load(std::memory_order_relaxed)) return {};
    const std::lock_guard lock(mutex_);
    return obstacle_;
}

void Worker::set_obstacle(std::string why) {
    const std::lock_guard lock(mutex_);
    obstacle_ = std::move(why);
    has_obstacle_.store(!obstacle_.empty(), std::memory_order_relaxed);
}

short Worker::sleep_until(SteadyTime when, int fd, short events) {
    const SteadyTime now = steady_clock_now();
    const auto pause = std::clamp<Duration>(when - now, Duration::zero(), kPump);
    const timespec patience{pause.count() / 1'000'000'000, pause.count() % 1'000'000'000};
    pollfd polled[2] = {{wake_fd_, POLLIN, 0}, {fd, events, 0}};
    if (::ppoll(polled, fd >= 0 ? 2 : 1, &patience, nullptr) <= 0) return 0;
    if (polled[0].revents != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto got = ::read(wake_fd_, &count, sizeof count);
        is_woken_.store(false);
    }
    return fd >= 0 ? polled[1].revents : short{0};
}

void Worker::run() {
    const auto& hosts = options_.access.url.hosts;
    for (std::size_t turn = 0; !is_stopping(); ++turn) {
        try_host(hosts[turn % hosts.size()]);
        pause();
    }
    on_ended();
}

void Worker::try_host(const BrokerHost& host) {
    auto opened = Connection::open(options_, host, what_, stall_);
    const SteadyTime since = steady_clock_now();
    Status ended = opened ? Status() : Status(opened.error());
    if (opened) {
        connection_ = *std::move(opened);
        ended = declare();
        if (ended) ended = serve();
        if (ended) connection_->say_goodbye();
    }
    const std::string why = ended                    ? "stopping"
                            : stall_.was_shut_down() ? "the broker stands still: it reads nothing"
                                                     : ended.error().text;
    set_obstacle(why);
    on_lost(why);
    connection_.reset();
    if (steady_clock_now() - since > kHeld) pause_ = options_.shortest_pause;
    if (ended) return;
    options_.log.line(LogLevel::Warning, "broker-away")
        .field("what", what_)
        .field("host", host.to_string())
        .field("reason", why);
}

void Worker::pause() {
    const auto spread = pause_.count() / 4;
    const Duration jitter(std::uniform_int_distribution<Duration::rep>(-spread, spread)(random_));
    const SteadyTime until = steady_clock_now() + pause_ + jitter;
    while (!is_stopping() && steady_clock_now() < until) sleep_until(until, -1, 0);
    pause_ = std::min(pause_ * 2, options_.longest_pause);
}

// Before the topology is read: what is added meanwhile is declared in the next turn.
Status Worker::declare() {
    declared_ = declarations_.version();
    declared_at_ = steady_clock_now();
    return connection_->declare(declarations_.topology(), options_.log);
}

void Worker::doubt_declarations() {
    if (steady_clock_now() - declared_at_ >= kDeclareAgain) declared_ = 0;
}

Status Worker::serve() {
    if (auto connected = on_connected(*connection_); !connected) return connected;
    set_obstacle({});
    options_.log.line(LogLevel::Info, "broker-connected").field("what", what_);
    SteadyTime heartbeat_at = steady_clock_now();
    for (;;) {
        const bool is_last = is_stopping();
        if (wants_to_read()) {
            if (auto read = read_frames(); !read) return read;
        }
        if (declared_ != declarations_.version()) {
            if (auto done = declare(); !done) return done;
        }
        const SteadyTime now = steady_clock_now();
        if (auto done = on_turn(*connection_, now); !done) return done;
        if (is_last) return {};
        const bool is_reading = wants_to_read();
        // What the library has read already would not wake us.
        amqp_connection_state_t const state = connection_->get();
        if (is_reading && (amqp_frames_enqueued(state) || amqp_data_in_buffer(state))) continue;
        const auto events = static_cast<short>((is_reading ? POLLIN : 0) | (wants_to_write() ? POLLOUT : 0));
        const short got = sleep_until(next_wake(), connection_->fd(), events);
        if (is_reading) continue;
        if ((got & (POLLERR | POLLHUP)) != 0) return Error{ErrorKind::Unavailable, "the connection was lost"};
        if (steady_clock_now() < heartbeat_at) continue;
        heartbeat_at = steady_clock_now() + options_.heartbeat / 3;
        if (auto sent = connection_->send_heartbeat(); !sent) return sent;
    }
}

Status Worker::read_frames() {
    for (int i = 0; i < kFramesAtOnce && wants_to_read(); ++i) {
        amqp_frame_t frame{};
        const auto read = connection_->read(frame);
        if (!read) return read.error();
        if (!*read) break;
        if (auto done = on_any_frame(frame); !done) return done;
        connection_->release();
    }
    return {};
}

Status Worker::on_any_frame(const amqp_frame_t& frame) {
    if (frame.frame_type == AMQP_FRAME_METHOD) {
        if (auto done = on_method(frame.payload.method, frame.channel); !done) return done;
    }
    if (frame.channel != kChannel) return {};
    return on_frame(*connection_, frame);
}

Status Worker::on_method(const amqp_method_t& method, amqp_channel_t channel) {
    const auto gone = [](const char* what, std::string text) {
        return Error{ErrorKind::Unavailable, std::string("the broker closed the ") + what + ": " + std::move(text)};
    };
    switch (method.id) {
        case AMQP_CONNECTION_BLOCKED_METHOD: {
            const auto* blocked = static_cast<const amqp_connection_blocked_t*>(method.decoded);
            const std::string why = "the broker takes nothing: " + std::string(to_view(blocked->reason));
            options_.log.line(LogLevel::Warning, "broker-blocked").field("what", what_).field("reason", why);
            on_blocked(why);
            return {};
        }
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            options_.log.line(LogLevel::Info, "broker-unblocked").field("what", what_);
            on_blocked({});
            return {};
        case AMQP_CONNECTION_CLOSE_METHOD: {
            const auto* close = static_cast<const amqp_connection_close_t*>(method.decoded);
            return gone("connection", close_text(close->reply_code, close->reply_text));
        }
        case AMQP_CHANNEL_CLOSE_METHOD: {
            // Everything on the channel is void; a new connection is the surest way to the same state.
            const auto* close = static_cast<const amqp_channel_close_t*>(method.decoded);
            return gone("channel", close_text(close->reply_code, close->reply_text));
        }
        default: break;  // methods are numbers from the wire, not an enum
    }
    if (channel != kChannel && channel != 0) {
        return Error{ErrorKind::Corruption, "the broker sent something for a channel that nobody opened"};
    }
    return {};
}

}  // namespace postfleet::amqp
