#include "render_intake.hpp"

#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::standalone {

std::string render_intake(const maildir::MaildirIntake::Statistics& all,
                          const std::vector<maildir::MaildirIntake::Kept>& listed) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("mails", all.mails).member("octets", all.octets).member("max_octets", all.max_octets);
    json.key("listed").begin_array();
    for (const maildir::MaildirIntake::Kept& mail : listed) {
        json.begin_object().member("id", mail.id).member("kind", to_string(mail.kind));
        json.member("received_at", format_rfc3339(mail.received_at)).member("octets", mail.octets);
        json.member("reverse_path", mail.reverse_path).member("recipient", mail.recipient).member("path", mail.path);
        json.end_object();
    }
    json.end_array().end_object();
    return text;
}

}  // namespace postfleet::standalone
