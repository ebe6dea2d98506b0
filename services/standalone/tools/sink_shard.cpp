#include "sink_shard.hpp"

#include <fmt/format.h>

#include "sink_session.hpp"

namespace postfleet::tools {

SinkReplies::SinkReplies(const SinkOptions& options) {
    const auto line = [&](int code, std::string_view enhanced, std::string_view text) {
        return options.enhanced_status && !enhanced.empty() ? fmt::format("{} {} {}\r\n", code, enhanced, text)
                                                            : fmt::format("{} {}\r\n", code, text);
    };
    greeting = line(220, "", options.hostname + " ESMTP postfleet sink");
    std::vector<std::string> keywords{options.hostname};
    if (options.pipelining) keywords.push_back("PIPELINING");
    if (options.chunking) keywords.push_back("CHUNKING");
    if (options.max_message_size != 0) keywords.push_back(fmt::format("SIZE {}", options.max_message_size));
    if (options.eight_bit) keywords.push_back("8BITMIME");
    if (options.enhanced_status) keywords.push_back("ENHANCEDSTATUSCODES");
    for (std::size_t i = 0; i < keywords.size(); ++i) {
        ehlo += fmt::format("250{}{}\r\n", i + 1 < keywords.size() ? '-' : ' ', keywords[i]);
    }
    helo = line(250, "", options.hostname);
    mail = line(250, "2.1.0", "ok");
    rcpt = line(250, "2.1.5", "ok");
    data = line(354, "", "end with a dot on a line by itself");
    accepted = line(250, "2.0.0", "accepted");
    ok = line(250, "2.0.0", "ok");
    bye = line(221, "2.0.0", "bye");
    vrfy = line(252, "2.5.2", "send some mail and see");
    bad_sequence = line(503, "5.5.1", "bad sequence of commands");
    bad_syntax = line(501, "5.5.4", "syntax error in the argument");
    unknown = line(500, "5.5.2", "command not recognized");
    too_big = line(552, "5.3.4", "message too big");
    too_many_recipients = line(452, "4.5.3", "too many recipients");
    line_too_long = line(500, "5.5.6", "line too long");
    busy = line(421, "4.3.2", "too many connections");
}

SinkShard::SinkShard(SinkShared& shared, net::EpollLoop& loop)
    : shared_(shared), loop_(loop), random_(shared.options.seed + loop.shard()) {
    if (shared.trace != nullptr) trace_.emplace(*shared.trace, shared.clock);
}

SinkShard::~SinkShard() = default;

void SinkShard::add(std::unique_ptr<Stream> stream) {
    auto session = std::make_unique<SinkSession>(*this, std::move(stream));
    SinkSession& started = *session;
    started.index = sessions_.size();
    sessions_.push_back(std::move(session));
    started.start();
}

void SinkShard::remove(SinkSession& session) {
    const std::size_t index = session.index;
    const std::unique_ptr<SinkSession> removed = std::move(sessions_[index]);
    if (index + 1 != sessions_.size()) {
        sessions_[index] = std::move(sessions_.back());
        sessions_[index]->index = index;
    }
    sessions_.pop_back();
    shared_.connections_now.fetch_sub(1, std::memory_order_relaxed);
}

void SinkShard::close_all() {
    while (!sessions_.empty()) remove(*sessions_.back());
    if (trace_) trace_->flush();
}

void SinkShard::count_recipient(std::string_view recipient) {
    ++counts_.recipients;
    const std::string_view domain = recipient.substr(std::min(recipient.rfind('@') + 1, recipient.size()));
    if (last_domain_ == nullptr || last_domain_->first != domain) {
        auto found = counts_.recipients_by_domain.find(domain);
        if (found == counts_.recipients_by_domain.end()) {
            found = counts_.recipients_by_domain.emplace(std::string(domain), 0).first;
        }
        last_domain_ = &*found;
    }
    ++last_domain_->second;
}

void SinkShard::count_message(std::uint64_t octets, const IpAddress& source) {
    ++counts_.messages;
    counts_.octets += octets;
    if (last_source_ == nullptr || last_source_->first != source) {
        last_source_ = &*counts_.messages_by_source.try_emplace(source, 0).first;
    }
    ++last_source_->second;
    const auto second = static_cast<std::size_t>(
        std::max<std::int64_t>(0, (loop_.now() - shared_.clock.started()) / std::chrono::seconds(1)));
    if (counts_.messages_by_second.size() <= second) counts_.messages_by_second.resize(second + 1);
    ++counts_.messages_by_second[second];
    const std::uint64_t total = shared_.messages.fetch_add(1, std::memory_order_relaxed) + 1;
    if (shared_.options.quit_after != 0 && total >= shared_.options.quit_after) {
        shared_.finished.store(true, std::memory_order_release);
    }
}

}  // namespace postfleet::tools
