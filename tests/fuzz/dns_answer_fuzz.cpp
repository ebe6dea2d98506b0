// What a name server says, record by record: whatever it is, the answer is bounded and its names are host names.
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "lookup.hpp"
#include "postfleet/base/require.hpp"

using namespace postfleet;
using namespace postfleet::dns;

namespace {

class Script {
public:
    explicit Script(std::span<const std::byte> input)
        : rest_(reinterpret_cast<const char*>(input.data()), input.size()) {}
    bool is_empty() const { return rest_.empty(); }
    std::uint8_t octet() {
        if (rest_.empty()) return 0;
        const auto taken = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return taken;
    }
    std::string octets(std::size_t count) {
        const std::string taken(rest_.substr(0, count));
        rest_.remove_prefix(taken.size());
        return taken;
    }

private:
    std::string_view rest_;
};

Records records(Script& script) {
    Records made;
    const auto kinds = script.octet();
    made.kind = static_cast<Records::Kind>(kinds % 4);
    made.state = static_cast<DnsState>(kinds / 4 % 3);
    if (made.state == DnsState::Bogus) made.kind = Records::Kind::Failed;
    made.time_to_live = std::chrono::seconds(script.octet()) * script.octet();
    if (made.kind != Records::Kind::Found) return made;
    for (std::size_t left = script.octet(); left > 0 && !script.is_empty(); --left) {
        made.rdata.push_back(script.octets(script.octet()));
    }
    return made;
}

void check_host_name(const std::string& name) {
    require(!name.empty() && name.size() <= 253);
    require(std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    }));
}

void check(const MxAnswer& answer) {
    require(answer.hosts.size() <= Resolver::kMaxHosts);
    bool any_address = false;
    for (const MxHost& host : answer.hosts) {
        check_host_name(host.name);
        require(host.addresses.size() <= Resolver::kMaxAddresses);
        require(host.state != DnsState::Bogus || host.addresses.empty());
        any_address |= !host.addresses.empty();
    }
    require(any_address == (answer.kind == MxAnswer::Kind::Found));
    require(std::is_sorted(answer.hosts.begin(), answer.hosts.end(),
                           [](const MxHost& a, const MxHost& b) { return a.preference < b.preference; }));
}

template <class Record>
void check(const RecordAnswer<Record>& answer) {
    require(answer.records.size() <= Resolver::kMaxRecords);
    require(answer.records.empty() || answer.kind == RecordAnswer<Record>::Kind::Found);
}

}  // namespace

void fuzz_dns_answer(std::span<const std::byte> input) {
    Script script(input);
    Lookup lookup(static_cast<Lookup::Kind>(script.octet() % 4), "a.test");
    while (!lookup.is_done() && !script.is_empty()) {
        for (const Question& question : lookup.take_questions()) {
            lookup.on_records(question, records(script));
            std::visit([](const auto& answer) { check(answer); }, lookup.answer("too slow"));
        }
    }
}
