#include "message_signer.hpp"

#include <algorithm>

#include "postfleet/base/require.hpp"
#include "postfleet/mime/address_domains.hpp"

namespace postfleet::sender {

namespace {

std::string first_domain(std::optional<std::string_view> field) {
    if (!field) return {};
    const auto domains = mime::address_domains(*field);
    const bool is_domain = domains && !domains->empty() && !domains->front().starts_with('[');
    return is_domain ? domains->front() : std::string();
}

}  // namespace

MessageSigner::MessageSigner(std::shared_ptr<const SigningSetup> setup, const Message& message, WallTime now)
    : setup_(std::move(setup)), message_(message), now_(now) {}

Result<bool> MessageSigner::begin(std::string_view content_header) {
    dkim::HeaderFields content;
    content.add_block(content_header);
    const dkim::Applicant applicant{.from_domain = first_domain(content.value_of("From")),
                                    .sender_domain = first_domain(content.value_of("Sender")),
                                    .tenant = message_.tenant,
                                    .user = message_.user};
    const auto options = dkim::parse_options(message_.dkim_options);
    if (!options) return options.error();
    auto choices = dkim::choose_signatures(setup_->config->dkim, applicant, *options);
    if (!choices) return choices.error();
    choices_ = std::move(*choices);
    if (choices_.empty()) return false;
    if (Status usable = check_keys(); !usable) return usable.error();
    if (!content.value_of("BIMI-Selector")) add_own_fields();
    header_.add_block(own_fields_);
    header_.add_block(message_.prepended_header);
    header_.add_block(content_header);
    for (const dkim::Choice& choice : choices_) {
        const auto form = rule(choice).canonicalization.body;
        const bool is_there =
            std::any_of(hashes_.begin(), hashes_.end(), [&](const auto& one) { return one.first == form; });
        if (!is_there) hashes_.emplace_back(form, std::make_unique<dkim::BodyHash>(*setup_->digests, form));
    }
    return true;
}

Status MessageSigner::check_keys() const {
    for (const dkim::Choice& choice : choices_) {
        const bool is_usable = setup_->keys && choice.rule < setup_->keys->size() && (*setup_->keys)[choice.rule];
        if (!is_usable)
            return Error{ErrorKind::Unavailable, "the DKIM key " + rule(choice).label() + " cannot be used"};
    }
    return {};
}

void MessageSigner::add_own_fields() {
    for (const dkim::Choice& choice : choices_) {
        if (rule(choice).bimi_selector.empty()) continue;
        own_fields_ = "BIMI-Selector: v=BIMI1; s=" + rule(choice).bimi_selector + "\r\n";
        return;
    }
}

void MessageSigner::add_body(std::string_view octets) {
    for (auto& [form, hash] : hashes_) hash->add(octets);
}

Result<std::string> MessageSigner::finish() {
    std::vector<std::pair<config::Canonicalization, Sha256Digest>> digests;
    for (auto& [form, hash] : hashes_) digests.emplace_back(form, hash->finish());
    std::string out;
    for (const dkim::Choice& choice : choices_) {
        const auto digest = std::find_if(digests.begin(), digests.end(), [&](const auto& one) {
            return one.first == rule(choice).canonicalization.body;
        });
        auto field = sign(choice, digest->second);
        if (!field) return field.error();
        out += *field;
    }
    return out + own_fields_ + message_.prepended_header;
}

Result<std::string> MessageSigner::sign(const dkim::Choice& choice, const Sha256Digest& body_hash) const {
    const config::DkimRule& by = rule(choice);
    const SigningKey& key = **(*setup_->keys)[choice.rule];
    dkim::SignatureTags tags{
        .algorithm = key.type() == SigningKey::Type::Rsa ? dkim::Algorithm::RsaSha256 : dkim::Algorithm::Ed25519Sha256,
        .header = by.canonicalization.header,
        .body = by.canonicalization.body,
        .domain = choice.domain,
        .selector = by.selector,
        .identity = choice.identity,
        .signed_at = now_};
    if (by.expire_after > Duration{}) tags.expires_at = now_ + std::chrono::floor<WallTime::duration>(by.expire_after);
    const auto names = header_.choose(by.headers, by.oversign);
    dkim::Draft draft = dkim::draft_signature(*setup_->digests, tags, header_, names, body_hash);
    auto signature = key.sign(draft.digest);
    if (!signature) return Error{signature.error().kind, "signing with the DKIM key " + by.label() + " failed"};
    return dkim::complete(std::move(draft), *signature);
}

std::optional<WallTime> MessageSigner::renew_at() const {
    std::optional<WallTime> earliest;
    for (const dkim::Choice& choice : choices_) {
        const Duration lifetime = rule(choice).expire_after;
        if (lifetime == Duration{}) continue;
        const WallTime at = now_ + std::chrono::floor<WallTime::duration>(lifetime / 2);
        earliest = earliest ? std::min(*earliest, at) : at;
    }
    return earliest;
}

}  // namespace postfleet::sender
