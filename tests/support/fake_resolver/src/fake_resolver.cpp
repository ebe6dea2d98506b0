#include "postfleet/support/fake_resolver.hpp"

#include <sstream>
#include <utility>

namespace postfleet::support {

namespace {

template <class Record>
RecordAnswer<Record> records(std::vector<Record> found, DnsState state) {
    return {RecordAnswer<Record>::Kind::Found, std::move(found), std::chrono::hours(1), state};
}

template <class Record>
RecordAnswer<Record> no_such_name() {
    return {RecordAnswer<Record>::Kind::NoSuchName, {}, std::chrono::minutes(5), DnsState::Insecure, "NXDOMAIN"};
}

}  // namespace

// What is answered is looked up when the answer goes out.
template <class Answer>
void FakeResolver::put(const std::map<std::string, Answer>& table, const std::string& name, Answer otherwise,
                       Completion<Answer> done) {
    Executor& on = *done.on;
    Callback answer = [&table, &on, name, otherwise = std::move(otherwise), run = std::move(done.run)]() mutable {
        const auto found = table.find(name);
        on.post([run = std::move(run), answer = found == table.end() ? std::move(otherwise) : found->second]() mutable {
            run(std::move(answer));
        });
    };
    if (is_silent) kept_.push_back(std::move(answer));
    else answer();
}

void FakeResolver::resolve_mx(std::string domain, Completion<MxAnswer> done) {
    asked.push_back(domain);
    MxAnswer none;
    none.kind = MxAnswer::Kind::NoSuchDomain;
    none.text = "NXDOMAIN";
    put(mx_, domain, std::move(none), std::move(done));
}

void FakeResolver::resolve_host(std::string host, Completion<MxAnswer> done) {
    resolve_mx(std::move(host), std::move(done));
}

void FakeResolver::resolve_tlsa(std::string name, Completion<TlsaAnswer> done) {
    asked_records.push_back("TLSA " + name);
    put(tlsa_, name, no_such_name<TlsaRecord>(), std::move(done));
}

void FakeResolver::resolve_txt(std::string name, Completion<TxtAnswer> done) {
    asked_records.push_back("TXT " + name);
    put(txt_, name, no_such_name<std::string>(), std::move(done));
}

void FakeResolver::answer_all() {
    for (Callback& answer : std::exchange(kept_, {})) answer();
}

void FakeResolver::set_mx(const std::string& domain, const std::vector<std::string>& hosts, Duration ttl) {
    MxAnswer answer;
    answer.kind = MxAnswer::Kind::Found;
    answer.time_to_live = ttl;
    for (const std::string& text : hosts) {
        std::istringstream words(text);
        MxHost host;
        words >> host.preference >> host.name;
        host.time_to_live = ttl;
        for (std::string address; words >> address;) host.addresses.push_back(IpAddress::parse(address).value());
        answer.hosts.push_back(std::move(host));
    }
    mx_[domain] = std::move(answer);
}

void FakeResolver::set_state(const std::string& domain, DnsState of_mx, DnsState of_addresses) {
    MxAnswer& answer = mx_.at(domain);
    answer.state = of_mx;
    for (MxHost& host : answer.hosts) host.state = of_addresses;
}

void FakeResolver::fail(const std::string& domain, MxAnswer::Kind kind, std::string text) {
    MxAnswer answer;
    answer.kind = kind;
    answer.text = std::move(text);
    answer.time_to_live = std::chrono::minutes(5);
    mx_[domain] = std::move(answer);
}

void FakeResolver::set_tlsa(const std::string& name, std::vector<TlsaRecord> found, DnsState state) {
    tlsa_[name] = records(std::move(found), state);
}

void FakeResolver::set_txt(const std::string& name, std::vector<std::string> found, DnsState state) {
    txt_[name] = records(std::move(found), state);
}

}  // namespace postfleet::support
