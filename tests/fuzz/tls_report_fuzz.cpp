// TXT records that ask for reports, from anybody, and tallies from a disk: bounded, and no line of a header is forged.
#include <cstddef>
#include <span>
#include <string>

#include "postfleet/base/require.hpp"
#include "postfleet/tls_report/record.hpp"
#include "postfleet/tls_report/tally.hpp"

using namespace postfleet;

void fuzz_tls_report(std::span<const std::byte> input) {
    const std::string text(reinterpret_cast<const char*>(input.data()), input.size());
    const auto destinations = tls_report::parse_record({text});
    require(destinations.size() <= tls_report::kMaxDestinations);
    for (const auto& to : destinations) {
        for (const std::string* part : {&to.address, &to.host, &to.target}) {
            require(part->find_first_of("\r\n\t ") == std::string::npos);
        }
    }
    const auto tally = tls_report::DomainTally::parse(text);
    require(tally.policies().size() <= tls_report::DomainTally::kMaxPolicies);
    const std::string written = tally.to_text();
    require(tls_report::DomainTally::parse(written).to_text() == written);
}
