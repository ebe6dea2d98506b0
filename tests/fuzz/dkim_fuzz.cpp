// DKIM: canonical forms do not depend on how the octets were cut, are canonical already when made canonical again, and
// a field that was written can be read. Options and key records: anything may come.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/dkim/canonical.hpp"
#include "postfleet/dkim/key_record.hpp"
#include "postfleet/dkim/options.hpp"
#include "postfleet/mime/header.hpp"

using namespace postfleet;
using dkim::Canonicalization;

namespace {

std::string canonical_body(std::string_view octets, Canonicalization form, std::size_t piece) {
    std::string out;
    dkim::BodyCanonicalizer canonicalizer(form, [&](std::string_view part) { out += part; });
    for (; !octets.empty(); octets.remove_prefix(std::min(piece, octets.size())))
        canonicalizer.add(octets.substr(0, piece));
    canonicalizer.finish();
    return out;
}

}  // namespace

void fuzz_dkim(std::span<const std::byte> input) {
    const std::string_view octets(reinterpret_cast<const char*>(input.data()), input.size());
    for (const auto form : {Canonicalization::Simple, Canonicalization::Relaxed}) {
        const std::string once = canonical_body(octets, form, SIZE_MAX);
        require(once == canonical_body(octets, form, 1) && once == canonical_body(octets, form, 3));
        require(once == canonical_body(once, form, SIZE_MAX));
        require(once.size() <= octets.size() + 2);
    }
    mime::HeaderReader reader(octets);
    while (const auto field = reader.next()) {
        std::string once, twice;
        const auto whole = octets.substr(field->span.begin, field->span.end - field->span.begin);
        dkim::append_canonical_field(once, whole, Canonicalization::Relaxed);
        dkim::append_canonical_field(twice, once, Canonicalization::Relaxed);
        require(once == twice && once.find('\t') == std::string::npos);
    }
    static_cast<void>(dkim::parse_options(octets));
    const std::string record(octets);
    static_cast<void>(dkim::compare_key({dkim::Algorithm::RsaSha256, 2048, "x"}, std::span(&record, 1)));
}
