// DKIM: canonical forms are what the obvious way gives, however the octets were cut; a signature that was written can be
// read, is folded well and says what it was asked to say. Options and key records: anything may come.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/dkim/canonical.hpp"
#include "postfleet/dkim/key_record.hpp"
#include "postfleet/dkim/options.hpp"
#include "postfleet/dkim/signature.hpp"
#include "postfleet/dkim/tags.hpp"
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

// RFC 6376 §3.4.4 line by line, with all of it in memory.
std::string obvious_line(std::string_view line, Canonicalization form) {
    if (form == Canonicalization::Simple) return std::string(line);
    std::string out;
    for (const char c : line) {
        const bool is_blank = c == ' ' || c == '\t';
        if (!is_blank) out.push_back(c);
        else if (!out.ends_with(' ')) out.push_back(' ');
    }
    return out.substr(0, out.size() - (out.ends_with(' ') ? 1 : 0));
}

std::string obvious_body(std::string_view octets, Canonicalization form) {
    std::vector<std::string> lines;
    while (!octets.empty()) {
        const std::size_t end = octets.find("\r\n");
        lines.push_back(obvious_line(octets.substr(0, end), form));
        octets.remove_prefix(end == std::string_view::npos ? octets.size() : end + 2);
    }
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    if (lines.empty()) return form == Canonicalization::Simple ? "\r\n" : "";
    std::string out;
    for (const std::string& line : lines) out += line + "\r\n";
    return out;
}

void check_field(std::string_view field) {
    require(field.ends_with("\r\n"));
    for (std::size_t at = field.find_first_of("\r\n"); at + 2 < field.size();
         at = field.find_first_of("\r\n", at + 2)) {
        require(field.substr(at, 3) == "\r\n\t");
    }
}

void sign(std::string_view header_octets, const dkim::Options& options) {
    static const crypto::OpensslDigests digests;
    dkim::HeaderFields header;
    header.add_block(header_octets);
    const config::DkimRule rule;
    const auto names = header.choose(rule.headers, rule.oversign);
    const dkim::SignatureTags tags{.domain = "a.example", .selector = "s1", .identity = options.identity};
    const std::string field =
        dkim::complete(dkim::draft_signature(digests, tags, header, names, {}), std::string(256, 's'));
    check_field(field);
    const auto list = dkim::TagList::parse(std::string_view(field).substr(field.find(':') + 1));
    require(list && list->find("d") != nullptr && *list->find("d") == "a.example" && list->find("l") == nullptr);
    require(split(*list->find("h"), ':').size() == names.size());
    require((list->find("i") != nullptr) == !options.identity.empty());
}

}  // namespace

void fuzz_dkim(std::span<const std::byte> input) {
    const std::string_view octets(reinterpret_cast<const char*>(input.data()), input.size());
    for (const auto form : {Canonicalization::Simple, Canonicalization::Relaxed}) {
        const std::string once = canonical_body(octets, form, SIZE_MAX);
        require(once == canonical_body(octets, form, 1) && once == canonical_body(octets, form, 3));
        require(once == obvious_body(octets, form));
    }
    mime::HeaderReader reader(octets);
    while (const auto field = reader.next()) {
        std::string once, twice;
        const auto whole = octets.substr(field->span.begin, field->span.end - field->span.begin);
        dkim::append_canonical_field(once, whole, Canonicalization::Relaxed);
        dkim::append_canonical_field(twice, once, Canonicalization::Relaxed);
        require(once == twice && once.find('\t') == std::string::npos);
    }
    const auto options = dkim::parse_options(octets);
    sign(octets.substr(0, reader.end()), options ? *options : dkim::Options{});
    const std::string record(octets);
    static_cast<void>(dkim::compare_key({dkim::Algorithm::RsaSha256, 2048, "x"}, std::span(&record, 1)));
}
