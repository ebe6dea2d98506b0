#include "postfleet/ingest/header_facts.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/mime/address_domains.hpp"

namespace postfleet::ingest {
namespace {

void keep_first(std::string& to, std::string_view value, std::size_t limit) {
    if (to.empty()) to = mime::unfold(value, limit);
}

// The fields that may occur once (RFC 5322 §3.6), most frequent first. Their bits are SingleField's and those above.
struct SingleName {
    std::string_view name;
    std::uint16_t bit;
};
constexpr SingleName kSingleNames[] = {
    {"From", kFrom},  {"To", 8},  {"Subject", 16}, {"Date", kDate},     {"Message-ID", kMessageId},
    {"Reply-To", 32}, {"Cc", 64}, {"Sender", 128}, {"References", 256}, {"In-Reply-To", 512}};

void take_single_field(HeaderFacts& facts, const mime::Field& field) {
    for (const SingleName& row : kSingleNames) {
        // The length tells most names apart before a letter is compared.
        if (row.name.size() != field.name.size() || !ascii_iequals(row.name, field.name)) continue;
        if ((facts.seen & row.bit) != 0 && facts.duplicate.empty()) facts.duplicate = row.name;
        facts.seen |= row.bit;
        if (row.bit == kFrom) keep_first(facts.from, field.value, kMaxKeptField);
        else if (row.bit == kMessageId) keep_first(facts.message_id, field.value, kMaxKeptField);
        else if (row.name == "Subject") keep_first(facts.subject, field.value, kMaxKeptField);
        return;
    }
}

void take_known_field(HeaderFacts& facts, const mime::Field& field) {
    switch (field.name.size()) {
        case 3:
            if (ascii_iequals(field.name, "Bcc")) facts.blind_copies.push_back(field.span);
            return;
        case 8:
            if (ascii_iequals(field.name, "Received")) ++facts.hops;
            else take_single_field(facts, field);
            return;
        case 10:
            if (ascii_iequals(field.name, "Resent-Bcc")) facts.blind_copies.push_back(field.span);
            else take_single_field(facts, field);
            return;
        case 11:
            if (ascii_iequals(field.name, "Return-Path")) facts.to_remove.push_back(field.span);
            else take_single_field(facts, field);
            return;
        case 12:
            if (ascii_iequals(field.name, "TLS-Required")) {
                facts.tls_not_required = ascii_iequals(mime::unfold(field.value, kMaxName), "No");
            }
            return;
        default: take_single_field(facts, field); return;
    }
}

void take_trusted_field(HeaderFacts& facts, const mime::Field& field) {
    if (ascii_iequals(field.name, "X-Virtual-MTA")) keep_first(facts.virtual_mta, field.value, kMaxName);
    else if (ascii_iequals(field.name, "X-Job")) keep_first(facts.job, field.value, kMaxName);
    else if (ascii_iequals(field.name, "X-EnvID")) keep_first(facts.envelope_id, field.value, kMaxEnvelopeId);
    else if (ascii_iequals(field.name, "X-DKIM-Options")) keep_first(facts.dkim_options, field.value, kMaxKeptField);
    else if (ascii_iequals(field.name, "X-Schedule")) keep_first(facts.schedule, field.value, kMaxSchedule);
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
        facts.largest_field = std::max(facts.largest_field, field->span.end - field->span.begin);
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

bool HeaderFacts::has_one_author() const {
    const auto domains = mime::address_domains(from);
    return domains && domains->size() == 1;
}

bool HeaderFacts::has_usable_message_id() const {
    const std::string_view id = trim(message_id);
    if (id.size() < 5 || id.front() != '<' || id.back() != '>') return false;
    const std::string_view inside = id.substr(1, id.size() - 2);
    const std::size_t at = inside.find('@');
    const bool is_plain =
        std::all_of(inside.begin(), inside.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '<' && c != '>'; });
    return is_plain && at != 0 && at != std::string_view::npos && at + 1 < inside.size();
}

void HeaderFacts::remove_blind_copies() {
    if (blind_copies.empty()) return;
    to_remove.insert(to_remove.end(), blind_copies.begin(), blind_copies.end());
    std::sort(to_remove.begin(), to_remove.end(),
              [](const mime::Span& a, const mime::Span& b) { return a.begin < b.begin; });
}

}  // namespace postfleet::ingest
