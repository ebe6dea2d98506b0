#include "postfleet/routing/snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "bindings.hpp"
#include "lookup.hpp"
#include "postfleet/base/text.hpp"
#include "providers.hpp"
#include "target_rules.hpp"

namespace postfleet::routing {

namespace {

// A VMTA, or a pool of them. Weights are added up, so that a random number finds its member.
struct Target {
    struct Member {
        std::string virtual_mta;
        std::uint32_t weight = 1;
    };
    std::string name;
    bool is_pool = false;
    Priority priority = Priority::Normal;
    std::vector<Member> members;
};

std::string_view choose(const Target& target, std::span<const std::string_view> excluded, std::uint64_t random) {
    const auto is_excluded = [&](const Target::Member& member) {
        return std::find(excluded.begin(), excluded.end(), member.virtual_mta) != excluded.end();
    };
    std::uint64_t total = 0;
    for (const auto& member : target.members) {
        if (excluded.empty() || !is_excluded(member)) total += member.weight;
    }
    if (total == 0) return {};
    std::uint64_t at = random % total;
    for (const auto& member : target.members) {
        if (!excluded.empty() && is_excluded(member)) continue;
        if (at < member.weight) return member.virtual_mta;
        at -= member.weight;
    }
    return {};
}

}  // namespace

struct Snapshot::Tables {
    explicit Tables(const config::Config& config)
        : version(config.version),
          unknown(config.unknown_virtual_mta),
          bindings(config.bindings),
          providers(config.providers),
          target_rules(config),
          routes(config.routes.begin(), config.routes.end()) {
        for (const auto& [name, mta] : config.virtual_mtas) {
            targets.emplace(name, Target{name, false, Priority::Normal, {{name, 1}}});
        }
        for (const auto& [name, pool] : config.pools) {
            Target target{name, true, pool.priority, {}};
            for (const auto& [member, weight] : pool.members) target.members.push_back({member, weight});
            targets.emplace(name, std::move(target));
        }
        for (const auto& rule : config.shaping) {
            if (!rule.match.domain.empty()) shaped_domains.insert(rule.match.domain);
            if (!rule.match.site.empty()) shaped_domains.insert(rule.match.site);
        }
        for (const auto& binding : config.bindings) rule_targets.push_back(find(binding.target));
        default_target = find(config.default_virtual_mta);
        require(default_target != nullptr);  // load_config() made sure
    }

    const Target* find(std::string_view name) const {
        const auto found = targets.find(name);
        return found == targets.end() ? nullptr : &found->second;
    }

    std::string version;
    config::Unknown unknown;
    Bindings bindings;
    Providers providers;
    TargetRules target_rules;
    StringMap<std::vector<config::RouteHop>> routes;
    StringMap<Target> targets;
    StringSet shaped_domains;  // what shaping rules name, domains and other sites
    std::vector<const Target*> rule_targets;
    const Target* default_target = nullptr;
};

Snapshot::Snapshot() = default;
Snapshot::~Snapshot() = default;

std::shared_ptr<const Snapshot> Snapshot::compile(const config::Config& config) {
    const std::shared_ptr<Snapshot> snapshot(new Snapshot);
    snapshot->tables_ = std::make_unique<const Tables>(config);
    return snapshot;
}

BindResult Snapshot::bind(const BindRequest& request, std::uint64_t random) const {
    const Target* target = nullptr;
    if (!request.virtual_mta.empty()) {
        target = tables_->find(request.virtual_mta);
        if (target == nullptr && tables_->unknown == config::Unknown::Refuse) {
            BindResult refused;
            refused.refusal = fmt::format("virtual MTA '{}' does not exist", printable(request.virtual_mta, 80));
            return refused;
        }
    }
    if (target == nullptr) {
        const auto rule = tables_->bindings.first_match(request);
        if (rule) target = tables_->rule_targets[*rule];
        else if (!request.user_virtual_mta.empty()) target = tables_->find(request.user_virtual_mta);
        if (target == nullptr) target = tables_->default_target;
    }
    BindResult result;
    result.virtual_mta = choose(*target, {}, random);
    if (target->is_pool) result.pool = target->name;
    result.priority = target->priority;
    return result;
}

std::span<const std::string> Snapshot::wanted_headers() const { return tables_->bindings.wanted_headers(); }
bool Snapshot::depends_on_recipient() const { return tables_->bindings.depends_on_recipient(); }

std::string_view Snapshot::choose_from_pool(std::string_view pool, std::span<const std::string_view> excluded,
                                            std::uint64_t random) const {
    const auto* target = tables_->find(pool);
    return target == nullptr ? std::string_view{} : choose(*target, excluded, random);
}

bool Snapshot::has_virtual_mta(std::string_view name) const {
    const auto* target = tables_->find(name);
    return target != nullptr && !target->is_pool;
}

const std::vector<config::RouteHop>* Snapshot::find_route(std::string_view domain) const {
    const auto& routes = tables_->routes;
    if (routes.empty()) return nullptr;
    if (const auto exact = routes.find(domain); exact != routes.end()) return &exact->second;
    for (auto dot = domain.find('.'); dot != std::string_view::npos; dot = domain.find('.', dot + 1)) {
        if (const auto parent = routes.find(domain.substr(dot)); parent != routes.end()) return &parent->second;
    }
    const auto all = routes.find(std::string_view("*"));
    return all == routes.end() ? nullptr : &all->second;
}

std::string Snapshot::site_of(std::string_view domain, std::span<const MxName> hosts) const {
    if (const auto* hops = find_route(domain)) {
        for (const auto& hop : *hops) {
            if (const auto provider = tables_->providers.find(hop.host); !provider.empty())
                return std::string(provider);
        }
        return std::string(domain);
    }
    if (hosts.empty()) return std::string(domain);

    std::vector<MxName> sorted(hosts.begin(), hosts.end());
    std::sort(sorted.begin(), sorted.end(), [](const MxName& a, const MxName& b) {
        return std::tie(a.preference, a.name) < std::tie(b.preference, b.name);
    });
    for (const auto& host : sorted) {
        if (host.preference != sorted.front().preference) break;
        if (const auto provider = tables_->providers.find(host.name); !provider.empty()) return std::string(provider);
    }
    if (tables_->shaped_domains.contains(domain)) return std::string(domain);
    return std::string(sorted.front().name);
}

Admission Snapshot::admit(std::string_view domain, std::vector<Hop> hops, HopsState state) const {
    return tables_->target_rules.admit(domain, std::move(hops), state);
}

const std::string& Snapshot::version() const { return tables_->version; }

}  // namespace postfleet::routing
