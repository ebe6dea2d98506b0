#include "sink_provider.hpp"

#include <charconv>

#include "postfleet/base/text.hpp"

namespace postfleet::tools {

const SinkProvider::Words SinkProvider::kProviders[] = {
    {"gmail",
     "gmail-connections",
     "gmail-connection-expired",
     "gmail-rate",
     {.connections = 10, .messages = 100, .rate = 20}},
    {"yahoo", "yahoo-connections", "yahoo-messages", "yahoo-tss04", {.connections = 5, .messages = 20, .rate = 10}},
    {"microsoft",
     "microsoft-connections",
     "microsoft-messages",
     "microsoft-rate",
     {.connections = 20, .messages = 500, .rate = 50}},
};

namespace {

Result<std::uint32_t> parse_count(std::string_view text) {
    std::uint32_t count = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (failed != std::errc() || end != text.data() + text.size() || count == 0) {
        return Error{ErrorKind::InvalidArgument, "'" + std::string(text) + "' is not a number from 1 on"};
    }
    return count;
}

// N/s, N/m, N/h, as in the configuration.
Result<double> parse_per_second(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view unit = slash == text.npos ? std::string_view() : text.substr(slash + 1);
    const double seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
    if (seconds == 0) {
        return Error{ErrorKind::InvalidArgument,
                     "'" + std::string(text) + "' is not a rate like 100/s, 500/m or 9000/h"};
    }
    const Result<std::uint32_t> count = parse_count(text.substr(0, slash));
    if (!count) return count.error();
    return *count / seconds;
}

}  // namespace

Result<std::unique_ptr<SinkProvider>> SinkProvider::make(std::string_view name,
                                                         const std::vector<std::string>& limits) {
    for (const Words& words : kProviders) {
        if (words.name != name) continue;
        std::unique_ptr<SinkProvider> provider(new SinkProvider(words));
        for (const std::string& limit : limits) {
            if (Status set = provider->set(limit); !set) return set.error();
        }
        return provider;
    }
    return Error{ErrorKind::InvalidArgument,
                 name.empty() ? std::string("--limit needs a --provider")
                              : "--provider " + std::string(name) + ": gmail, yahoo and microsoft are known"};
}

Status SinkProvider::set(std::string_view limit) {
    const std::size_t equals = limit.find('=');
    const std::string_view key = limit.substr(0, equals);
    const std::string_view value = equals == limit.npos ? std::string_view() : limit.substr(equals + 1);
    const auto take = [&](auto parsed, auto& into) -> Status {
        if (!parsed)
            return Error{ErrorKind::InvalidArgument, "--limit " + std::string(key) + ": " + parsed.error().text};
        into = *parsed;
        return {};
    };
    if (key == "connections") return take(parse_count(value), limits_.connections);
    if (key == "messages") return take(parse_count(value), limits_.messages);
    if (key == "rate") return take(parse_per_second(value), limits_.rate);
    if (key == "window") return take(parse_duration(value), limits_.window);
    return Error{ErrorKind::InvalidArgument,
                 "--limit " + std::string(limit) + ": connections=, messages=, rate= and window= are known"};
}

std::string_view SinkProvider::connect(const IpAddress& source) {
    std::lock_guard lock(mutex_);
    Source& known = sources_[source];
    if (known.connections >= limits_.connections) return words_.too_many_connections;
    ++known.connections;
    return {};
}

void SinkProvider::disconnect(const IpAddress& source) {
    std::lock_guard lock(mutex_);
    --sources_[source].connections;
}

std::string_view SinkProvider::begin_message(const IpAddress& source, std::uint32_t before_on_connection,
                                             SteadyTime now) {
    if (before_on_connection >= limits_.messages) return words_.too_many_messages;
    if (limits_.rate <= 0) return {};
    std::lock_guard lock(mutex_);
    std::deque<SteadyTime>& messages = sources_[source].messages;
    while (!messages.empty() && messages.front() <= now - limits_.window) messages.pop_front();
    const double allowed = limits_.rate * std::chrono::duration<double>(limits_.window).count() + 1;
    if (static_cast<double>(messages.size() + 1) > allowed) return words_.too_fast;
    messages.push_back(now);
    return {};
}

}  // namespace postfleet::tools
