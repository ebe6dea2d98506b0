// to_seven_bit and to_short_lines: one walk through the parts of a message, two reasons to rewrite one.
#include <algorithm>
#include <optional>

#include "line_breaking.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/header.hpp"
#include "postfleet/mime/media_type.hpp"
#include "postfleet/mime/seven_bit.hpp"
#include "postfleet/mime/short_lines.hpp"
#include "postfleet/mime/transfer_encoding.hpp"

namespace postfleet::mime {

namespace {

enum class Encoding { SevenBit, EightBit, QuotedPrintable, Base64, Unknown };

Encoding parse_encoding(std::string_view value) {
    const std::string name = to_ascii_lower(trim(value.substr(0, value.find(';'))));
    if (name == "7bit") return Encoding::SevenBit;
    if (name == "8bit" || name == "binary") return Encoding::EightBit;
    if (name == "quoted-printable") return Encoding::QuotedPrintable;
    if (name == "base64") return Encoding::Base64;
    return Encoding::Unknown;
}

// What must not be in the result.
enum class Unwanted { EightBit, LongLines };

// What a part says about itself, and where its body begins.
struct Entity {
    std::string_view header, body;  // the header without the blank line
    MediaType type;
    Encoding encoding = Encoding::SevenBit;
    std::optional<Span> encoding_field;
    bool has_type = false, has_mime_version = false, is_closed = false;

    Entity(std::string_view octets, const MediaType& default_type) : type(default_type) {
        HeaderReader reader(octets);
        while (const auto field = reader.next()) take(*field);
        is_closed = reader.is_closed();
        header = octets.substr(0, reader.end());
        body = octets.substr(std::min(octets.size(), reader.end() + (is_closed ? 2 : 0)));
    }

private:
    void take(const Field& field) {
        if (ascii_iequals(field.name, "Content-Type") && !has_type) {
            has_type = true;
            type = parse_media_type(field.value);
        } else if (ascii_iequals(field.name, "Content-Transfer-Encoding")) {
            // Two of them leave it open which one a reader believes.
            encoding = encoding_field ? Encoding::Unknown : parse_encoding(field.value);
            encoding_field = field.span;
        } else if (ascii_iequals(field.name, "MIME-Version")) {
            has_mime_version = true;
        }
    }
};

struct Delimiter {
    std::size_t begin = std::string_view::npos;  // with the line end before it
    std::size_t end = std::string_view::npos;    // behind its own
    bool is_last = false;
};

// The next line that is the boundary and nothing else (RFC 2046 §5.1.1); none: begin is npos.
Delimiter find_delimiter(std::string_view body, const std::string& boundary, std::size_t from) {
    const std::string wanted = "--" + boundary;
    for (std::size_t at = body.find(wanted, from); at != std::string_view::npos; at = body.find(wanted, at + 1)) {
        if (at != 0 && (at < 2 || body.substr(at - 2, 2) != "\r\n")) continue;
        const std::size_t line_end = std::min(body.find("\r\n", at), body.size());
        std::string_view rest = body.substr(at + wanted.size(), line_end - at - wanted.size());
        const bool is_last = rest.starts_with("--");
        if (is_last) rest.remove_prefix(2);
        if (!trim(rest).empty()) continue;
        const std::size_t begin = at >= from + 2 ? at - 2 : at;
        return {begin, std::min(line_end + 2, body.size()), is_last};
    }
    return {};
}

bool can_be_folded(std::string_view header) {
    std::string folded;
    return !has_long_line(header) || append_folded(folded, header);
}

void append_only_eight_bit(std::string& out, std::string_view quoted) {
    for (const char c : quoted) {
        if ((c & 0x80) != 0) append_quoted_printable(out, std::string_view(&c, 1));
        else out.push_back(c);
    }
}

class Converter {
public:
    Converter(Unwanted unwanted, std::size_t size) : unwanted_(unwanted) { out_.reserve(size + size / 4); }

    enum class Place { Message, Part };
    bool convert(std::string_view octets, const MediaType& default_type, Place place, std::size_t depth);

    Result<std::string> finish(bool converted) {
        if (converted && shortens() && has_long_line(out_)) converted = fail("a boundary in it is too long");
        if (!converted) return Error{ErrorKind::InvalidArgument, std::move(why_)};
        return std::move(out_);
    }

private:
    bool fail(std::string why) {
        why_ = std::move(why);
        return false;
    }
    bool shortens() const { return unwanted_ == Unwanted::LongLines; }
    bool has_unwanted(std::string_view text) const { return shortens() ? has_long_line(text) : !is_ascii(text); }
    const char* unwanted_octets() const { return shortens() ? "long lines" : "8-bit octets"; }

    bool convert_multipart(const Entity& entity, std::size_t depth);
    bool convert_leaf(const Entity& entity, Place place);
    bool append_mended(const Entity& entity);
    void encode_leaf(const Entity& entity, Place place);
    void append_unchanged(const Entity& entity);
    void append_header(const Entity& entity);
    void append_header(const Entity& entity, std::string_view encoding, std::string_view more_fields = {});
    void append_fields(std::string_view fields);
    // What no reader shows.
    void append_ignored(std::string_view text) {
        if (shortens()) return append_short_lines_of(out_, text);
        std::transform(text.begin(), text.end(), std::back_inserter(out_),
                       [](char c) { return (c & 0x80) != 0 ? '?' : c; });
    }

    const Unwanted unwanted_;
    std::string out_, why_;
    std::size_t parts_ = 0;
};

bool Converter::convert(std::string_view octets, const MediaType& default_type, Place place, std::size_t depth) {
    if (depth > kMaxNesting) return fail("its parts are nested too deep");
    if (++parts_ > kMaxParts) return fail("it has too many parts");
    const Entity entity(octets, default_type);
    if (!shortens() && !is_ascii(entity.header)) return fail("a header field of it has 8-bit octets");
    if (shortens() && !can_be_folded(entity.header)) {
        return fail("a header field of it has a long line without white space to fold it at");
    }
    const MediaType& type = entity.type;
    if (type.is("multipart", "signed") || type.is("multipart", "encrypted")) {
        if (has_unwanted(entity.body)) {
            return fail("it has " + std::string(unwanted_octets()) + " in multipart/" + type.subtype +
                        ", which must not change");
        }
        append_unchanged(entity);
        return true;
    }
    const bool is_composite = entity.encoding == Encoding::SevenBit || entity.encoding == Encoding::EightBit;
    if (type.type == "multipart" && is_composite && !type.boundary.empty()) return convert_multipart(entity, depth);
    if (type.is("message", "rfc822") && is_composite) {
        append_header(entity);
        return convert(entity.body, {}, Place::Message, depth + 1);
    }
    return convert_leaf(entity, place);
}

bool Converter::convert_multipart(const Entity& entity, std::size_t depth) {
    Delimiter at = find_delimiter(entity.body, entity.type.boundary, 0);
    if (at.begin == std::string_view::npos) {
        if (has_unwanted(entity.body)) return fail("a multipart in it lacks its boundary");
        append_header(entity);
        out_ += entity.body;
        return true;
    }
    append_header(entity);
    append_ignored(entity.body.substr(0, at.begin));
    const MediaType part_type = entity.type.subtype == "digest" ? MediaType{"message", "rfc822", {}} : MediaType{};
    while (!at.is_last) {
        out_ += entity.body.substr(at.begin, at.end - at.begin);
        const Delimiter next = find_delimiter(entity.body, entity.type.boundary, at.end);
        const std::size_t end = std::min(next.begin, entity.body.size());
        if (!convert(entity.body.substr(at.end, end - at.end), part_type, Place::Part, depth + 1)) return false;
        if (next.begin == std::string_view::npos) return true;  // it lacks the last boundary
        at = next;
    }
    out_ += entity.body.substr(at.begin, at.end - at.begin);
    append_ignored(entity.body.substr(at.end));
    return true;
}

bool Converter::convert_leaf(const Entity& entity, Place place) {
    const bool is_encoded = entity.encoding != Encoding::SevenBit && entity.encoding != Encoding::EightBit;
    // What is made 7bit must be short, too: a line of 8bit text may be as long as it likes (RFC 2045 §2.8), of 7bit not.
    const bool must_change =
        has_unwanted(entity.body) || (entity.encoding == Encoding::EightBit && has_long_line(entity.body));
    if (!must_change) {
        append_header(entity);
        out_ += entity.body;
        return true;
    }
    if (is_encoded) return append_mended(entity);
    // RFC 2046 §5.2; RFC 6532 and 6533 allow it for theirs.
    if (entity.type.type == "message" && !entity.type.subtype.starts_with("global")) {
        return fail("it has a part in message/" + entity.type.subtype + ", which must not be encoded");
    }
    encode_leaf(entity, place);
    return true;
}

// A body that is encoded already, but not well.
bool Converter::append_mended(const Entity& entity) {
    if (entity.encoding == Encoding::QuotedPrintable) {
        append_header(entity);
        if (shortens()) append_broken_quoted_printable(out_, entity.body);
        // Whoever wrote it forgot some; "=" means what it means already.
        else append_only_eight_bit(out_, entity.body);
        return true;
    }
    if (entity.encoding == Encoding::Base64 && shortens()) {
        append_header(entity);
        append_broken_base64(out_, entity.body);
        return true;
    }
    return fail("a part of it has " + std::string(unwanted_octets()) + " that its transfer encoding does not allow");
}

void Converter::encode_leaf(const Entity& entity, Place place) {
    const auto encoded = static_cast<std::size_t>(
        std::count_if(entity.body.begin(), entity.body.end(), [](char c) { return (c & 0x80) != 0 || c == '='; }));
    const bool is_text = entity.type.type == "text" || entity.type.type == "message";
    // Three octets for one, against four for three.
    const bool is_quoted = is_text && encoded * 6 < entity.body.size();
    std::string more;
    if (place == Place::Message && !entity.has_mime_version) more = "MIME-Version: 1.0\r\n";
    if (!entity.has_type) {
        more += "Content-Type: text/plain; charset=";
        if (is_ascii(entity.body)) more += "us-ascii\r\n";
        else more += is_utf8(entity.body) ? "utf-8\r\n" : "unknown-8bit\r\n";
    }
    append_header(entity, is_quoted ? "quoted-printable" : "base64", more);
    if (is_quoted) return append_quoted_printable(out_, entity.body);
    append_base64_lines(out_, entity.body);
    // The line end before the next boundary belongs to the boundary.
    if (place == Place::Part && out_.ends_with("\r\n")) out_.resize(out_.size() - 2);
}

// The signed octets are behind the header, which may still be folded.
void Converter::append_unchanged(const Entity& entity) {
    append_fields(entity.header);
    if (entity.is_closed) out_ += "\r\n";
    out_ += entity.body;
}

// As it is, except that nothing is 8bit any more where that is what it is about.
void Converter::append_header(const Entity& entity) {
    if (entity.encoding == Encoding::EightBit && !shortens()) return append_header(entity, "7bit");
    append_fields(entity.header);
    if (entity.is_closed) out_ += "\r\n";
}

// With Content-Transfer-Encoding as given, at its old place or at the end.
void Converter::append_header(const Entity& entity, std::string_view encoding, std::string_view more_fields) {
    const Span old = entity.encoding_field.value_or(Span{entity.header.size(), entity.header.size()});
    append_fields(entity.header.substr(0, old.begin));
    if (!out_.empty() && !out_.ends_with("\r\n")) out_ += "\r\n";  // a header that is cut off
    out_.append(more_fields).append("Content-Transfer-Encoding: ").append(encoding).append("\r\n");
    append_fields(entity.header.substr(old.end));
    if (!out_.ends_with("\r\n")) out_ += "\r\n";
    out_ += "\r\n";
}

void Converter::append_fields(std::string_view fields) {
    if (!shortens()) out_ += fields;
    else require(append_folded(out_, fields));  // convert() has looked
}

Result<std::string> convert(Unwanted unwanted, std::string_view content) {
    Converter converter(unwanted, content.size());
    return converter.finish(converter.convert(content, {}, Converter::Place::Message, 0));
}

}  // namespace

Result<std::string> to_seven_bit(std::string_view content) { return convert(Unwanted::EightBit, content); }
Result<std::string> to_short_lines(std::string_view content) { return convert(Unwanted::LongLines, content); }

}  // namespace postfleet::mime
