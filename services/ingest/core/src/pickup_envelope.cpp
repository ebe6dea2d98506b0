#include "postfleet/ingest/pickup_envelope.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/ingest/pickup_dialogue.hpp"

namespace postfleet::ingest {
namespace {

enum class LineKind { Sender, Receiver, Field, Message };

LineKind kind_of(std::string_view line) {
    const std::string_view name = trim(line.substr(0, std::min(line.find(':'), line.size())));
    if (name.size() == line.size()) return LineKind::Message;
    if (ascii_iequals(name, "x-sender")) return LineKind::Sender;
    if (ascii_iequals(name, "x-receiver")) return LineKind::Receiver;
    for (const std::string_view field : {"x-virtual-mta", "x-job", "x-envid", "x-schedule"}) {
        if (ascii_iequals(name, field)) return LineKind::Field;
    }
    return LineKind::Message;
}

// Where a bare address ends: white space inside the quotes of a local part belongs to it.
std::size_t end_of_address(std::string_view text) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (quoted && text[i] == '\\') ++i;
        else if (text[i] == '"') quoted = !quoted;
        else if (!quoted && (text[i] == ' ' || text[i] == '\t')) return i;
    }
    return text.size();
}

std::string path_of(std::string_view line) {
    const std::string_view value = trim(line.substr(line.find(':') + 1));
    if (value.starts_with('<')) return std::string(value);
    const std::size_t end = end_of_address(value);
    return "<" + std::string(value.substr(0, end)) + ">" + std::string(value.substr(end));
}

Error wrong(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

// An address that slipped among the fields would be sent to everybody, and its mail to nobody.
Status check_for_strays(std::string_view header) {
    while (!header.empty()) {
        const std::size_t end = std::min(header.find('\n'), header.size());
        const std::string_view line = header.substr(0, end);
        if (trim(line).empty()) return {};
        const LineKind kind = kind_of(line);
        if (kind == LineKind::Sender || kind == LineKind::Receiver) {
            return wrong("this line must stand at the top of the file, before the message's own fields: " +
                         printable(trim(line)));
        }
        header.remove_prefix(std::min(end + 1, header.size()));
    }
    return {};
}

}  // namespace

Result<std::optional<PickupEnvelope>> parse_pickup_envelope(std::string_view beginning, RestOfFile rest) {
    PickupEnvelope envelope;
    const std::size_t first_line = beginning.find('\n');
    if (first_line == std::string_view::npos && rest == RestOfFile::Follows) return std::optional<PickupEnvelope>();
    if (begins_dialogue(beginning.substr(0, first_line))) {
        envelope.is_dialogue = true;
        return std::optional<PickupEnvelope>(std::move(envelope));
    }
    bool has_sender = false;
    std::size_t at = 0;
    for (;;) {
        const std::size_t end = beginning.find('\n', at);
        if (end == std::string_view::npos && rest == RestOfFile::Follows) return std::optional<PickupEnvelope>();
        std::string_view line = beginning.substr(at, end == std::string_view::npos ? end : end - at);
        if (line.ends_with('\r')) line.remove_suffix(1);
        const LineKind kind = at < beginning.size() ? kind_of(line) : LineKind::Message;
        if (kind == LineKind::Message) break;
        if (kind == LineKind::Field) {
            envelope.fields.append(line).append("\r\n");
        } else {
            if (!is_ascii(line)) envelope.has_utf8 = true;
            if (kind == LineKind::Receiver) envelope.receivers.push_back(path_of(line));
            else if (std::exchange(has_sender, true)) return wrong("there is more than one x-sender line");
            else envelope.sender = path_of(line);
        }
        at = end == std::string_view::npos ? beginning.size() : end + 1;
    }
    if (!has_sender) return wrong("the file does not begin with an x-sender line");
    if (envelope.receivers.empty()) return wrong("there is no x-receiver line at the top of the file");
    if (beginning.substr(at).starts_with(' ') || beginning.substr(at).starts_with('\t')) {
        return wrong("a line of the envelope goes on in the next line; write it in one");
    }
    if (at == beginning.size()) return wrong("there is no message behind the envelope");
    if (Status strays = check_for_strays(beginning.substr(at)); !strays) return strays.error();
    envelope.octets = at;
    return std::optional<PickupEnvelope>(std::move(envelope));
}

}  // namespace postfleet::ingest
