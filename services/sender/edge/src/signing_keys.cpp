#include "postfleet/sender_edge/signing_keys.hpp"

#include <map>
#include <utility>

#include "postfleet/crypto/signing_keys.hpp"

namespace postfleet::sender {

std::shared_ptr<const SigningKeys> load_signing_keys(const config::Config& config, const Log& log) {
    auto keys = std::make_shared<SigningKeys>();
    std::map<std::string, Result<std::shared_ptr<const SigningKey>>> by_file;  // one may serve many domains
    for (const config::DkimRule& rule : config.dkim) {
        auto found = by_file.find(rule.key_file);
        if (found == by_file.end()) {
            found = by_file.emplace(rule.key_file, crypto::load_signing_key(rule.key_file)).first;
        }
        if (!found->second) {
            log.line(LogLevel::Error, "dkim-key-unusable")
                .field("key", rule.label())
                .field("where", rule.origin.to_string())
                .field("reason", found->second.error().text)
                .field("effect", "mail that it signs waits");
        }
        keys->push_back(found->second);
    }
    return keys;
}

}  // namespace postfleet::sender
