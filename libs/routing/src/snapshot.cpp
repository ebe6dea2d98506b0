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
    Tables(const config::Config& config, std::string_view sender)
        : version(config.version),
          unknown(config.unknown_virtual_mta),
          bindings(config.bindings),
          providers(config),
          target_rules(config),
          routes(config.routes.begin(), config.routes.end()),
          origins(config.origins) {
        const auto is_its = [sender](const auto& mta) { return mta.second.sender == sender; };
        const auto first = std::find_if(config.virtual_mtas.begin(), config.virtual_mtas.end(), is_its);
        const bool all = sender.empty() || first == config.virtual_mtas.end();
        if (!all) otherwise = first->first;
        const auto may_choose = [&](const std::string& name) {
            const auto mta = config.virtual_mtas.find(name);
            return all || (mta != config.virtual_mtas.end() && is_its(*mta));
        };
        for (const auto& [name, mta] : config.virtual_mtas) {
            Target target{name, false, Priority::Normal, {}};
            if (may_choose(name)) target.members.push_back({name, 1});
            targets.emplace(name, std::move(target));
        }
        for (const auto& [name, pool] : config.pools) {
            Target target{name, true, pool.priority, {}};
            for (const auto& [member, weight] : pool.members) {
                if (may_choose(member)) target.members.push_back({member, weight});
            }
            targets.emplace(name, std::move(target));
        }
        for (const auto& rule : config.shaping) {
            if (!rule.match.domain.empty()) shaped_domains.emplace(rule.match.domain, rule.origin);
            if (!rule.match.site.empty()) shaped_domains.emplace(rule.match.site, rule.origin);
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
    std::string otherwise;  // what is chosen where nothing may be
    config::Unknown unknown;
    Bindings bindings;
    Providers providers;
    TargetRules target_rules;
    StringMap<std::vector<config::RouteHop>> routes;
    StringMap<Target> targets;
    std::map<std::string, Origin> origins;
    StringMap<Origin> shaped_domains;  // what shaping rules name, domains and other sites
    std::vector<const Target*> rule_targets;
    const Target* default_target = nullptr;
};

Snapshot::Snapshot() = default;
Snapshot::~Snapshot() = default;

std::shared_ptr<const Snapshot> Snapshot::compile(const config::Config& config, std::string_view sender) {
    const std::shared_ptr<Snapshot> snapshot(new Snapshot);
    snapshot->tables_ = std::make_unique<const Tables>(config, sender);
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
    if (result.virtual_mta.empty()) result.virtual_mta = tables_->otherwise;
    else if (target->is_pool) result.pool = target->name;
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

namespace {

// The key of the route that decides; null: none does.
const std::pair<const std::string, std::vector<config::RouteHop>>* nearest_route(
    const StringMap<std::vector<config::RouteHop>>& routes, std::string_view domain) {
    if (routes.empty()) return nullptr;
    if (const auto exact = routes.find(domain); exact != routes.end()) return &*exact;
    for (auto dot = domain.find('.'); dot != std::string_view::npos; dot = domain.find('.', dot + 1)) {
        if (const auto parent = routes.find(domain.substr(dot)); parent != routes.end()) return &*parent;
    }
    const auto all = routes.find(std::string_view("*"));
    return all == routes.end() ? nullptr : &*all;
}

// The most preferred hosts, by name.
std::vector<Hop> best_of(const std::vector<Hop>& hops) {
    std::vector<Hop> best = hops;
    std::sort(best.begin(), best.end(), [](const Hop& a, const Hop& b) {
        return std::tie(a.preference, a.host) < std::tie(b.preference, b.host);
    });
    const auto end = std::find_if(best.begin(), best.end(),
                                  [&](const Hop& hop) { return hop.preference != best.front().preference; });
    best.erase(end, best.end());
    return best;
}

}  // namespace

const std::vector<config::RouteHop>* Snapshot::find_route(std::string_view domain) const {
    const auto* route = nearest_route(tables_->routes, domain);
    return route == nullptr ? nullptr : &route->second;
}

Placement Snapshot::place(std::string_view domain, std::vector<Hop> hops) const {
    Placement placement{std::string(domain), {}, "nothing is known of its hosts", {}, std::move(hops)};
    const auto* route = nearest_route(tables_->routes, domain);
    auto match = tables_->providers.of_domain(domain);
    const auto best = best_of(placement.hops);
    if (route != nullptr) {
        placement.why = "route " + route->first;
        const auto origin = tables_->origins.find("routes." + route->first);
        if (origin != tables_->origins.end()) placement.origin = origin->second;
        for (const auto& hop : route->second) {
            if (!match) match = tables_->providers.of_name(hop.host);
        }
    } else if (!match) {
        match = tables_->providers.of_hosts(best);
    }
    if (match) {
        const config::Provider& provider = *match->provider;
        placement.site = placement.provider = provider.name;
        placement.why = fmt::format("provider {}: {}", provider.name, match->why);
        placement.origin = provider.origin;
        if (route == nullptr) {
            std::erase_if(placement.hops, [&](const Hop& hop) { return !Providers::may_use(provider, hop.host); });
        }
        return placement;
    }
    if (route != nullptr || best.empty()) return placement;
    if (const auto shaped = tables_->shaped_domains.find(domain); shaped != tables_->shaped_domains.end()) {
        placement.why = "a shaping rule names the domain";
        placement.origin = shaped->second;
        return placement;
    }
    placement.site = best.front().host;
    placement.why = "the first of the most preferred MX hosts";
    return placement;
}

Admission Snapshot::admit(std::string_view domain, std::vector<Hop> hops, HopsState state) const {
    return tables_->target_rules.admit(domain, std::move(hops), state);
}

bool Snapshot::may_connect_to(const IpAddress& address) const { return tables_->target_rules.may_connect_to(address); }

const std::string& Snapshot::version() const { return tables_->version; }

}  // namespace postfleet::routing
