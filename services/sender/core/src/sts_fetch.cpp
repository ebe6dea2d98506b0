#include "postfleet/sender/sts_fetch.hpp"

#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kTarget = "/.well-known/mta-sts.txt";

// Text only: a host that shows what its users upload must not speak for their domain (§3.3).
bool is_plain_text(std::string_view content_type) {
    return ascii_iequals(trim(content_type.substr(0, content_type.find(';'))), "text/plain");
}

Result<mta_sts::Policy> policy_of(Result<HttpResponse>&& answer) {
    if (!answer) return answer.error();
    if (answer->status != 200) {
        return Error{ErrorKind::Unavailable, "the policy host answers with status " + std::to_string(answer->status)};
    }
    if (!is_plain_text(answer->content_type)) {
        return Error{ErrorKind::InvalidArgument,
                     "the policy comes as " + printable(answer->content_type, 80) + " and not as text/plain"};
    }
    return mta_sts::parse_policy(answer->body);
}

}  // namespace

void fetch_sts_policy(Resolver& resolver, HttpClient& http, StsFetch fetch, Completion<Result<mta_sts::Policy>> done) {
    Executor& on = *done.on;
    const std::string host = "mta-sts." + fetch.domain;
    auto on_host = [&http, &on, host, fetch = std::move(fetch), done = std::move(done)](MxAnswer answer) mutable {
        HttpRequest request;
        request.host = host;
        request.target = kTarget;
        request.ca_file = std::move(fetch.ca_file);
        request.max_octets = mta_sts::kMaxPolicyOctets;
        request.timeout = StsFetch::kPatience;
        for (const MxHost& found : answer.hosts) {
            for (const IpAddress& address : found.addresses) {
                if (fetch.rules->may_connect_to(address)) request.addresses.push_back(address);
            }
        }
        if (request.addresses.empty()) {
            return done.run(Error{ErrorKind::Unavailable, host + " has no address that may be connected to" +
                                                              (answer.text.empty() ? "" : ": " + answer.text)});
        }
        http.send(std::move(request), {&on, [done = std::move(done)](Result<HttpResponse> response) mutable {
                                           done.run(policy_of(std::move(response)));
                                       }});
    };
    resolver.resolve_host(host, {&on, std::move(on_host)});
}

}  // namespace postfleet::sender
