#include "postfleet/mime/compose.hpp"

#include <algorithm>
#include <iterator>

#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/mime/transfer_encoding.hpp"

namespace postfleet::mime {
namespace {

constexpr std::size_t kMaxTextLine = 998;
constexpr std::size_t kMaxFieldName = 76;

Error wrong(std::string field, std::string_view what) {
    return {ErrorKind::InvalidArgument, std::move(field) + ": " + std::string(what)};
}

std::string at(const char* list, std::size_t index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

// Fields that the draft has a place of its own for.
constexpr std::string_view kOurs[] = {"from",         "to",
                                      "cc",           "bcc",
                                      "subject",      "reply-to",
                                      "mime-version", "content-transfer-encoding",
                                      "sender",       "content-type",
                                      "return-path",  "received",
                                      "resent-bcc",   "content-disposition",
                                      "content-id"};

bool is_token(std::string_view text) {  // RFC 2045 §5.1
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
    });
}

bool is_field_name(std::string_view name) {
    return !name.empty() && name.size() <= kMaxFieldName &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
}

Result<std::vector<NamedAddress>> normal(const char* field, const std::vector<NamedAddress>& addresses) {
    std::vector<NamedAddress> out;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        auto mailbox = Mailbox::parse(addresses[i].address, Mailbox::Utf8::Allow);
        if (!mailbox) {
            return wrong(at(field, i),
                         "\"" + printable(addresses[i].address, 100) + "\" is not an address: " + mailbox.error().text);
        }
        if (!is_header_text(addresses[i].name)) return wrong(at(field, i), "the name must be one line of UTF-8");
        out.push_back({addresses[i].name, mailbox->to_string()});
    }
    return out;
}

std::string with_crlf(std::string_view text) {
    std::string out;
    out.reserve(text.size() + text.size() / 32 + 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\r' || c == '\n') {
            if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
            out.append("\r\n");
        } else {
            out.push_back(c);
        }
    }
    if (!out.ends_with("\r\n")) out.append("\r\n");
    return out;
}

struct Shape {
    std::size_t foreign = 0;       // octets that 7bit has no place for
    std::size_t longest_line = 0;  // without its line end
};

Shape shape_of(std::string_view text) {
    Shape shape;
    std::size_t line = 0;
    for (const char c : text) {
        if (c == '\n') {
            shape.longest_line = std::max(shape.longest_line, line - 1);
            line = 0;
            continue;
        }
        ++line;
        if (c == 0 || static_cast<unsigned char>(c) > 0x7f) ++shape.foreign;
    }
    return shape;
}

class Composer {
public:
    Composer(const Draft& draft, const Frame& frame) : draft_(draft), frame_(frame) {}

    Result<std::string> compose() {
        out_.reserve(1024 + draft_.text.size() * 2 + draft_.html.size() * 2 + attached_octets() * 3 / 2);
        if (Status written = write_header(); !written) return written.error();
        if (Status checked = check_attachments(); !checked) return checked.error();
        write_content();
        return std::move(out_);
    }

private:
    using Files = std::vector<const Attachment*>;

    std::size_t attached_octets() const {
        std::size_t octets = 0;
        for (const Attachment& file : draft_.attachments) octets += file.content.size();
        return octets;
    }

    bool has_own(std::string_view name) const {
        return std::any_of(draft_.headers.begin(), draft_.headers.end(),
                           [name](const auto& field) { return ascii_iequals(field.first, name); });
    }

    Status write_header() {
        if (!has_own("Date")) out_.append("Date: ").append(frame_.date).append("\r\n");
        if (Status written = write_addresses("from", "From", {draft_.from}); !written) return written;
        if (draft_.to.empty()) {
            out_.append(frame_.form == TextForm::Mergeable ? "To: [*to]\r\n" : "To: undisclosed-recipients:;\r\n");
        } else if (Status written = write_addresses("to", "To", draft_.to); !written) {
            return written;
        }
        if (Status written = write_addresses("cc", "Cc", draft_.cc); !written) return written;
        if (Status written = write_addresses("reply_to", "Reply-To", draft_.reply_to); !written) return written;
        if (!is_header_text(draft_.subject)) return wrong("subject", "must be one line of UTF-8");
        append_text_field(out_, "Subject", draft_.subject, frame_.form);
        if (!has_own("Message-ID")) out_.append("Message-ID: ").append(frame_.message_id).append("\r\n");
        for (std::size_t i = 0; i < draft_.headers.size(); ++i) {
            const auto& [name, value] = draft_.headers[i];
            const std::string place = "headers." + printable(name, 60);
            if (!is_field_name(name)) return wrong(place, "is not the name of a header field");
            if (std::find(std::begin(kOurs), std::end(kOurs), to_ascii_lower(name)) != std::end(kOurs)) {
                return wrong(place, "cannot be given here; fields of the submission itself say this");
            }
            if (!is_header_text(value)) return wrong(place, "must be one line of UTF-8");
            append_text_field(out_, name, value, frame_.form);
        }
        out_.append("MIME-Version: 1.0\r\n");
        return {};
    }

    Status write_addresses(const char* field, const char* name, const std::vector<NamedAddress>& addresses) {
        if (addresses.empty()) return {};
        auto written = normal(field, addresses);
        if (!written) return written.error();
        append_address_field(out_, name, *written, frame_.form);
        return {};
    }

    Status check_attachments() {
        for (std::size_t i = 0; i < draft_.attachments.size(); ++i) {
            const Attachment& file = draft_.attachments[i];
            const std::string place = at("attachments", i);
            if (!is_header_text(file.filename)) return wrong(place + ".filename", "must be one line of UTF-8");
            if (!is_header_text(file.content_id) || !is_ascii(file.content_id) ||
                file.content_id.find_first_of("<> ") != std::string::npos) {
                return wrong(place + ".content_id", "must be ASCII without spaces and angle brackets");
            }
            if (Status type = check_type(file.content_type, place + ".content_type"); !type) return type;
            const bool is_inline = file.disposition == Attachment::Disposition::Inline && !draft_.html.empty();
            (is_inline ? pictures_ : files_).push_back(&file);
        }
        return {};
    }

    static Status check_type(std::string_view type, std::string place) {
        if (type.empty()) return {};
        const std::string_view name = trim(type.substr(0, type.find(';')));
        const std::size_t slash = name.find('/');
        if (slash == std::string_view::npos || !is_token(name.substr(0, slash)) || !is_token(name.substr(slash + 1)) ||
            !is_header_text(type) || !is_ascii(type) || type.size() > 200) {
            return wrong(std::move(place), "is not a media type such as application/pdf");
        }
        if (ascii_istarts_with(name, "multipart/") || ascii_istarts_with(name, "message/")) {
            return wrong(std::move(place), "cannot be encoded as a file; use application/octet-stream, or mime");
        }
        return {};
    }

    std::string boundary() { return "=_" + std::to_string(++boundaries_) + "_" + std::string(frame_.boundary); }

    std::string open_multipart(const char* type) {
        std::string mark = boundary();
        out_.append("Content-Type: ").append(type).append(";\r\n boundary=\"").append(mark).append("\"\r\n\r\n");
        return mark;
    }
    void begin_part(const std::string& mark) { out_.append("--").append(mark).append("\r\n"); }
    void end_part() {
        if (!out_.ends_with("\r\n")) out_.append("\r\n");
    }
    void close_multipart(const std::string& mark) { out_.append("--").append(mark).append("--\r\n"); }

    void write_content() {
        if (files_.empty()) return write_texts();
        const std::string mark = open_multipart("multipart/mixed");
        if (!draft_.text.empty() || !draft_.html.empty()) {
            begin_part(mark);
            write_texts();
            end_part();
        }
        write_files(files_, mark);
        close_multipart(mark);
    }

    void write_texts() {
        if (draft_.html.empty()) return write_text("plain", draft_.text);
        if (draft_.text.empty()) return write_html();
        const std::string mark = open_multipart("multipart/alternative");
        begin_part(mark);
        write_text("plain", draft_.text);
        end_part();
        begin_part(mark);
        write_html();
        end_part();
        close_multipart(mark);
    }

    void write_html() {
        if (pictures_.empty()) return write_text("html", draft_.html);
        const std::string mark = open_multipart("multipart/related");
        begin_part(mark);
        write_text("html", draft_.html);
        end_part();
        write_files(pictures_, mark);
        close_multipart(mark);
    }

    void write_text(const char* subtype, std::string_view given) {
        const std::string text = with_crlf(given);
        const Shape shape = shape_of(text);
        out_.append("Content-Type: text/").append(subtype).append("; charset=utf-8\r\nContent-Transfer-Encoding: ");
        // A line that could be taken for a boundary of ours is never left as it is.
        const bool is_plain =
            shape.foreign == 0 && shape.longest_line <= kMaxTextLine && text.find("--=_") == text.npos;
        if (frame_.form == TextForm::Mergeable) {
            out_.append(shape.foreign == 0 ? "7bit\r\n\r\n" : "8bit\r\n\r\n").append(text);
        } else if (is_plain) {
            out_.append("7bit\r\n\r\n").append(text);
        } else if (shape.foreign * 6 < text.size()) {
            out_.append("quoted-printable\r\n\r\n");
            append_quoted_printable(out_, text);
        } else {
            out_.append("base64\r\n\r\n");
            append_base64_lines(out_, text);
        }
    }

    void write_files(const Files& files, const std::string& mark) {
        for (const Attachment* file : files) {
            begin_part(mark);
            out_.append("Content-Type: ")
                .append(file->content_type.empty() ? "application/octet-stream" : file->content_type)
                .append("\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: ")
                .append(file->disposition == Attachment::Disposition::Inline ? "inline" : "attachment");
            if (!file->filename.empty()) append_parameter(out_, "filename", file->filename);
            out_.append("\r\n");
            if (!file->content_id.empty()) out_.append("Content-ID: <").append(file->content_id).append(">\r\n");
            out_.append("\r\n");
            append_base64_lines(out_, file->content);
            end_part();
        }
    }

    const Draft& draft_;
    const Frame& frame_;
    std::string out_;
    Files files_, pictures_;
    int boundaries_ = 0;
};

}  // namespace

Result<std::string> compose(const Draft& draft, const Frame& frame) {
    if (!is_utf8(draft.text)) return wrong("text", "must be UTF-8");
    if (!is_utf8(draft.html)) return wrong("html", "must be UTF-8");
    return Composer(draft, frame).compose();
}

}  // namespace postfleet::mime
