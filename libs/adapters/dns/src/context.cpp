#include "context.hpp"

#include <fmt/format.h>
#include <unbound.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::dns {

namespace {

constexpr int kInternetClass = 1;
constexpr int kNoError = 0;
constexpr int kNameError = 3;

// Bounds of memory and work, and what a resolver inside a mail server does not need.
constexpr std::pair<const char*, const char*> kSettings[] = {
    {"msg-cache-size:", "16m"}, {"rrset-cache-size:", "32m"},  {"infra-cache-numhosts:", "20000"},
    {"neg-cache-size:", "4m"},  {"key-cache-size:", "4m"},     {"edns-buffer-size:", "1232"},
    {"use-syslog:", "no"},      {"minimal-responses:", "yes"}, {"cache-max-negative-ttl:", "900"},
};

Status check(int error, std::string_view what) {
    if (error == 0) return {};
    return Error{ErrorKind::Unavailable, fmt::format("libunbound: {}: {}", what, ub_strerror(error))};
}

// Where aliases led to; empty where there were none.
std::string canonical_name(const ub_result& result) {
    const auto normal = [](std::string_view name) {
        if (name.ends_with('.')) name.remove_suffix(1);
        return to_ascii_lower(name);
    };
    auto name = normal(result.canonname);
    return name == normal(result.qname) ? std::string() : name;
}

}  // namespace

void Context::Delete::operator()(ub_ctx* context) const { ub_ctx_delete(context); }

Result<Context> Context::create(const Options& options) {
    Context made{std::unique_ptr<ub_ctx, Delete>(ub_ctx_create())};
    auto* context = made.context_.get();
    if (context == nullptr) return Error{ErrorKind::ResourceExhausted, "libunbound: cannot make a context"};
    Status status = check(ub_ctx_async(context, 1), "thread");
    const auto set = [&](const char* name, const char* value) {
        if (status) status = check(ub_ctx_set_option(context, name, value), name);
    };
    for (const auto& [name, value] : kSettings) set(name, value);
    // Without an anchor there is nothing to validate with.
    set("module-config:", options.trust_anchor_file.empty() ? "iterator" : "validator iterator");
    if (!options.trust_anchor_file.empty() && status) {
        if (::access(options.trust_anchor_file.c_str(), R_OK) != 0) {
            return Error{ErrorKind::NotFound,
                         fmt::format("dns.trust_anchor_file {}: {}", options.trust_anchor_file, std::strerror(errno))};
        }
        status = check(ub_ctx_add_ta_file(context, options.trust_anchor_file.c_str()),
                       "dns.trust_anchor_file " + options.trust_anchor_file);
    }
    for (const auto& server : options.servers) {
        // Given servers answer for everything, also for names that libunbound would not ask anybody about.
        if (server.address.is_loopback()) set("do-not-query-localhost:", "no");
        const auto address = fmt::format("{}@{}", server.address.to_string(), server.port);
        if (status) status = check(ub_ctx_set_fwd(context, address.c_str()), "dns.servers " + server.to_string());
    }
    if (options.servers.empty()) {
        // Without a usable /etc/resolv.conf it asks the root servers itself.
        set("do-not-query-localhost:", "no");
        static_cast<void>(ub_ctx_resolvconf(context, nullptr));
    } else {
        for (const auto* zone : {"test.", "home.arpa."}) {
            if (status) status = check(ub_ctx_zone_add(context, zone, "transparent"), "settings");
        }
    }
    // Any call about zones, even of one that is not there, makes libunbound take up its settings, so that what is
    // wrong with them comes out here and not as a failure of every look-up.
    if (status) status = check(ub_ctx_zone_remove(context, "settings.invalid."), "settings (dns.trust_anchor_file?)");
    if (!status) return status.error();
    return made;
}

int Context::descriptor() const { return ub_fd(context_.get()); }

Status Context::process() { return check(ub_process(context_.get()), "process"); }

Result<int> Context::ask(const Question& question, void* argument, Callback callback) {
    int query = 0;
    const int error = ub_resolve_async(context_.get(), question.name.c_str(), static_cast<int>(question.type),
                                       kInternetClass, argument, callback, &query);
    if (error != 0) return Error{ErrorKind::InvalidArgument, ub_strerror(error)};
    return query;
}

void Context::cancel(int query) { ub_cancel(context_.get(), query); }

Records Context::to_records(int error, ub_result* result) {
    const std::unique_ptr<ub_result, decltype(&ub_resolve_free)> owner(result, &ub_resolve_free);
    Records records;
    if (error != 0 || result == nullptr) {
        records.text = fmt::format("DNS failure: {}", ub_strerror(error));
        return records;
    }
    if (result->bogus != 0) {
        records.state = DnsState::Bogus;
        records.text =
            fmt::format("DNSSEC validation failed: {}", result->why_bogus == nullptr ? "" : result->why_bogus);
        return records;
    }
    if (result->rcode != kNoError && result->rcode != kNameError) {
        records.text =
            result->rcode == 2 ? "DNS failure: SERVFAIL" : fmt::format("DNS failure: rcode {}", result->rcode);
        return records;
    }
    records.time_to_live = std::chrono::seconds(result->ttl);
    records.state = result->secure != 0 ? DnsState::Secure : DnsState::Insecure;
    if (result->canonname != nullptr) records.canonical_name = canonical_name(*result);
    if (result->nxdomain != 0) {
        records.kind = Records::Kind::NoSuchName;
    } else if (result->havedata == 0) {
        records.kind = Records::Kind::NoData;
    } else {
        records.kind = Records::Kind::Found;
        for (std::size_t i = 0; result->data[i] != nullptr; ++i) {
            records.rdata.emplace_back(result->data[i], static_cast<std::size_t>(result->len[i]));
        }
    }
    return records;
}

}  // namespace postfleet::dns
