#include "postfleet/ingest/sender_rights.hpp"

#include "postfleet/base/text.hpp"
#include "postfleet/mime/address_domains.hpp"
#include "postfleet/mime/header.hpp"

namespace postfleet::ingest {
namespace {

bool names_sender(std::string_view field) {
    return ascii_iequals(field, "From") || ascii_iequals(field, "Sender") || ascii_iequals(field, "Resent-From") ||
           ascii_iequals(field, "Resent-Sender");
}

}  // namespace

std::string refused_sender(std::string_view content, const KnownUser& user) {
    mime::HeaderReader reader(content);
    bool has_from = false;
    while (const auto field = reader.next()) {
        const std::string_view name = trim(field->name);
        if (!names_sender(name)) continue;
        const auto domains = mime::address_domains(field->value);
        if (!domains || domains->empty()) return "The header field " + std::string(name) + " is not an address";
        for (const std::string& domain : *domains) {
            if (user.may_send_as(domain)) continue;
            return "You may not send as " + printable(domain, 100) + " (header field " + std::string(name) + ")";
        }
        has_from = has_from || ascii_iequals(name, "From");
    }
    if (!has_from) return "The message needs a From field";
    if (!reader.is_closed() && !reader.is_cut_off()) return "The header has a line that is no field";
    return {};
}

}  // namespace postfleet::ingest
