#include "check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "postfleet/config/accounting.hpp"
#include "postfleet/config/shaping_keys.hpp"
#include "postfleet/config/shipped_providers.hpp"

namespace postfleet::config {

namespace {

class Checker {
public:
    Checker(Reader& reader, const Config& config) : reader_(reader), config_(config) {}

    void run() {
        if (config_.listeners.empty() && config_.origins.contains("listeners") && !reader_.has_problem("listeners")) {
            report("listeners", "has no listener, so no mail could come in");
        }
        check_addresses();
        for (const auto& [name, identity] : config_.virtual_mtas) check_identity(identity);
        for (const auto& [name, pool] : config_.pools) check_pool(pool);
        for (const auto& [name, listener] : config_.listeners) {
            check_tenant(listener.tenant, "listeners." + name + ".tenant");
            check_tls(listener);
            check_auth(listener);
        }
        for (const auto& [name, pickup] : config_.pickups) check_pickup(pickup);
        for (const auto& [name, queue] : config_.submission_queues) check_submission_queue(queue);
        for (const auto& [name, listener] : config_.grpc_listeners) check_grpc_listener(listener);
        check_intake();
        for (const auto& [name, user] : config_.users) check_user(user);
        check_bindings();
        check_default();
        check_dsn();
        check_providers();
        for (std::size_t i = 0; i < config_.shaping.size(); ++i) check_shaping(i);
        for (std::size_t i = 0; i < config_.reply_patterns.size(); ++i) check_reply_pattern(i);
        for (std::size_t i = 0; i < config_.dkim.size(); ++i) check_dkim(i);
        check_reports();
    }

private:
    Origin origin_of(const std::string& path) const {
        const auto found = config_.origins.find(path);
        return found == config_.origins.end() ? Origin{} : found->second;
    }
    void report(const std::string& path, std::string text) { reader_.report(origin_of(path), path, std::move(text)); }

    template <class T>
    static void append_names(const std::map<std::string, T>& map, std::vector<std::string>& names) {
        for (const auto& [name, value] : map) names.push_back(name);
    }

    // Nothing to say for a value that was not given, or was wrong and reported already.
    template <class... Maps>
    void check_known(const std::string& name, const std::string& path, std::string_view what, const Maps&... maps) {
        if (name.empty() || (maps.contains(name) || ...)) return;
        std::vector<std::string> names;
        (append_names(maps, names), ...);
        report(path, fmt::format("there is no {} '{}'{}", what, name, suggestion(name, names)));
    }
    void check_target(const std::string& name, const std::string& path) {
        check_known(name, path, "virtual MTA or pool", config_.virtual_mtas, config_.pools);
    }
    void check_tenant(const std::string& tenant, const std::string& path) {
        check_known(tenant, path, "tenant", config_.tenants);
    }

    void check_addresses() {
        std::map<Endpoint, std::string> taken;
        const auto take = [&](const Endpoint& endpoint, const std::string& path) {
            if (endpoint.port == 0) return;
            const auto [at, is_new] = taken.emplace(endpoint, path);
            if (is_new) return;
            report(path, fmt::format("{} is the address of {} already ({})", endpoint.to_string(), at->second,
                                     origin_of(at->second).to_string()));
        };
        for (const auto& [name, listener] : config_.listeners) take(listener.address, "listeners." + name + ".address");
        for (const auto& [name, listener] : config_.grpc_listeners)
            take(listener.address, "grpc_listeners." + name + ".address");
        if (config_.http) take(config_.http->address, "http.address");
    }

    void check_tls(const Listener& listener) {
        const auto path = "listeners." + listener.name;
        if (listener.tls != ListenerTls::None) {
            if (listener.certificate.empty() && !reader_.has_problem(path + ".certificate")) {
                report(path + ".tls", "needs a certificate: give `certificate` and `private_key`");
            }
            return;
        }
        const auto has_no_effect = [&](const std::string& value, const std::string& key) {
            if (!value.empty()) report(path + key, "has no effect without TLS; set `tls: starttls` or `tls: implicit`");
        };
        has_no_effect(listener.certificate, ".certificate");
        has_no_effect(listener.private_key, ".private_key");
        has_no_effect(listener.client_ca, ".client_ca");
    }

    void check_auth(const Listener& listener) {
        const auto path = "listeners." + listener.name + ".auth";
        if (listener.auth == ListenerAuth::None) return;
        if (config_.users.empty()) report(path, "needs somebody who can log in: there are no `users`");
        if (listener.tls == ListenerTls::None && !listener.auth_without_tls) {
            report(path,
                   "would never be offered: without TLS passwords go in plain text; set `tls`, or "
                   "`auth_without_tls: true` where nobody else can listen");
        }
    }

    // Listeners and pickups share one namespace: `listener` of a binding and of an event can be either.
    void check_pickup(const Pickup& pickup) {
        const auto path = "pickups." + pickup.name;
        if (config_.listeners.contains(pickup.name)) {
            report(path, "there is a listener of that name; they share one namespace");
        }
        check_tenant(pickup.tenant, path + ".tenant");
        check_target(pickup.virtual_mta, path + ".virtual_mta");
        if (!pickup.directory.empty() && pickup.directory == pickup.bad_directory) {
            report(path + ".bad_directory", "is the directory that files are taken from");
        }
        for (const auto& [name, other] : config_.pickups) {
            if (name >= pickup.name || pickup.directory.empty() || other.directory != pickup.directory) continue;
            report(path + ".directory", fmt::format("is the directory of pickup '{}' too", name));
        }
    }

    void check_submission_queue(const SubmissionQueue& queue) {
        const auto path = "submission_queues." + queue.name;
        if (config_.listeners.contains(queue.name) || config_.pickups.contains(queue.name)) {
            report(path, "there is a listener or a pickup of that name; they share one namespace");
        }
        check_tenant(queue.tenant, path + ".tenant");
        check_target(queue.virtual_mta, path + ".virtual_mta");
        if (queue.queue == queue.rejected_queue)
            report(path + ".rejected_queue", "is the queue that mail is taken from");
    }

    void check_grpc_listener(const GrpcListener& listener) {
        const auto path = "grpc_listeners." + listener.name;
        if (config_.listeners.contains(listener.name) || config_.pickups.contains(listener.name) ||
            config_.submission_queues.contains(listener.name)) {
            report(path, "there is a listener, a pickup or a submission queue of that name; they share one namespace");
        }
        check_tenant(listener.tenant, path + ".tenant");
        check_target(listener.virtual_mta, path + ".virtual_mta");
        if (listener.relay_from.empty() && config_.users.empty()) {
            report(path + ".relay_from", "is empty and there are no `users`, so nobody could submit anything");
        }
        const bool has_tls = !listener.certificate.empty();
        if (!has_tls && !listener.unsafe_plaintext && !listener.address.address.is_loopback()) {
            report(path + ".address",
                   "is reached from elsewhere, so mail and passwords need TLS: give `certificate` and `private_key`, "
                   "or `unsafe_plaintext: true` where nobody else can listen");
        }
        const auto has_no_effect = [&](const std::string& value, const std::string& key) {
            if (!value.empty()) report(path + key, "has no effect without TLS; give a `certificate`");
        };
        if (!has_tls) has_no_effect(listener.private_key, ".private_key");
        if (!has_tls) has_no_effect(listener.client_ca, ".client_ca");
    }

    void check_intake() {
        const auto& domains = config_.intake.domains;
        std::set<std::string_view> seen;
        for (std::size_t i = 0; i < domains.size(); ++i) {
            const auto path = fmt::format("intake.domains[{}]", i);
            check_tenant(domains[i].tenant, path + ".tenant");
            if (!domains[i].domain.empty() && !seen.insert(domains[i].domain).second) {
                report(path + ".domain", fmt::format("'{}' is in the list twice", domains[i].domain));
            }
        }
    }

    void check_dkim(std::size_t index) {
        const DkimRule& rule = config_.dkim[index];
        const auto path = fmt::format("dkim[{}]", index);
        for (const std::string& tenant : rule.tenants) check_tenant(tenant, path + ".tenants");
        for (const std::string& user : rule.users) check_known(user, path + ".users", "user", config_.users);
        if (rule.identity.empty() || rule.domain.empty()) return;
        const std::string identity = "." + rule.identity.substr(rule.identity.rfind('@') + 1);
        if (rule.domain == "*" || !identity.ends_with("." + rule.domain)) {
            report(path + ".identity", "must be at the signing domain or below it (RFC 6376 §3.5)");
        }
    }

    void check_user(const User& user) {
        const auto path = "users." + user.name;
        check_tenant(user.tenant, path + ".tenant");
        check_target(user.virtual_mta, path + ".virtual_mta");
        if (user.password_file.empty() && user.certificate.empty() && !reader_.has_problem(path)) {
            report(path, "could never log in: give it a password_file or a certificate");
        }
        const auto tenant = config_.tenants.find(user.tenant);
        if (tenant != config_.tenants.end() && tenant->second.send_as.empty() &&
            !reader_.has_problem("tenants." + user.tenant)) {
            report(path, fmt::format("may send as nobody: list the domains of its tenant in tenants.{}.send_as "
                                     "(\"*\" allows any)",
                                     user.tenant));
        }
        for (const auto& [name, other] : config_.users) {
            if (name >= user.name || user.certificate.empty() || other.certificate != user.certificate) continue;
            report(path + ".certificate", fmt::format("is the certificate of user '{}' too", name));
        }
    }

    void check_identity(const VirtualMta& identity) {
        const auto path = "virtual_mtas." + identity.name;
        for (const auto& [address, name] : identity.ehlo_names) {
            const auto& sources = identity.sources;
            if (std::find(sources.begin(), sources.end(), address) != sources.end()) continue;
            report(path + ".ehlo_names", fmt::format("{} is not in its `source`", address.to_string()));
        }
        const bool is_socks = identity.proxy && identity.proxy->kind == EgressProxy::Kind::Socks5;
        if (identity.proxy && !is_socks && identity.sources.empty() && !reader_.has_problem(path)) {
            report(path + ".proxy", "needs `source`: its header tells the proxy which address to send from");
        }
        if (identity.proxy_user.empty() != identity.proxy_password_file.empty()) {
            report(path, "proxy_user and proxy_password_file belong together");
        } else if (!identity.proxy_user.empty() && !is_socks && !reader_.has_problem(path)) {
            report(path + ".proxy_user", "is only for a socks5:// proxy");
        }
    }

    void check_pool(const Pool& pool) {
        const auto path = "pools." + pool.name;
        if (const auto mta = config_.virtual_mtas.find(pool.name); mta != config_.virtual_mtas.end()) {
            reader_.report(pool.origin, path,
                           fmt::format("there is a virtual MTA of that name{}; they share one namespace",
                                       mta->second.origin.file.empty() ? "" : " at " + mta->second.origin.to_string()));
        }
        for (const auto& [member, weight] : pool.members) {
            if (config_.pools.contains(member) && !config_.virtual_mtas.contains(member)) {
                report(path + ".members", fmt::format("'{}' is a pool; members are virtual MTAs", member));
            } else {
                check_known(member, path + ".members", "virtual MTA", config_.virtual_mtas);
            }
        }
    }

    void check_bindings() {
        for (std::size_t i = 0; i < config_.bindings.size(); ++i) {
            const auto& binding = config_.bindings[i];
            const auto path = fmt::format("bindings[{}]", i);
            check_target(binding.target, path + ".virtual_mta");
            check_known(binding.listener, path + ".listener", "listener, pickup or submission queue", config_.listeners,
                        config_.pickups, config_.submission_queues, config_.grpc_listeners);
            check_tenant(binding.tenant, path + ".tenant");
            const bool takes_everything = !given_any_condition(path);
            if (takes_everything && i + 1 < config_.bindings.size()) {
                report(path, fmt::format("has no conditions and takes everything, so the {} after it never apply; "
                                         "make it the last, or use default_virtual_mta",
                                         config_.bindings.size() - i - 1));
            }
        }
    }

    bool given_any_condition(const std::string& path) const {
        const auto prefix = path + ".";
        for (auto at = config_.origins.lower_bound(prefix);
             at != config_.origins.end() && at->first.starts_with(prefix); ++at) {
            if (at->first != prefix + "virtual_mta") return true;
        }
        return false;
    }

    void check_default() {
        if (config_.tls_reports && !config_.tls_reports->virtual_mta.empty()) {
            check_target(config_.tls_reports->virtual_mta, "tls_reports.virtual_mta");
        }
        if (!config_.default_virtual_mta.empty()) {
            check_target(config_.default_virtual_mta, "default_virtual_mta");
        } else if (!config_.origins.contains("default_virtual_mta")) {
            report("virtual_mtas", fmt::format("there are {}, so default_virtual_mta must say which one or which pool "
                                               "takes the mail that no binding takes",
                                               config_.virtual_mtas.size()));
        }
    }

    void check_dsn() {
        if (!config_.dsn.virtual_mta.empty()) check_target(config_.dsn.virtual_mta, "dsn.virtual_mta");
    }

    void check_providers() {
        std::map<std::string, std::string> owners, domains;
        for (const auto& [name, provider] : config_.providers) {
            const auto path = "providers." + name;
            const bool is_shipped = config_.shipped_providers && shipped_providers().contains(name);
            const bool is_complete = provider.names_hosts() || (is_shipped && !provider.limits.is_unlimited());
            if (!is_complete && !reader_.has_problem(path)) {
                report(path, "names no mail servers; give it mx, domains or addresses");
            }
            if (provider.match == ProviderMatch::All && provider.mx.empty()) {
                report(path + ".match", "'all' is about mx, which is not given");
            }
            for (const auto& domain : provider.domains) {
                const auto [at, is_new] = domains.emplace(domain, name);
                if (!is_new && at->second != name) {
                    report(path + ".domains", fmt::format("'{}' is in provider '{}' already", domain, at->second));
                }
            }
            if (provider.match == ProviderMatch::All) continue;  // the same host may be in several of these
            for (const auto& wildcard : provider.mx) {
                const auto [at, is_new] = owners.emplace(wildcard, name);
                if (is_new || at->second == name) continue;
                report("providers." + name + ".mx",
                       fmt::format("'{}' is in provider '{}' already", wildcard, at->second));
            }
        }
    }

    void check_shaping(std::size_t index) {
        const auto& rule = config_.shaping[index];
        const auto path = fmt::format("shaping[{}]", index);
        check_site(rule.match.site, path + ".match.site");
        check_known(rule.match.virtual_mta, path + ".match.virtual_mta", "virtual MTA", config_.virtual_mtas);
        check_known(rule.match.pool, path + ".match.pool", "pool", config_.pools);
        check_tenant(rule.match.tenant, path + ".match.tenant");
        bool sets_any = false;
        for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
            if (!(rule.keys.*key.set)) return;
            sets_any = true;
            if (key.scope == KeyScope::Queue && !rule.match.tenant.empty()) {
                report(fmt::format("{}.{}", path, key.name),
                       "shapes a whole queue, which carries the mail of all tenants; a rule with `tenant` can set "
                       "retry_after, expire_after and dsn");
            }
        });
        if (rule.keys.backoff_reroute_to) {
            check_target(rule.keys.backoff_reroute_to->text, path + ".backoff.reroute_to");
        }
        if (rule.keys.tls_private_key && !rule.keys.tls_certificate) {
            report(path + ".tls_private_key", "needs a tls_certificate in the same rule");
        }
        if (!sets_any && !reader_.has_problem(path)) report(path, "sets nothing; give it a key, or take it out");
    }

    void check_reply_pattern(std::size_t index) {
        const ReplyRule& rule = config_.reply_patterns[index];
        const auto path = fmt::format("reply_patterns[{}]", index);
        check_site(rule.site, path + ".site");
        check_known(rule.virtual_mta, path + ".virtual_mta", "virtual MTA", config_.virtual_mtas);
        check_known(rule.pool, path + ".pool", "pool", config_.pools);
        check_tenant(rule.tenant, path + ".tenant");
        const auto has = [&](ReplyAction action) {
            return std::find(rule.actions.begin(), rule.actions.end(), action) != rule.actions.end();
        };
        using A = ReplyAction;
        const auto cannot_be_both = [&](A one, A other, std::string_view names) {
            if (has(one) && has(other)) report(path + ".action", fmt::format("{} contradict each other", names));
        };
        cannot_be_both(A::Backoff, A::Normal, "backoff and normal");
        cannot_be_both(A::SkipMx, A::BounceQueue, "skip-mx and bounce-queue");
        cannot_be_both(A::BounceRecipient, A::DeferRecipient, "bounce-rcpt and defer-rcpt");
        if (rule.reenable_after && !has(A::DisableSource)) {
            report(path + ".reenable_after", "has no effect without `action: disable-source`");
        }
        if (rule.retry_after && (has(A::BounceRecipient) || has(A::BounceQueue))) {
            report(path + ".retry_after", "has no effect on mail that bounces");
        }
    }

    // A site is a provider, or it is a host or domain name: those have a dot, or are in the routes.
    void check_site(const std::string& site, const std::string& path) {
        if (site.empty() || config_.providers.contains(site) || config_.routes.contains(site)) return;
        if (config_.shipped_providers && shipped_providers().contains(site)) return;
        if (site.find_first_of("*?") != std::string::npos) {
            report(path,
                   fmt::format("'{}': wildcards belong into `providers`; leave `site` out to match every site", site));
        } else if (site.find('.') == std::string::npos) {
            check_known(site, path, "provider", config_.providers);
        }
    }

    void check_reports() {
        for (std::size_t i = 0; i < config_.reports.size(); ++i) {
            check_report(config_.reports[i], fmt::format("reports[{}]", i));
            for (std::size_t j = 0; j < i; ++j) {
                const auto& report = config_.reports[i];
                const auto& other = config_.reports[j];
                const auto path = fmt::format("reports[{}]", i);
                if (report.name == other.name) {
                    this->report(path, fmt::format("is named '{}' as the one at {}; give each a name of its own",
                                                   report.name, other.origin.to_string()));
                }
                if (!report.path.empty() && report.path == other.path) {
                    this->report(path + ".path", fmt::format("'{}' is the file of the one at {} too", report.path,
                                                             other.origin.to_string()));
                }
            }
        }
    }

    void check_report(const Report& report, const std::string& path) {
        static const std::vector<std::string> of_files{"path", "rotate_size", "rotate_after", "keep", "move_to"};
        static const std::vector<std::string> of_amqp{"url", "exchange", "queue"};
        static const std::vector<std::string> of_kafka{"brokers", "topic", "key", "compression", "tls", "sasl", "user"};
        static const std::vector<std::string> of_both{"ca_file", "certificate", "private_key", "password_file"};
        const bool is_amqp = report.type == ReportType::Amqp, is_kafka = report.type == ReportType::Kafka;
        refuse_keys(path, is_amqp || is_kafka, of_files);
        refuse_keys(path, !is_amqp, of_amqp);
        refuse_keys(path, !is_kafka, of_kafka);
        refuse_keys(path, !is_amqp && !is_kafka, of_both);
        check_accounting(report, path);
        if (reader_.has_problem(path + ".")) return;  // what is missing may be what was wrong
        if (is_kafka) return check_kafka(report.kafka, report.broker, path);
        if (is_amqp && report.broker.url.hosts.empty()) this->report(path, "needs a `url`");
        if (!is_amqp && report.path.empty()) this->report(path, "needs a `path`");
    }

    void refuse_keys(const std::string& path, bool refuse, const std::vector<std::string>& keys) {
        for (const std::string& key : keys) {
            if (!refuse || !config_.origins.contains(path + "." + key)) continue;
            report(path + "." + key, "is of another `type` of report, and has no effect here");
        }
    }

    void check_kafka(const KafkaReport& kafka, const BrokerAccess& files, const std::string& path) {
        if (kafka.brokers.empty()) report(path, "needs `brokers`: [host:port, …]");
        if (kafka.topic.empty()) report(path, "needs a `topic`");
        if (files.certificate.empty() != files.private_key.empty()) {
            report(path, "certificate and private_key belong together");
        }
        if (!kafka.tls && !(files.ca_file + files.certificate).empty()) {
            report(path, "has files for TLS, which is off; set `tls: true`");
        }
        const bool logs_in = kafka.sasl != KafkaLogin::None;
        if (logs_in != !kafka.user.empty() || logs_in != !files.password_file.empty()) {
            report(path, "sasl, user and password_file belong together");
        }
    }

    void check_accounting(const Report& report, const std::string& path) {
        const Report plain;
        const bool has_columns = config_.origins.contains(path + ".columns");
        const bool is_set = report.records != plain.records || has_columns || report.times != plain.times ||
                            !report.user_string.empty() || report.privacy != plain.privacy;
        if (report.type != ReportType::Accounting) {
            if (is_set) this->report(path, "sets keys of `type: accounting`, and its events are JSON");
            return;
        }
        if (config_.origins.contains(path + ".types")) {
            this->report(path + ".types", "belongs to `type: file`; an accounting file has `records`");
        }
        if (report.privacy == ReportPrivacy::HmacSha256 && report.privacy_key_file.empty()) {
            this->report(path + ".privacy", "needs `privacy_key_file`, a file with a long random key");
        }
        if (const auto made = report::AccountingFormat::make(accounting_options(report)); !made)
            this->report(path + ".columns", made.error().text);
    }

    Reader& reader_;
    const Config& config_;
};

}  // namespace

void check_references(Reader& reader, const Config& config) { Checker(reader, config).run(); }

}  // namespace postfleet::config
