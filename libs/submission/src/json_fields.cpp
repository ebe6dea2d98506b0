#include "json_fields.hpp"

#include "postfleet/base/base64.hpp"

namespace postfleet::submission {
namespace {

using S = JsonSubmission;

// What `read` makes of the place goes into `to`.
template <class T, class To>
Status keep(Result<T> read, To& to) {
    if (!read) return read.error();
    to = std::move(*read);
    return {};
}

// --- a recipient

using R = SubmittedRecipient;

Status take_notify(R& into, const Place& place) {
    const auto words = texts_of(place);
    if (!words) return words.error();
    for (const std::string& word : *words) {
        for (const std::string_view each : split(word, ',')) {
            if (ascii_iequals(trim(each), "never")) into.notify |= kNotifyNever;
            else if (ascii_iequals(trim(each), "success")) into.notify |= kNotifySuccess;
            else if (ascii_iequals(trim(each), "failure")) into.notify |= kNotifyFailure;
            else if (ascii_iequals(trim(each), "delay")) into.notify |= kNotifyDelay;
            else return wrong(place, "must be never, or any of success, failure and delay");
        }
    }
    const bool is_sound = (into.notify & kNotifyNever) == 0 || into.notify == kNotifyNever;
    return is_sound ? Status() : wrong(place, "never cannot stand beside others");
}

Status take_address(R& into, const Place& place) {
    auto address = address_of(place);
    if (!address) return address.error();
    into.address = std::move(address->address);
    return {};
}

Status take_variables(R& into, const Place& place) { return keep(variables_of(place), into.variables); }
Status take_original(R& into, const Place& place) { return keep(text_of(place), into.original); }

constexpr Member<R> kRecipientMembers[] = {
    {"to", take_address},     {"address", take_address}, {"recipient", take_address}, {"variables", take_variables},
    {"data", take_variables}, {"notify", take_notify},   {"orcpt", take_original},
};

Status take_recipient(S& into, const Place& place) {
    R recipient;
    if (place.value->is_object()) {
        if (Status taken = take_members<R>(recipient, place, kRecipientMembers); !taken) return taken;
        if (recipient.address.empty()) return wrong(place, "has no address; give it as \"to\"");
    } else if (Status taken = take_address(recipient, place); !taken) {
        return taken;
    }
    into.has_variables |= !recipient.variables.empty();
    into.submission.recipients.push_back(std::move(recipient));
    return {};
}

Status take_recipients(S& into, const Place& place) {
    if (!place.value->is_array()) return take_recipient(into, place);
    for (std::size_t i = 0; i < place.value->get_array().size(); ++i) {
        if (Status taken = take_recipient(into, item_of(place, i)); !taken) return taken;
    }
    return {};
}

// --- an attachment

using A = Attachment;

Status take_disposition(A& into, const Place& place) {
    const auto text = text_of(place);
    if (!text) return text.error();
    if (*text != "inline" && *text != "attachment") return wrong(place, "must be inline or attachment");
    into.disposition = *text == "inline" ? A::Disposition::Inline : A::Disposition::Attachment;
    return {};
}

Status take_inline(A& into, const Place& place) {
    const auto flag = flag_of(place);
    if (!flag) return flag.error();
    into.disposition = *flag ? A::Disposition::Inline : A::Disposition::Attachment;
    return {};
}

Status take_filename(A& into, const Place& place) { return keep(text_of(place), into.filename); }
Status take_type(A& into, const Place& place) { return keep(text_of(place), into.content_type); }
Status take_content(A& into, const Place& place) { return keep(base64_of(place), into.content); }
Status take_content_id(A& into, const Place& place) { return keep(text_of(place), into.content_id); }

constexpr Member<A> kAttachmentMembers[] = {
    {"filename", take_filename},       {"name", take_filename},
    {"content_type", take_type},       {"type", take_type},
    {"content", take_content},         {"content_id", take_content_id},
    {"disposition", take_disposition}, {"inline", take_inline},
};

Status take_attachments(S& into, const Place& place) {
    if (!place.value->is_array())
        return wrong(place, "must be a list of objects with filename, content_type and content");
    into.has_draft = true;
    for (std::size_t i = 0; i < place.value->get_array().size(); ++i) {
        const Place item = item_of(place, i);
        A file;
        if (Status taken = take_members<A>(file, item, kAttachmentMembers); !taken) return taken;
        if (!item.value->get_object().contains("content")) return wrong(item, "has no content");
        // What the HTML shows is part of it, unless the application knows better.
        const auto& given = item.value->get_object();
        if (!file.content_id.empty() && !given.contains("disposition") && !given.contains("inline")) {
            file.disposition = A::Disposition::Inline;
        }
        into.draft.attachments.push_back(std::move(file));
    }
    return {};
}

// --- the message

template <class To, class Read>
Status keep_drafted(S& into, Read read, To& to) {
    into.has_draft = true;
    return keep(std::move(read), to);
}

Status take_from(S& into, const Place& place) { return keep_drafted(into, address_of(place), into.draft.from); }
Status take_to(S& into, const Place& place) { return keep_drafted(into, addresses_of(place), into.draft.to); }
Status take_cc(S& into, const Place& place) { return keep_drafted(into, addresses_of(place), into.draft.cc); }
Status take_reply_to(S& into, const Place& place) {
    return keep_drafted(into, addresses_of(place), into.draft.reply_to);
}
Status take_subject(S& into, const Place& place) { return keep_drafted(into, text_of(place), into.draft.subject); }
Status take_text(S& into, const Place& place) { return keep_drafted(into, text_of(place), into.draft.text); }
Status take_html(S& into, const Place& place) { return keep_drafted(into, text_of(place), into.draft.html); }
Status take_bcc(S& into, const Place& place) { return keep(addresses_of(place), into.submission.bcc); }

Status take_headers(S& into, const Place& place) {
    into.has_draft = true;
    auto pairs = pairs_of(place);
    if (!pairs) return pairs.error();
    into.draft.headers = std::move(*pairs);
    return {};
}

Status take_mime(S& into, const Place& place) { return keep(text_of(place), into.submission.content); }
Status take_mime_base64(S& into, const Place& place) {
    if (!into.submission.content.empty()) return wrong(place, "says the same as mime; give one of them");
    return keep(base64_of(place), into.submission.content);
}

Status take_mail_from(S& into, const Place& place) {
    auto address = address_of(place);
    if (!address) return address.error();
    into.submission.mail_from = std::move(address->address);
    return {};
}

Status take_data(S& into, const Place& place) {
    into.has_variables = true;
    return keep(variables_of(place), into.shared);
}

Status take_virtual_mta(S& into, const Place& place) { return keep(text_of(place), into.submission.virtual_mta); }
Status take_job(S& into, const Place& place) { return keep(text_of(place), into.submission.job); }
Status take_envelope_id(S& into, const Place& place) { return keep(text_of(place), into.submission.envelope_id); }
Status take_metadata(S& into, const Place& place) { return keep(pairs_of(place), into.submission.metadata); }
Status take_tags(S& into, const Place& place) { return keep(texts_of(place), into.submission.tags); }
Status take_key(S& into, const Place& place) { return keep(text_of(place), into.submission.idempotency_key); }
Status take_send_at(S& into, const Place& place) { return keep(time_of(place), into.submission.send_at); }
Status take_expires_at(S& into, const Place& place) { return keep(time_of(place), into.submission.expires_at); }

// MailerQ: {"time": "2026-12-24 08:00:00"}
Status take_next_attempt(S& into, const Place& place) {
    if (!place.value->is_object() || !place.value->get_object().contains("time")) {
        return wrong(place, R"(must be an object such as {"time": "2026-12-24 08:00:00"})");
    }
    return keep(time_of(member_of(place, "time")), into.submission.send_at);
}

Status take_priority(S& into, const Place& place) {
    const auto number = number_of(place);
    if (!number || *number < kLowestMtPriority || *number > kHighestMtPriority) {
        return wrong(place, "must be a number from -9 to 9; above 0 goes first, below 0 waits");
    }
    into.submission.priority = static_cast<std::int8_t>(*number);
    return {};
}

Status take_return(S& into, const Place& place) {
    const auto text = text_of(place);
    if (!text) return text.error();
    if (ascii_iequals(*text, "full")) into.submission.return_content = ReturnContent::Full;
    else if (ascii_iequals(*text, "hdrs") || ascii_iequals(*text, "headers"))
        into.submission.return_content = ReturnContent::Headers;
    else return wrong(place, "must be full or headers");
    return {};
}

// MailerQ: of its one recipient, whom `recipient` names.
struct Dsn {
    S& into;
    R recipient;
};
constexpr Member<Dsn> kDsnMembers[] = {
    {"notify", [](Dsn& dsn, const Place& place) { return take_notify(dsn.recipient, place); }},
    {"orcpt", [](Dsn& dsn, const Place& place) { return take_original(dsn.recipient, place); }},
    {"ret", [](Dsn& dsn, const Place& place) { return take_return(dsn.into, place); }},
    {"envid", [](Dsn& dsn, const Place& place) { return take_envelope_id(dsn.into, place); }},
};

Status take_dsn(S& into, const Place& place) {
    Dsn dsn{into, {}};
    if (Status taken = take_members<Dsn>(dsn, place, kDsnMembers); !taken) return taken;
    into.every_recipient.notify = dsn.recipient.notify;
    into.every_recipient.original = std::move(dsn.recipient.original);
    return {};
}

// --- what others take and we do not, with what to do instead

Status refuse_with(const Place& place, const char* advice) {
    return wrong(place, std::string("is not supported; ") + advice);
}

constexpr Member<S> kMembers[] = {
    {"from", take_from},
    {"to", take_to},
    {"cc", take_cc},
    {"bcc", take_bcc},
    {"reply_to", take_reply_to},
    {"subject", take_subject},
    {"text", take_text},
    {"html", take_html},
    {"headers", take_headers},
    {"attachments", take_attachments},
    {"mime", take_mime},
    {"mime_base64", take_mime_base64},
    {"mail_from", take_mail_from},
    {"envelope", take_mail_from},
    {"return_path", take_mail_from},
    {"recipients", take_recipients},
    {"recipient", take_recipients},
    {"data", take_data},
    {"variables", take_data},
    {"virtual_mta", take_virtual_mta},
    {"vmta", take_virtual_mta},
    {"pool", take_virtual_mta},
    {"job", take_job},
    {"envelope_id", take_envelope_id},
    {"tags", take_tags},
    {"metadata", take_metadata},
    {"send_at", take_send_at},
    {"nextattempt", take_next_attempt},
    {"expires_at", take_expires_at},
    {"maxdelivertime", take_expires_at},
    {"priority", take_priority},
    {"return_content", take_return},
    {"dsn", take_dsn},
    {"idempotency_key", take_key},
    {"keepmime", [](S&, const Place&) { return Status(); }},  // reports never have the content
    {"key", [](S&, const Place& p) { return refuse_with(p, "give the message itself as mime"); }},
    {"ips", [](S&, const Place& p) { return refuse_with(p, "name a virtual_mta that has these addresses"); }},
    {"dkim", [](S&, const Place& p) { return refuse_with(p, "keys are part of the configuration (dkim)"); }},
    {"smarthost", [](S&, const Place& p) { return refuse_with(p, "hosts are part of the configuration (routes)"); }},
    {"queues", [](S&, const Place& p) { return refuse_with(p, "reports go where the configuration says (reports)"); }},
    {"retries", [](S&, const Place& p) { return refuse_with(p, "see retry_after of shaping"); }},
    {"maxattempts", [](S&, const Place& p) { return refuse_with(p, "give expires_at"); }},
    {"security", [](S&, const Place& p) { return refuse_with(p, "see tls of shaping"); }},
    {"inlinecss", [](S&, const Place& p) { return refuse_with(p, "give HTML with its styles in place"); }},
    {"force", [](S&, const Place& p) { return refuse_with(p, "a text that cannot be made is reported"); }},
};

}  // namespace

std::span<const Member<JsonSubmission>> json_members() { return kMembers; }

}  // namespace postfleet::submission
