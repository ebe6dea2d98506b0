#include "postfleet/mime/seven_bit.hpp"

#include <algorithm>
#include <optional>

#include "postfleet/base/text.hpp"
#include "postfleet/mime/header.hpp"
#include "postfleet/mime/media_type.hpp"
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

bool has_long_line(std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        if (std::min(end, text.size()) > kMaxLineOctets) return true;
        if (end == std::string_view::npos) return false;
        text.remove_prefix(end + 2);
    }
    return false;
}

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

class Converter {
public:
    explicit Converter(std::size_t size) { out_.reserve(size + size / 4); }

    enum class Place { Message, Part };
    bool convert(std::string_view octets, const MediaType& default_type, Place place, std::size_t depth);

    Result<std::string> finish(bool converted) {
        if (!converted) return Error{ErrorKind::InvalidArgument, std::move(why_)};
        return std::move(out_);
    }

private:
    bool fail(std::string why) {
        why_ = std::move(why);
        return false;
    }
    bool convert_multipart(const Entity& entity, std::size_t depth);
    bool convert_leaf(const Entity& entity, Place place);
    void encode_leaf(const Entity& entity, Place place);
    void append_header(const Entity& entity);
    void append_header(const Entity& entity, std::string_view encoding, std::string_view more_fields = {});
    // What no reader shows.
    void append_ignored(std::string_view text) {
        std::transform(text.begin(), text.end(), std::back_inserter(out_),
                       [](char c) { return (c & 0x80) != 0 ? '?' : c; });
    }

    std::string out_, why_;
    std::size_t parts_ = 0;
};

bool Converter::convert(std::string_view octets, const MediaType& default_type, Place place, std::size_t depth) {
    if (depth > kMaxNesting) return fail("its parts are nested too deep");
    if (++parts_ > kMaxParts) return fail("it has too many parts");
    const Entity entity(octets, default_type);
    if (!is_ascii(entity.header)) return fail("a header field of it has 8-bit octets");
    const MediaType& type = entity.type;
    if (type.is("multipart", "signed") || type.is("multipart", "encrypted")) {
        if (!is_ascii(entity.body))
            return fail("it has a part in multipart/" + type.subtype + ", which must not change");
        out_ += octets;
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
        if (!is_ascii(entity.body)) return fail("a multipart in it lacks its boundary");
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
    const bool has_eight_bit = !is_ascii(entity.body);
    switch (entity.encoding) {
        case Encoding::Base64:
        case Encoding::Unknown:
            if (has_eight_bit) return fail("a part of it has octets that its transfer encoding does not allow");
            break;
        case Encoding::QuotedPrintable:
            if (!has_eight_bit) break;
            // Whoever wrote it forgot some; "=" means what it means already.
            append_header(entity);
            for (const char c : entity.body) {
                if ((c & 0x80) != 0) append_quoted_printable(out_, std::string_view(&c, 1));
                else out_.push_back(c);
            }
            return true;
        case Encoding::SevenBit:
        case Encoding::EightBit:
            if (has_eight_bit || (entity.encoding == Encoding::EightBit && has_long_line(entity.body))) {
                // RFC 2046 §5.2; RFC 6532 and 6533 allow it for theirs.
                if (entity.type.type == "message" && !entity.type.subtype.starts_with("global")) {
                    return fail("it has a part in message/" + entity.type.subtype + ", which must not be encoded");
                }
                encode_leaf(entity, place);
                return true;
            }
            break;
    }
    append_header(entity);
    out_ += entity.body;
    return true;
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
        more += is_utf8(entity.body) ? "utf-8\r\n" : "unknown-8bit\r\n";
    }
    append_header(entity, is_quoted ? "quoted-printable" : "base64", more);
    if (is_quoted) return append_quoted_printable(out_, entity.body);
    append_base64_lines(out_, entity.body);
    // The line end before the next boundary belongs to the boundary.
    if (place == Place::Part && out_.ends_with("\r\n")) out_.resize(out_.size() - 2);
}

// As it is, except that nothing is 8bit any more.
void Converter::append_header(const Entity& entity) {
    if (entity.encoding == Encoding::EightBit) return append_header(entity, "7bit");
    out_ += entity.header;
    if (entity.is_closed) out_ += "\r\n";
}

// With Content-Transfer-Encoding as given, at its old place or at the end.
void Converter::append_header(const Entity& entity, std::string_view encoding, std::string_view more_fields) {
    const Span old = entity.encoding_field.value_or(Span{entity.header.size(), entity.header.size()});
    out_ += entity.header.substr(0, old.begin);
    if (!out_.empty() && !out_.ends_with("\r\n")) out_ += "\r\n";  // a header that is cut off
    out_.append(more_fields).append("Content-Transfer-Encoding: ").append(encoding).append("\r\n");
    out_ += entity.header.substr(old.end);
    if (!out_.ends_with("\r\n")) out_ += "\r\n";
    out_ += "\r\n";
}

}  // namespace

Result<std::string> to_seven_bit(std::string_view content) {
    Converter converter(content.size());
    return converter.finish(converter.convert(content, {}, Converter::Place::Message, 0));
}

}  // namespace postfleet::mime
