// The section about DKIM keys, and the mail that they sign.
#include "tables.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::config {

namespace {

std::optional<std::string> check_signing_domain(std::string& text) {
    if (text == "*") return std::nullopt;
    if (auto wrong = domain_codec().check(text)) return *wrong + ", or \"*\"";
    return std::nullopt;
}

// RFC 6376 §3.1: a domain name without a top level of its own.
std::optional<std::string> check_selector(std::string& text) {
    std::string with_parent = text + ".x";
    if (domain_codec().check(with_parent)) return "is no selector: letters, digits and hyphens, with dots between them";
    text = to_ascii_lower(text);
    return std::nullopt;
}

std::optional<std::string> check_identity(std::string& text) {
    const std::size_t at = text.rfind('@');
    std::string domain = at == std::string::npos ? "" : text.substr(at + 1);
    const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ';'; });
    if (!is_plain || domain_codec().check(domain)) return "is neither \"@news.example.com\" nor an address";
    text = text.substr(0, at + 1) + domain;
    return std::nullopt;
}

std::optional<std::string> check_field_name(std::string& text) {
    const bool good =
        std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':' && c != ';'; });
    if (!good || text.empty()) return "is no name of a header field";
    return std::nullopt;
}

ListCodec<TextCodec, std::string> field_names() { return {TextCodec{"name of a header field", check_field_name}}; }
ListCodec<TextCodec, std::string> names_of(std::string what) { return {name_codec(std::move(what))}; }

using Forms = Canonicalizations;
constexpr auto kSimple = Canonicalization::Simple;
constexpr auto kRelaxed = Canonicalization::Relaxed;

}  // namespace

std::vector<std::string> DkimRule::default_headers() {
    return {"Sender",      "In-Reply-To", "References", "Resent-From", "Resent-To",      "Resent-Cc",
            "Resent-Date", "List-Help",   "List-Owner", "List-Post",   "List-Subscribe", "List-Archive"};
}

std::vector<std::string> DkimRule::default_oversign() {
    return {"From",
            "To",
            "Cc",
            "Subject",
            "Date",
            "Message-ID",
            "Reply-To",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
            "List-Id",
            "List-Unsubscribe",
            "List-Unsubscribe-Post",
            "Feedback-ID",
            "BIMI-Selector"};
}

const Section& dkim_section() {
    using D = DkimRule;
    static const Section section{
        "dkim[]",
        "A DKIM key and the mail it signs. The rules nearest to the message's domain sign it, all that are equally "
        "near; "
        "of these, those that name its user, then those that name its tenant. Mail that a rule wants signed never goes "
        "unsigned: without a usable key it waits.",
        {
            value_key<D>("domain", &D::domain, TextCodec{"domain or `*`", check_signing_domain},
                         "The signing domain, d=. \"*\": the domain of the message's author, whatever it is.",
                         {.required = true}),
            value_key<D>("selector", &D::selector, TextCodec{"selector", check_selector},
                         "Names the key: its record is at SELECTOR._domainkey.DOMAIN.", {.required = true}),
            value_key<D>("key_file", &D::key_file, PathCodec{},
                         "PEM file with the private key, RSA (1024 bits at least, better 2048) or Ed25519, readable by "
                         "nobody else. Read again at every reload.",
                         {.required = true}),
            value_key<D>("match", &D::match, ListCodec<TextCodec, std::string>{domain_pattern_codec()},
                         "The authors' domains it is for: \"a.example\", \".a.example\" for everything below it, \"*\" "
                         "for any. The longest that fits is the nearest.",
                         {.default_text = "(domain and everything below it)"}),
            value_key<D>("tenants", &D::tenants, names_of("name of a tenant"), "Only for their mail.",
                         {.default_text = "(any)"}),
            value_key<D>("users", &D::users, names_of("name of a user"), "Only for their mail.",
                         {.default_text = "(any)"}),
            value_key<D>("key_list", &D::key_list, name_codec("a name"),
                         "Only for mail whose X-DKIM-Options says key-list=NAME.", {.default_text = "(in no list)"}),
            value_key<D>(
                "when", &D::when,
                ChoiceCodec<SigningCall>{{"always", "requested"}, {SigningCall::Always, SigningCall::Requested}},
                "`requested`: only mail that has an X-DKIM-Options header."),
            value_key<D>("also", &D::also, FlagCodec{},
                         "Signs beside the nearest rule, not instead: a second signature, of a platform for example."),
            value_key<D>("identity_from", &D::identity_from,
                         ChoiceCodec<IdentityField>{{"from", "sender"}, {IdentityField::From, IdentityField::Sender}},
                         "Which header field has the author's domain. `sender`: Sender, else From."),
            value_key<D>("identity", &D::identity, TextCodec{"\"@domain\" or address", check_identity},
                         "The tag i=, at the signing domain or below it.", {.default_text = "(no i=)"}),
            value_key<D>("headers", &D::headers, field_names(), "Fields that are signed where the message has them."),
            value_key<D>("oversign", &D::oversign, field_names(),
                         "Fields that are signed, and once more than the message has them: nobody can add one."),
            value_key<D>("canonicalization", &D::canonicalization,
                         ChoiceCodec<Forms>{{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"},
                                            {Forms{kRelaxed, kRelaxed}, Forms{kRelaxed, kSimple},
                                             Forms{kSimple, kRelaxed}, Forms{kSimple, kSimple}}},
                         "How much a relay may change: of the header, of the body."),
            value_key<D>("expire_after", &D::expire_after, DurationCodec{.lowest = std::chrono::hours(1)},
                         "The signature's lifetime, x=.", {.default_text = "(for ever)"}),
            value_key<D>("bimi_selector", &D::bimi_selector, TextCodec{"selector", check_selector},
                         "Adds and signs BIMI-Selector: v=BIMI1; s=SELECTOR, unless the message has one.",
                         {.default_text = "(none is added)"}),
        },
        {}};
    return section;
}

}  // namespace postfleet::config
