// Messages of the control plane, from anybody who reached the port: what is taken can be written and read again, and
// nothing that is taken is longer than our limits. The first octet says which message it is.
#include <cstddef>
#include <span>
#include <string>

#include "postfleet/base/require.hpp"
#include "translate.hpp"

using namespace postfleet;
using namespace postfleet::rpc;

namespace {

template <class Message>
void there_and_back(const std::string& octets) {
    Message message;
    if (!message.ParseFromString(octets)) return;
    const auto value = read(message);
    if (!value) return;
    Message written;
    write(*value, written);
    const auto again = read(written);
    require(again.has_value());
    Message twice;
    write(*again, twice);
    require(twice.SerializeAsString() == written.SerializeAsString());
}

void questions(const std::string& octets) {
    constexpr int kMost = 100;
    v1::CheckRecipientsRequest message;
    if (!message.ParseFromString(octets)) return;
    const auto value = read(message, kMost);
    require(!value || value->size() <= kMost);
    for (std::size_t i = 0; value && i < value->size(); ++i) require((*value)[i].address.size() <= kMostText);
}

}  // namespace

void fuzz_control_messages(std::span<const std::byte> input) {
    if (input.empty()) return;
    const std::string octets(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
    switch (std::to_integer<unsigned>(input[0]) % 9) {
        case 0: return there_and_back<v1::OrderMessage>(octets);
        case 1: return there_and_back<v1::OrderChangesMessage>(octets);
        case 2: return there_and_back<v1::ConfigSnapshot>(octets);
        case 3: return there_and_back<v1::KeyClaimMessage>(octets);
        case 4: return there_and_back<v1::Key>(octets);
        case 5: return there_and_back<v1::KeyVerdictMessage>(octets);
        case 6: return there_and_back<v1::SenderClaimRequest>(octets);
        case 7: return there_and_back<v1::SenderRecordMessage>(octets);
        case 8: return questions(octets);
    }
}
