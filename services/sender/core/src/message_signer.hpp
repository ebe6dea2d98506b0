// MessageSigner: the DKIM signatures of one message, from the octets that go out.
//
//   begin(own fields, content's header) ─▶ which keys ─▶ add_body(…) as often as there are pieces ─▶ finish()
//
// finish() gives the fields for the top of the message: signatures in the order of the configuration, then what a rule
// adds (BIMI-Selector), then the fields that were there. All or nothing: one key that cannot sign is an error, and the
// message does not go out without it.
//
// The header given to begin() stays where it is until finish(). Threads: confined; blocks while it computes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/dkim/rules.hpp"
#include "postfleet/dkim/signature.hpp"
#include "postfleet/sender/sender.hpp"

namespace postfleet::sender {

// What signing goes by until the next reload. shared_ptr: messages at work keep the one they began with.
struct SigningSetup {
    const Digests* digests = nullptr;
    std::shared_ptr<const config::Config> config;
    std::shared_ptr<const SigningKeys> keys;  // by the index of config->dkim
};

class MessageSigner final {
public:
    MessageSigner(std::shared_ptr<const SigningSetup> setup, const Message& message, WallTime now);

    // False: no rule is for this message. Errors: a key is missing, or X-DKIM-Options asks for what there is not.
    Result<bool> begin(std::string_view content_header);
    void add_body(std::string_view octets);
    Result<std::string> finish();
    // When the first signature should be made anew; nothing: they do not expire.
    std::optional<WallTime> renew_at() const;
    std::size_t signatures() const { return choices_.size(); }

private:
    const config::DkimRule& rule(const dkim::Choice& choice) const { return setup_->config->dkim[choice.rule]; }
    Status check_keys() const;
    void add_own_fields();
    Result<std::string> sign(const dkim::Choice& choice, const Sha256Digest& body_hash) const;

    const std::shared_ptr<const SigningSetup> setup_;
    const Message& message_;
    const WallTime now_;
    std::vector<dkim::Choice> choices_;
    std::string own_fields_;  // on top of Message::prepended_header
    dkim::HeaderFields header_;
    std::vector<std::pair<config::Canonicalization, std::unique_ptr<dkim::BodyHash>>> hashes_;
};

}  // namespace postfleet::sender
