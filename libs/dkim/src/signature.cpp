#include "postfleet/dkim/signature.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::dkim {

namespace {

constexpr std::size_t kLine = 76;

std::string_view word(Canonicalization form) { return form == Canonicalization::Simple ? "simple" : "relaxed"; }

std::string seconds_of(WallTime time) { return std::to_string(to_unix_microseconds(time) / 1'000'000); }

// dkim-quoted-printable (RFC 6376 §2.11).
std::string quoted_printable(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c > ' ' && c < 0x7f && c != ';' && c != '=') {
            out.push_back(c);
        } else {
            out.append({'=', kHex[octet >> 4], kHex[octet & 15]});
        }
    }
    return out;
}

// Writes tags, and a fold in front of one that would make the line too long.
class FieldWriter {
public:
    void tag(std::string_view name, std::string_view value) {
        piece(std::string(name) + "=" + std::string(value) + ";");
    }
    // A value that may be folded between its pieces.
    void piece(std::string_view text, std::string_view separator = " ") {
        if (column_ + separator.size() + text.size() > kLine) {
            out_ += "\r\n\t";
            column_ = 8;
        } else {
            out_ += separator;
            column_ += separator.size();
        }
        out_ += text;
        column_ += text.size();
    }
    void fold() {
        out_ += "\r\n\t";
        column_ = 8;
    }
    std::string take() { return std::move(out_); }
    void write(std::string_view text) {
        out_ += text;
        column_ += text.size();
    }

private:
    std::string out_ = "DKIM-Signature:";
    std::size_t column_ = out_.size();
};

}  // namespace

void HeaderFields::add_block(std::string_view block) {
    mime::HeaderReader reader(block);
    while (const auto field = reader.next()) {
        lines_.push_back(
            {field->name, field->value, block.substr(field->span.begin, field->span.end - field->span.begin)});
    }
}

std::size_t HeaderFields::count(std::string_view name) const {
    return static_cast<std::size_t>(
        std::count_if(lines_.begin(), lines_.end(), [&](const Line& line) { return ascii_iequals(line.name, name); }));
}

std::vector<std::string_view> HeaderFields::choose(std::span<const std::string> when_present,
                                                   std::span<const std::string> oversigned) const {
    std::vector<std::string_view> names;
    const auto append = [&](std::string_view name, std::size_t times) {
        const bool is_there =
            std::any_of(names.begin(), names.end(), [&](std::string_view other) { return ascii_iequals(other, name); });
        if (!is_there) names.insert(names.end(), times, name);
    };
    for (const std::string& name : oversigned) append(name, count(name) + 1);
    for (const std::string& name : when_present) append(name, count(name));
    append("From", std::max<std::size_t>(1, count("From")));  // RFC 6376 §5.4: always
    return names;
}

std::string HeaderFields::canonical(std::span<const std::string_view> names, Canonicalization form) const {
    std::string out;
    std::vector<bool> is_taken(lines_.size(), false);
    std::size_t i = 0;  // a name that comes again goes on where it was: 10,000 fields of one name are no trouble
    for (std::size_t at = 0; at < names.size(); ++at) {
        if (at == 0 || !ascii_iequals(names[at], names[at - 1])) i = lines_.size();
        while (i > 0) {
            --i;
            if (is_taken[i] || !ascii_iequals(lines_[i].name, names[at])) continue;
            is_taken[i] = true;
            append_canonical_field(out, lines_[i].whole, form);
            if (!lines_[i].whole.ends_with("\r\n")) out += "\r\n";  // a header that ends with the message
            break;
        }
    }
    return out;
}

std::optional<std::string_view> HeaderFields::value_of(std::string_view name) const {
    for (const Line& line : lines_) {
        if (ascii_iequals(line.name, name)) return line.value;
    }
    return std::nullopt;
}

BodyHash::BodyHash(const Digests& digests, Canonicalization form)
    : hash_(digests.start_sha256()),
      canonicalizer_(form, [hash = hash_.get()](std::string_view octets) { hash->add(octets); }) {}

Sha256Digest BodyHash::finish() {
    canonicalizer_.finish();
    return hash_->finish();
}

Draft draft_signature(const Digests& digests, const SignatureTags& tags, const HeaderFields& header,
                      std::span<const std::string_view> names, const Sha256Digest& body_hash) {
    FieldWriter writer;
    writer.tag("v", "1");
    writer.tag("a", tags.algorithm == Algorithm::RsaSha256 ? "rsa-sha256" : "ed25519-sha256");
    writer.tag("c", std::string(word(tags.header)) + "/" + std::string(word(tags.body)));
    writer.tag("d", tags.domain);
    writer.tag("s", tags.selector);
    if (!tags.identity.empty()) writer.tag("i", quoted_printable(tags.identity));
    writer.tag("t", seconds_of(tags.signed_at));
    if (tags.expires_at) writer.tag("x", seconds_of(*tags.expires_at));
    writer.fold();
    writer.write("h=");
    for (std::size_t i = 0; i < names.size(); ++i) {
        writer.piece(std::string(names[i]) + (i + 1 < names.size() ? ":" : ";"), "");
    }
    writer.fold();
    writer.write("bh=" + base64_encode(octets_of(body_hash)) + ";");
    writer.fold();
    writer.write("b=");
    Draft draft{writer.take(), {}};
    std::string signed_octets = header.canonical(names, tags.header);
    append_canonical_field(signed_octets, draft.field, tags.header);
    draft.digest = digests.sha256(signed_octets);
    return draft;
}

std::string complete(Draft&& draft, std::string_view signature) {
    std::string field = std::move(draft.field);
    const std::string text = base64_encode(signature);
    constexpr std::size_t kOctets = 66;
    for (std::size_t at = 0; at < text.size(); at += kOctets) {
        if (at > 0) field += "\r\n\t";
        field += text.substr(at, kOctets);
    }
    return field + "\r\n";
}

}  // namespace postfleet::dkim
