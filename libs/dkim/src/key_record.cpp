#include "postfleet/dkim/key_record.hpp"

#include <algorithm>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/dkim/tags.hpp"

namespace postfleet::dkim {

namespace {

std::string_view type_name(Algorithm algorithm) { return algorithm == Algorithm::RsaSha256 ? "rsa" : "ed25519"; }

// One of the words between colons.
bool lists(std::string_view words, std::string_view word) {
    const auto all = split(words, ':');
    return std::any_of(all.begin(), all.end(), [&](std::string_view one) { return trim(one) == word; });
}

std::string without_space(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') out.push_back(c);
    }
    return out;
}

class Comparison {
public:
    explicit Comparison(const PublicKey& key) : key_(key) {}

    KeyVerdict run(std::span<const std::string> records) {
        if (key_.algorithm == Algorithm::RsaSha256 && key_.bits < kLeastRsaBits) {
            bad("the private key has " + std::to_string(key_.bits) +
                " bits; verifiers refuse less than 1024: make one of 2048");
        } else if (key_.algorithm == Algorithm::RsaSha256 && key_.bits < kGoodRsaBits) {
            warn("the private key has " + std::to_string(key_.bits) + " bits; 2048 are advised");
        }
        std::vector<std::string_view> candidates;
        for (const std::string& record : records) {
            const auto tags = TagList::parse(record);
            if (record.find("DKIM1") != std::string::npos || (tags && tags->find("p") != nullptr)) {
                candidates.push_back(record);
            }
        }
        if (records.empty()) bad("there is no TXT record: publish the one that is shown");
        else if (candidates.empty()) bad("the TXT record there is no DKIM key: it has no p=");
        else if (candidates.size() > 1)
            bad("there are several key records; verifiers may take the wrong one: keep one");
        else compare(candidates.front());
        return std::move(verdict_);
    }

private:
    void bad(std::string text) {
        verdict_.kind = KeyVerdict::Kind::Bad;
        verdict_.problems.push_back(std::move(text));
    }
    void warn(std::string text) {
        if (verdict_.kind == KeyVerdict::Kind::Good) verdict_.kind = KeyVerdict::Kind::Warning;
        verdict_.problems.push_back(std::move(text));
    }

    void compare(std::string_view record) {
        const auto tags = TagList::parse(record);
        if (!tags) return bad("the record is no list of tags: check its semicolons and quotes");
        const std::string_view* const version = tags->find("v");
        if (version != nullptr && (*version != "DKIM1" || tags->tags().front().first != "v")) {
            bad("v= must be DKIM1 and come first");
        }
        const std::string_view* const type = tags->find("k");
        if ((type == nullptr ? "rsa" : *type) != type_name(key_.algorithm)) {
            bad("k= says " + std::string(type == nullptr ? "rsa" : *type) + ", but the private key is " +
                std::string(type_name(key_.algorithm)) + ": another key is published");
        }
        if (const auto* hashes = tags->find("h"); hashes != nullptr && !lists(*hashes, "sha256")) {
            bad("h= does not allow sha256, which signatures use");
        }
        if (const auto* services = tags->find("s");
            services != nullptr && !lists(*services, "*") && !lists(*services, "email")) {
            bad("s= does not allow email: the key is for another service");
        }
        if (const auto* flags = tags->find("t"); flags != nullptr) {
            if (lists(*flags, "y"))
                warn("t=y says that the domain only tests DKIM: signatures count for nothing; take it out");
            if (lists(*flags, "s")) warn("t=s: i= must be at the domain itself, not below it");
        }
        compare_octets(tags->find("p"));
    }

    void compare_octets(const std::string_view* published) {
        if (published == nullptr) return bad("the record has no p=");
        const std::string text = without_space(*published);
        if (text.empty()) return bad("p= is empty: the key has been revoked; publish it again or use another selector");
        const auto octets = base64_decode(text);
        if (!octets) return bad("p= is no Base64: it was cut off or mangled on its way into the DNS");
        if (*octets == key_.octets) return;
        const std::string expected = base64_encode(key_.octets);
        if (expected.starts_with(text)) return bad("p= is cut off: long records go into the DNS as several strings");
        bad("p= is another key: publish the record that is shown, or configure the private key that belongs to it");
    }

    const PublicKey& key_;
    KeyVerdict verdict_;
};

}  // namespace

std::string record_name(std::string_view selector, std::string_view domain) {
    return std::string(selector) + "._domainkey." + std::string(domain);
}

std::string record_text(const PublicKey& key) {
    return "v=DKIM1; k=" + std::string(type_name(key.algorithm)) + "; p=" + base64_encode(key.octets);
}

std::string zone_line(std::string_view selector, std::string_view domain, std::string_view text) {
    constexpr std::size_t kMaxString = 255;
    std::string line = record_name(selector, domain) + ". IN TXT (";
    for (; !text.empty(); text.remove_prefix(std::min(kMaxString, text.size()))) {
        line.append(" \"").append(text.substr(0, kMaxString)).append("\"");
    }
    return line + " )";
}

KeyVerdict compare_key(const PublicKey& key, std::span<const std::string> records) {
    return Comparison(key).run(records);
}

}  // namespace postfleet::dkim
