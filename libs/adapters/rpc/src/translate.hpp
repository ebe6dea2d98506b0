// The messages of control.proto to and from the values of mail and ports.
//
// What comes from outside is checked: an id of the wrong length, an action that there is not, a text or a list that is
// too long are InvalidArgument with the field's name. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include "postfleet/ports/state_store.hpp"
#include "postfleet/rpc/members.hpp"
#include "postfleet/v1/control.pb.h"

namespace postfleet::rpc {

inline constexpr int kMostText = 4'096;    // octets of a name, reason, address
inline constexpr int kMostArguments = 64;  // of a command
inline constexpr std::size_t kMostKey = 255;

void write(const Order& order, v1::OrderMessage& message);
Result<Order> read(const v1::OrderMessage& message);

void write(const OrderChanges& changes, v1::OrderChangesMessage& message);
Result<OrderChanges> read(const v1::OrderChangesMessage& message);

void write(const ConfigurationSnapshot& snapshot, v1::ConfigSnapshot& message);
Result<ConfigurationSnapshot> read(const v1::ConfigSnapshot& message);

void write(const KeyClaim& claim, v1::KeyClaimMessage& message);
Result<KeyClaim> read(const v1::KeyClaimMessage& message);
void write(const IdempotencyKey& key, v1::Key& message);
Result<IdempotencyKey> read(const v1::Key& message);
void write(const KeyVerdict& verdict, v1::KeyVerdictMessage& message);
Result<KeyVerdict> read(const v1::KeyVerdictMessage& message);

void write(const SenderClaim& claim, v1::SenderClaimRequest& message);
Result<SenderClaim> read(const v1::SenderClaimRequest& message);
void write(const SenderGrant& grant, v1::SenderGrantMessage& message);
Result<SenderGrant> read(const v1::SenderGrantMessage& message);
void write(const SenderVerdict& verdict, v1::SenderClaimResponse& message);
Result<SenderVerdict> read(const v1::SenderClaimResponse& message);
void write(const SenderRecord& record, v1::SenderRecordMessage& message);
Result<SenderRecord> read(const v1::SenderRecordMessage& message);

void write(const Member& member, v1::MemberMessage& message);
Result<Member> read(const v1::MemberMessage& message);

void write(const OperatorCommand& command, v1::CommandMessage& message);
Result<OperatorCommand> read(const v1::CommandMessage& message);

void write(const Suppression& suppression, std::uint32_t place, v1::SuppressedRecipient& message);
Suppression read(const v1::SuppressedRecipient& message);
Result<std::vector<SuppressionQuestion>> read(const v1::CheckRecipientsRequest& message, int most);

// Every one of a list, at most `most`.
template <class Value, class Message>
Result<std::vector<Value>> read_all(const google::protobuf::RepeatedPtrField<Message>& messages, int most) {
    if (messages.size() > most) {
        return Error{ErrorKind::InvalidArgument, "at most " + std::to_string(most) + " in one request"};
    }
    std::vector<Value> values;
    for (const Message& message : messages) {
        Result<Value> value = read(message);
        if (!value) return value.error();
        values.push_back(*std::move(value));
    }
    return values;
}

}  // namespace postfleet::rpc
