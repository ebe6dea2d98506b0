#include "traces.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::sender {

namespace {

std::string_view without_line_end(std::string_view line) {
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    return line;
}

// "AUTH PLAIN AGFubgBzZWNyZXQ=" → "AUTH PLAIN ****"; all of a line that answers a challenge.
std::string masked(std::string_view line) {
    constexpr std::string_view kMask = "****";
    if (!ascii_istarts_with(line, "AUTH ")) return std::string(kMask);
    const std::size_t response = line.find(' ', 5);
    if (response == std::string_view::npos) return std::string(line);
    return std::string(line.substr(0, response + 1)).append(kMask);
}

}  // namespace

// --- a session -----------------------------------------------------------------------------------------

SessionTrace::~SessionTrace() { traces_->leave(trace_); }

void SessionTrace::note(std::string text) { line(TraceLine::Direction::Note, text); }

void SessionTrace::received(std::string_view octets) {
    while (!octets.empty()) {
        const std::size_t end = octets.find('\n');
        const std::string_view piece = octets.substr(0, end);
        if (partial_.size() < kMostLineOctets) partial_.append(piece.substr(0, kMostLineOctets - partial_.size()));
        if (end == std::string_view::npos) return;
        line(TraceLine::Direction::Received, without_line_end(partial_));
        partial_.clear();
        octets.remove_prefix(end + 1);
    }
}

void SessionTrace::sent(std::string_view octets, Secrecy secrecy) {
    while (!octets.empty()) {
        const std::size_t end = std::min(octets.find('\n'), octets.size() - 1);
        const std::string_view text = without_line_end(octets.substr(0, end + 1));
        line(TraceLine::Direction::Sent, secrecy == Secrecy::Secret ? masked(text) : text);
        octets.remove_prefix(end + 1);
    }
}

void SessionTrace::sent_content(std::string_view octets) {
    if (shows_content_) return sent(octets);
    content_octets_ += octets.size();  // told with the line that comes next
}

void SessionTrace::line(TraceLine::Direction direction, std::string_view text) {
    if (const std::uint64_t content = std::exchange(content_octets_, 0); content > 0) {
        line(TraceLine::Direction::Note, std::to_string(content) + " octets of content");
    }
    traces_->add(trace_, {clock_.wall_now(), session_, direction, printable(text, kMostLineOctets)});
}

// --- all of them ---------------------------------------------------------------------------------------

std::unique_ptr<SessionTrace> Traces::join(std::string_view site, std::string_view virtual_mta, const Executor& clock) {
    const std::lock_guard lock(mutex_);
    drop_unread_locked(clock.now());
    for (auto& [number, trace] : traces_) {
        const std::string& queue = trace.request.queue;
        const std::size_t slash = queue.rfind('/');
        if (trace.joined == trace.request.sessions) continue;
        if (!matches_wildcard(std::string_view(queue).substr(0, slash), site)) continue;
        if (!matches_wildcard(std::string_view(queue).substr(slash + 1), virtual_mta)) continue;
        ++trace.joined;
        ++trace.open;
        count_wanted_locked();
        return std::make_unique<SessionTrace>(shared_from_this(), number, trace.joined, trace.request.with_content,
                                              clock);
    }
    return nullptr;
}

Result<std::uint64_t> Traces::begin(const TraceRequest& request, SteadyTime now) {
    if (request.queue.find('/') == std::string::npos) {
        return Error{ErrorKind::InvalidArgument,
                     "'" + printable(request.queue, 64) + "' is not a queue: write SITE/VMTA"};
    }
    const std::lock_guard lock(mutex_);
    drop_unread_locked(now);
    if (traces_.size() >= kMostTraces) {
        return Error{ErrorKind::ResourceExhausted, "others are tracing already, " + std::to_string(kMostTraces) +
                                                       " at once; try again when they have ended"};
    }
    Trace& trace = traces_[++last_];
    trace.request = request;
    trace.read_at = now;
    count_wanted_locked();
    return last_;
}

Result<TracePart> Traces::read(std::uint64_t number, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    drop_unread_locked(now);
    const auto found = traces_.find(number);
    if (found == traces_.end()) return Error{ErrorKind::NotFound, "this trace is over"};
    Trace& trace = found->second;
    trace.read_at = now;
    TracePart part;
    part.lines = std::exchange(trace.lines, {});
    part.left_out = std::exchange(trace.left_out, 0);
    part.sessions = trace.joined;
    part.is_over = trace.open == 0 && trace.joined == trace.request.sessions;
    if (part.is_over) traces_.erase(found);
    return part;
}

void Traces::add(std::uint64_t number, TraceLine line) {
    const std::lock_guard lock(mutex_);
    const auto found = traces_.find(number);
    if (found == traces_.end()) return;
    if (found->second.lines.size() >= kMostLines) {
        ++found->second.left_out;
    } else {
        found->second.lines.push_back(std::move(line));
    }
}

void Traces::leave(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    if (const auto found = traces_.find(number); found != traces_.end()) --found->second.open;
}

void Traces::drop_unread_locked(SteadyTime now) {
    std::erase_if(traces_, [&](const auto& entry) { return now - entry.second.read_at > kPatience; });
    count_wanted_locked();
}

void Traces::count_wanted_locked() {
    std::uint32_t wanted = 0;
    for (const auto& [number, trace] : traces_) wanted += trace.joined < trace.request.sessions ? 1 : 0;
    wanted_.store(wanted, std::memory_order_relaxed);
}

}  // namespace postfleet::sender
