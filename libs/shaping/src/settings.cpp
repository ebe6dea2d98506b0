#include "postfleet/shaping/settings.hpp"

#include <algorithm>
#include <array>

#include "postfleet/config/shaping_keys.hpp"

namespace postfleet::shaping {

namespace {

using config::Config;
using config::KeyScope;
using config::ShapingKey;
using config::ShapingRule;

struct Matching {
    int rank = 0;
    std::size_t index = 0;  // in Config::shaping
};

int rank_of(const config::ShapingMatch& match) {
    const int destination = !match.domain.empty() ? 2 : !match.site.empty() ? 1 : 0;
    const int identity = !match.virtual_mta.empty() ? 2 : !match.pool.empty() ? 1 : 0;
    return (destination * 3 + identity) * 2 + (match.tenant.empty() ? 0 : 1);
}

bool is_member(const Config& config, const std::string& pool, std::string_view virtual_mta) {
    const auto found = config.pools.find(pool);
    if (found == config.pools.end()) return false;
    const auto& members = found->second.members;
    return std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.first == virtual_mta; });
}

bool fits(const Config& config, const config::ShapingMatch& match, const QueueIdentity& queue, KeyScope scope) {
    // Mail in a queue of its own domain needs no domain given.
    const bool asks_mail = scope == KeyScope::Mail && !queue.domain.empty();
    const auto domain = asks_mail ? queue.domain : queue.site;
    const auto tenant = scope == KeyScope::Mail ? queue.tenant : std::string_view{};
    return (match.site.empty() || match.site == queue.site) && (match.domain.empty() || match.domain == domain) &&
           (match.virtual_mta.empty() || match.virtual_mta == queue.virtual_mta) &&
           (match.tenant.empty() || match.tenant == tenant) &&
           (match.pool.empty() || is_member(config, match.pool, queue.virtual_mta));
}

// The rules that apply, the one that wins last.
std::vector<Matching> matching_rules(const Config& config, const QueueIdentity& queue, KeyScope scope) {
    std::vector<Matching> out;
    for (std::size_t i = 0; i < config.shaping.size(); ++i) {
        const auto& match = config.shaping[i].match;
        if (fits(config, match, queue, scope)) out.push_back({rank_of(match), i});
    }
    std::stable_sort(out.begin(), out.end(), [](const Matching& a, const Matching& b) { return a.rank < b.rank; });
    return out;
}

// Calls visit(key, index of the rule that decides, or nothing) for every key.
template <class Visit>
void decide(const Config& config, const QueueIdentity& queue, Visit&& visit) {
    const std::array rules{matching_rules(config, queue, KeyScope::Queue),
                           matching_rules(config, queue, KeyScope::Mail)};
    config::for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
        const auto& candidates = rules[key.scope == KeyScope::Queue ? 0 : 1];
        const auto decides = std::find_if(candidates.rbegin(), candidates.rend(), [&](const Matching& candidate) {
            return (config.shaping[candidate.index].keys.*key.set).has_value();
        });
        visit(key, decides == candidates.rend() ? std::optional<std::size_t>{} : std::optional(decides->index));
    });
}

}  // namespace

Settings resolve(const Config& config, const QueueIdentity& queue) {
    Settings settings;
    decide(config, queue, [&]<class T>(const ShapingKey<T>& key, std::optional<std::size_t> rule) {
        if (rule) settings.*key.value = *(config.shaping[*rule].keys.*key.set);
    });
    return settings;
}

Settings in_backoff(const Settings& usual) {
    const auto slower = [](const config::Rate& a, const config::Rate& b) {
        return a.interval() < b.interval() ? b : a;
    };
    Settings careful = usual;
    careful.max_connections = std::min(usual.max_connections, usual.backoff_max_connections);
    careful.max_message_rate = slower(usual.max_message_rate, usual.backoff_max_message_rate);
    careful.max_connect_rate = slower(usual.max_connect_rate, usual.backoff_max_connect_rate);
    constexpr std::uint64_t kMuch = 1 << 30;
    if (usual.max_data_rate.time_for(kMuch) < usual.backoff_max_data_rate.time_for(kMuch)) {
        careful.max_data_rate = usual.backoff_max_data_rate;
    }
    careful.retry_after = usual.backoff_retry_after;
    return careful;
}

bool mail_keys_differ(const Config& config) {
    return std::any_of(config.shaping.begin(), config.shaping.end(), [](const ShapingRule& rule) {
        if (rule.match.domain.empty() && rule.match.tenant.empty()) return false;
        bool sets_mail_key = false;
        config::for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
            sets_mail_key = sets_mail_key || (key.scope == KeyScope::Mail && (rule.keys.*key.set).has_value());
        });
        return sets_mail_key;
    });
}

std::vector<ShortTimeout> timeouts_below_standard(const Config& config) {
    // What the standard asks for is our default.
    constexpr std::array kNamed{"greeting_timeout", "mail_timeout", "rcpt_timeout",
                                "data_timeout",     "body_timeout", "end_of_data_timeout"};
    std::vector<ShortTimeout> out;
    for (const ShapingRule& rule : config.shaping) {
        config::for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
            if constexpr (std::is_same_v<T, Duration>) {
                if (std::find(kNamed.begin(), kNamed.end(), key.name) == kNamed.end()) return;
                const std::optional<Duration>& value = rule.keys.*key.set;
                const Duration least = Settings{}.*key.value;
                if (value && *value < least) {
                    out.push_back({std::string(key.name), config::show_match(rule.match), *value, least});
                }
            }
        });
    }
    return out;
}

std::vector<ExplainedKey> explain(const Config& config, const QueueIdentity& queue) {
    std::vector<ExplainedKey> out;
    decide(config, queue, [&]<class T>(const ShapingKey<T>& key, std::optional<std::size_t> index) {
        ExplainedKey line;
        line.key = key.name;
        line.is_default = !index.has_value();
        if (index) {
            const auto& rule = config.shaping[*index];
            line.value = config::show_value(*(rule.keys.*key.set));
            line.rule = config::show_match(rule.match);
            const auto origin = config.origins.find("shaping[" + std::to_string(*index) + "]." + line.key);
            line.origin = origin == config.origins.end() ? rule.origin : origin->second;
        } else {
            line.value = config::show_value(Settings{}.*key.value);
        }
        out.push_back(std::move(line));
    });
    return out;
}

std::vector<ExplainedKey> explain_limits(const Config& config, const std::string& path,
                                         const config::FlowLimits& limits) {
    std::vector<ExplainedKey> out;
    const auto add = [&](std::string_view name, std::string value) {
        ExplainedKey& line = out.emplace_back();
        line.key = path + "." + std::string(name);
        line.is_default = value == "unlimited";
        line.value = std::move(value);
        if (const auto origin = config.origins.find(line.key); origin != config.origins.end()) {
            line.origin = origin->second;
        }
    };
    add("max_connections", config::show_value(limits.max_connections));
    add("max_message_rate", config::show_value(limits.max_message_rate));
    add("max_connect_rate", config::show_value(limits.max_connect_rate));
    add("max_data_rate", config::show_value(limits.max_data_rate));
    return out;
}

std::vector<ExplainedKey> explain_shared(const Config& config, const QueueIdentity& queue) {
    std::vector<ExplainedKey> out;
    const auto add = [&](const std::string& path, const config::FlowLimits& limits, std::string_view whose) {
        for (ExplainedKey& line : explain_limits(config, path, limits)) {
            if (line.is_default) continue;
            line.rule = whose;
            out.push_back(std::move(line));
        }
    };
    const std::string identity(queue.virtual_mta), site(queue.site);
    if (const auto found = config.virtual_mtas.find(identity); found != config.virtual_mtas.end()) {
        add("virtual_mtas." + identity, found->second.limits, "all queues of the virtual MTA");
    }
    if (const auto found = config.providers.find(site); found != config.providers.end()) {
        add("providers." + site, found->second.limits, "all queues of the provider");
    }
    add("outbound.per_source", config.outbound.per_source, "each source address");
    add("outbound", config.outbound.total, "all delivery");
    return out;
}

}  // namespace postfleet::shaping
