// FakeResolver: the Resolver port from a table. A domain that is not in the table does not exist; answers come
// with the next turn of the executor, or when the test says so. Threads: confined to the test's thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "postfleet/ports/resolver.hpp"

namespace postfleet::support {

class FakeResolver final : public Resolver {
public:
    void resolve_mx(std::string domain, Completion<MxAnswer> done) override;
    void resolve_host(std::string host, Completion<MxAnswer> done) override;
    void resolve_tlsa(std::string name, Completion<TlsaAnswer> done) override;
    void resolve_txt(std::string name, Completion<TxtAnswer> done) override;

    // One MX host per entry: "10 mx.example 192.0.2.1 192.0.2.2".
    void set_mx(const std::string& domain, const std::vector<std::string>& hosts, Duration ttl = std::chrono::hours(1));
    // Of a domain that set_mx() knows: what DNSSEC says of its MX records, and of the addresses of its hosts.
    void set_state(const std::string& domain, DnsState of_mx, DnsState of_addresses);
    void fail(const std::string& domain, MxAnswer::Kind kind, std::string text);

    void set_tlsa(const std::string& name, std::vector<TlsaRecord> records, DnsState state = DnsState::Secure);
    void set_txt(const std::string& name, std::vector<std::string> records, DnsState state = DnsState::Insecure);
    // Any answer: NoRecords with its state, Temporary, Bogus.
    void answer_tlsa(const std::string& name, TlsaAnswer answer) { tlsa_[name] = std::move(answer); }
    void answer_txt(const std::string& name, TxtAnswer answer) { txt_[name] = std::move(answer); }

    bool is_silent = false;  // answers are kept until answer_all()
    void answer_all();
    std::vector<std::string> asked;          // domains and hosts
    std::vector<std::string> asked_records;  // "TLSA _25._tcp.mx.example", "TXT _mta-sts.example"

private:
    template <class Answer>
    void put(const std::map<std::string, Answer>& table, const std::string& name, Answer otherwise,
             Completion<Answer> done);

    std::map<std::string, MxAnswer> mx_;
    std::map<std::string, TlsaAnswer> tlsa_;
    std::map<std::string, TxtAnswer> txt_;
    std::deque<Callback> kept_;
};

}  // namespace postfleet::support
