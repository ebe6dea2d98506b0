#include "sink_counts.hpp"

#include <algorithm>

namespace postfleet::tools {

void SinkCounts::merge(const SinkCounts& other) {
    connections += other.connections;
    refused_connections += other.refused_connections;
    messages += other.messages;
    recipients += other.recipients;
    octets += other.octets;
    rejected_recipients += other.rejected_recipients;
    rejected_messages += other.rejected_messages;
    unanswered_messages += other.unanswered_messages;
    broken_transactions += other.broken_transactions;
    violations += other.violations;
    without_id += other.without_id;
    over_connections += other.over_connections;
    over_messages += other.over_messages;
    over_rate += other.over_rate;
    for (const auto& [domain, count] : other.recipients_by_domain) recipients_by_domain[domain] += count;
    for (const auto& [source, count] : other.messages_by_source) messages_by_source[source] += count;
    messages_by_second.resize(std::max(messages_by_second.size(), other.messages_by_second.size()));
    for (std::size_t i = 0; i < other.messages_by_second.size(); ++i)
        messages_by_second[i] += other.messages_by_second[i];
    deliveries.insert(deliveries.end(), other.deliveries.begin(), other.deliveries.end());
    latency.merge(other.latency);
}

std::uint64_t hash_delivery(std::string_view id, std::string_view recipient) {
    // FNV-1a, then the finaliser of splitmix64: ids that differ in their last digit end up far apart.
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto mix = [&](std::string_view text) {
        for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    };
    mix(id);
    mix(std::string_view("\0", 1));
    mix(recipient);
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    return hash ^ (hash >> 31);
}

DeliveryCheck check_deliveries(std::vector<std::uint64_t>& expected, std::vector<std::uint64_t>& arrived) {
    std::sort(expected.begin(), expected.end());
    std::sort(arrived.begin(), arrived.end());
    DeliveryCheck check;
    check.expected = expected.size();
    std::size_t e = 0;
    for (std::size_t a = 0; a < arrived.size();) {
        std::size_t next = a + 1;
        while (next < arrived.size() && arrived[next] == arrived[a]) ++next;
        ++check.unique;
        check.duplicated += next - a - 1;
        while (e < expected.size() && expected[e] < arrived[a]) {
            ++check.lost;
            ++e;
        }
        if (e < expected.size() && expected[e] == arrived[a]) {
            ++e;
        } else {
            ++check.unexpected;
        }
        a = next;
    }
    check.lost += expected.size() - e;
    return check;
}

}  // namespace postfleet::tools
