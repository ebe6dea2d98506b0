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

// The router's answer about recipients: places are checked where the questions are known, times are kept as they are.
void answers(const std::string& octets) {
    v1::CheckRecipientsResponse message;
    if (!message.ParseFromString(octets)) return;
    for (const v1::SuppressedRecipient& found : message.suppressed()) {
        const Suppression value = read(found);
        v1::SuppressedRecipient written;
        write(value, found.place(), written);
        require(read(written) == value);
    }
}

// Lists are counted before they are read.
template <class Value, class Message>
void list(const google::protobuf::RepeatedPtrField<Message>& messages) {
    constexpr int kMost = 3;
    const auto values = read_all<Value>(messages, kMost);
    require(values ? values->size() <= kMost : !values.error().text.empty());
}

void lists(const std::string& octets) {
    if (v1::ClaimKeysRequest claims; claims.ParseFromString(octets)) list<KeyClaim>(claims.claims());
    if (v1::ClaimKeysResponse verdicts; verdicts.ParseFromString(octets)) list<KeyVerdict>(verdicts.verdicts());
    if (v1::KeyList keys; keys.ParseFromString(octets)) list<IdempotencyKey>(keys.keys());
    if (v1::OrderList orders; orders.ParseFromString(octets)) list<Order>(orders.orders());
    if (v1::ProgressReport progress; progress.ParseFromString(octets)) {
        const auto order = read(progress.order());
        require(order || !order.error().text.empty());
    }
}

}  // namespace

void fuzz_control_messages(std::span<const std::byte> input) {
    if (input.empty()) return;
    const std::string octets(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
    switch (std::to_integer<unsigned>(input[0]) % 14) {
        case 0: return there_and_back<v1::OrderMessage>(octets);
        case 1: return there_and_back<v1::OrderChangesMessage>(octets);
        case 2: return there_and_back<v1::ConfigSnapshot>(octets);
        case 3: return there_and_back<v1::KeyClaimMessage>(octets);
        case 4: return there_and_back<v1::Key>(octets);
        case 5: return there_and_back<v1::KeyVerdictMessage>(octets);
        case 6: return there_and_back<v1::SenderClaimRequest>(octets);
        case 7: return there_and_back<v1::SenderRecordMessage>(octets);
        case 8: return questions(octets);
        case 9: return there_and_back<v1::SenderGrantMessage>(octets);
        case 10: return there_and_back<v1::SenderClaimResponse>(octets);
        case 11: return there_and_back<v1::MemberMessage>(octets);
        case 12: return answers(octets);
        case 13: return lists(octets);
    }
}
