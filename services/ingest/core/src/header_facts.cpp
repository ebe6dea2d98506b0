#include "postfleet/ingest/header_facts.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

void keep_first(std::string& to, std::string_view value, std::size_t limit) {
    if (to.empty()) to = mime::unfold(value, limit);
}

// The length tells most names apart before a letter is compared.
void take_known_field(HeaderFacts& facts, const mime::Field& field) {
    switch (field.name.size()) {
        case 4:
            if (ascii_iequals(field.name, "From")) keep_first(facts.from, field.value, kMaxKeptField);
            break;
        case 7:
            if (ascii_iequals(field.name, "Subject")) keep_first(facts.subject, field.value, kMaxKeptField);
            break;
        case 8:
            if (ascii_iequals(field.name, "Received")) ++facts.hops;
            break;
        case 10:
            if (ascii_iequals(field.name, "Message-ID")) keep_first(facts.message_id, field.value, kMaxKeptField);
            break;
        default: break;
    }
}

void take_trusted_field(HeaderFacts& facts, const mime::Field& field) {
    if (ascii_iequals(field.name, "X-Virtual-MTA")) keep_first(facts.virtual_mta, field.value, kMaxName);
    else if (ascii_iequals(field.name, "X-Job")) keep_first(facts.job, field.value, kMaxName);
    else if (ascii_iequals(field.name, "X-EnvID")) keep_first(facts.envelope_id, field.value, kMaxEnvelopeId);
    else return;
    facts.to_remove.push_back(field.span);
}

void take_wanted_field(HeaderFacts& facts, const mime::Field& field) {
    std::string_view value = trim(field.value);
    if (mime::is_folded(value)) value = facts.unfolded.emplace_back(mime::unfold(value, value.size()));
    facts.wanted.push_back({field.name, value});
}

}  // namespace

HeaderFacts HeaderFacts::gather(std::string_view content, config::HeaderTrust trust,
                                std::span<const std::string> wanted_names) {
    HeaderFacts facts;
    mime::HeaderReader reader(content);
    while (const auto field = reader.next()) {
        facts.has_fields = true;
        const bool extension = field->name.size() > 2 && ascii_lower(field->name[0]) == 'x';
        if (!extension) take_known_field(facts, *field);
        else if (trust == config::HeaderTrust::Honour) take_trusted_field(facts, *field);
        const bool wanted = std::any_of(wanted_names.begin(), wanted_names.end(),
                                        [&field](const std::string& name) { return ascii_iequals(name, field->name); });
        if (wanted) take_wanted_field(facts, *field);
    }
    facts.is_cut_off = reader.is_cut_off();
    facts.header_octets = reader.end();
    return facts;
}

}  // namespace postfleet::ingest
