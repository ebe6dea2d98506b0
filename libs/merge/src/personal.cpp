#include "postfleet/merge/personal.hpp"

#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/mail/delivery_windows.hpp"
#include "postfleet/merge/merger.hpp"

namespace postfleet::merge {
namespace {

// Reserved variables that only reports are interested in.
constexpr std::pair<std::string_view, std::string_view> kMetadata[] = {{"*subaccountid", "subaccount_id"},
                                                                       {"*custommessageid", "custom_message_id"}};

void take_variables(const MergeVariables& variables, Message& mine) {
    if (const auto from = variables.find("*from")) mine.reverse_path = *from;
    if (const auto id = variables.find("*envid")) mine.envelope_id = *id;
    if (const auto job = variables.find("*jobid")) mine.job = *job;
    if (const auto schedule = variables.find("*schedule")) {
        if (auto windows = parse_delivery_windows(*schedule)) mine.windows = std::move(*windows);
    }
    for (const auto& [variable, name] : kMetadata) {
        if (const auto value = variables.find(variable)) mine.metadata.emplace_back(name, *value);
    }
    if (is_ascii(variables.octets())) return;
    if (mine.body_type == BodyType::SevenBit) mine.body_type = BodyType::EightBitMime;
    if (mine.merge.utf8_in_header) mine.smtputf8 = true;
}

}  // namespace

std::string verp_path(std::string_view reverse_path, std::string_view recipient) {
    const std::size_t at = reverse_path.rfind('@'), recipient_at = recipient.rfind('@');
    if (at == std::string_view::npos || recipient_at == std::string_view::npos) return std::string(reverse_path);
    // Quotes in the middle of a local part are no address any more.
    if (reverse_path.starts_with('"') || recipient.starts_with('"')) return std::string(reverse_path);
    std::string path(reverse_path.substr(0, at));
    path.append(1, '-').append(recipient.substr(0, recipient_at)).append(1, '=');
    return path.append(recipient.substr(recipient_at + 1)).append(reverse_path.substr(at));
}

std::shared_ptr<const Message> personal(const std::shared_ptr<const Message>& message, const Recipient& recipient) {
    if (!is_personal(*message)) return message;
    auto mine = std::make_shared<Message>(*message);
    if (message->merge) {
        const Merger merger(*message, recipient);
        for (std::string* text : {&mine->header_from, &mine->header_message_id, &mine->header_subject}) {
            *text = merger.field(*text);
        }
        for (auto& [name, value] : mine->recorded_headers) value = merger.field(value);
        take_variables(recipient.variables, *mine);
    }
    if (message->verp) mine->reverse_path = verp_path(mine->reverse_path, recipient.address);
    return mine;
}

}  // namespace postfleet::merge
