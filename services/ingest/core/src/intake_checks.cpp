// What RFC 5322 asks of a message, as far as the listener checks it, and what of it can be repaired.
#include <utility>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/mime/short_lines.hpp"

namespace postfleet::ingest {

// Repair adds Date and Message-ID later; what else is wrong only the sender can put right.
std::optional<smtp::Decision> Intake::check_header(const HeaderFacts& facts) {
    const config::Listener& listener = rules_->listener;
    if (facts.header_octets > listener.max_header_size) {
        return refuse(Reason::HeaderTooBig, 552, {5, 3, 4}, "Message header too big");
    }
    if (facts.largest_field > listener.max_header_field_size) {
        return refuse(Reason::HeaderFieldTooBig, 552, {5, 3, 4}, "Message header field too big");
    }
    if (facts.hops > listener.max_hops) {
        return refuse(Reason::TooManyHops, 554, {5, 4, 6}, "Too many hops, mail loop?");
    }
    if (listener.message_checks == config::MessageChecks::Allow) return std::nullopt;
    std::string wrong;
    if (!facts.duplicate.empty()) wrong = "more than one " + std::string(facts.duplicate) + " field";
    else if ((facts.seen & kFrom) == 0) wrong = "no From field";
    else if (listener.message_checks == config::MessageChecks::Repair) return std::nullopt;
    else if ((facts.seen & kDate) == 0) wrong = "no Date field";
    else if ((facts.seen & kMessageId) == 0) wrong = "no Message-ID field";
    else if (!facts.has_one_author()) wrong = "not exactly one address in From";
    else if (!facts.has_usable_message_id()) wrong = "a Message-ID that is not <left@right>";
    else return std::nullopt;
    return refuse_malformed(wrong);
}

smtp::Decision Intake::refuse_malformed(const std::string& what) {
    return refuse(Reason::MalformedMessage, 550, {5, 6, 0}, "Message breaks RFC 5322: " + what);
}

std::optional<smtp::Decision> Intake::check_lines(std::string_view part) {
    const config::MessageChecks checks = rules_->listener.message_checks;
    if (checks == config::MessageChecks::Allow || message_->has_long_lines || ruler_.measure(part)) return std::nullopt;
    if (checks == config::MessageChecks::Refuse) return refuse_malformed("a line of more than 998 octets");
    message_->has_long_lines = true;
    return std::nullopt;
}

// What is merged is folded by who merges it: a line may end inside a variable here.
std::optional<smtp::Decision> Intake::fold_header(const HeaderFacts& facts, std::string& content) {
    const bool repairs = rules_->listener.message_checks == config::MessageChecks::Repair;
    if (!repairs || merge_ != nullptr || facts.largest_field <= LineRuler::kLongest) return std::nullopt;
    mime::HeaderReader reader(content);
    while (reader.next()) {
    }
    const std::string_view header = std::string_view(content).substr(0, reader.end());
    if (!mime::has_long_line(header)) return std::nullopt;
    std::string folded;
    folded.reserve(content.capacity());
    if (!mime::append_folded(folded, header)) {
        return refuse_malformed("a header field has a line of more than 998 octets and no white space to fold it at");
    }
    folded.append(content, reader.end());
    content = std::move(folded);
    return std::nullopt;
}

// A message that is all here, as most are, is repaired now, and refused if it cannot be. What is larger is on disk, and
// what is merged is not yet what will be sent: both are rewritten when they are, as 8-bit mail is (Renditions).
std::optional<smtp::Decision> Intake::shorten_lines(smtp::ContentEnd& end) {
    if (end.chunks > 1 || merge_ != nullptr) return std::nullopt;
    Result<std::string> shortened = mime::to_short_lines(end.last_chunk);
    if (!shortened) {
        return refuse_malformed("a line of more than 998 octets, and this cannot be repaired: " +
                                shortened.error().text);
    }
    if (shortened->size() > kContentChunkOctets) return std::nullopt;
    end.last_chunk = std::move(*shortened);
    end.size_octets = end.last_chunk.size();
    message_->has_long_lines = false;
    return std::nullopt;
}

}  // namespace postfleet::ingest
