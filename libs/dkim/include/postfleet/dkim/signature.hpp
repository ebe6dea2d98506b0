// A DKIM-Signature field, from what it shall say to its octets (RFC 6376 §3.5, §3.7, §5; RFC 8301; RFC 8463).
//
//   HeaderFields ─ choose ─▶ h= ─┐
//   BodyHash ────────────▶ bh= ──┴─▶ Draft{field without b=, digest} ─ key ─▶ complete(draft, signature)
//
// Fields of the same name are taken from the bottom up. A name that is oversigned is in h= once more than the message
// has it, so that nobody can add one. There is no l=: it lets others append to a signed message. From is always
// signed, and nothing is that relays change (Received, Return-Path) unless the configuration names it.
//
// Pure: the time comes in, the private key never does: it signs the digest of the draft.
// Threads: confined.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/dkim/canonical.hpp"
#include "postfleet/mime/header.hpp"

namespace postfleet::dkim {

enum class Algorithm : std::uint8_t { RsaSha256, Ed25519Sha256 };

// The header of a message in one or more blocks, top first. The views point into the blocks.
class HeaderFields final {
public:
    void add_block(std::string_view block);
    // In the order of h=; the names are as the configuration writes them.
    std::vector<std::string_view> choose(std::span<const std::string> when_present,
                                         std::span<const std::string> oversigned) const;
    // The fields that `names` stand for, canonical, in that order.
    std::string canonical(std::span<const std::string_view> names, Canonicalization form) const;
    // The first field of the name; nothing: there is none.
    std::optional<std::string_view> value_of(std::string_view name) const;

private:
    struct Line {
        std::string_view name, value, whole;
    };
    std::size_t count(std::string_view name) const;
    std::vector<Line> lines_;
};

class BodyHash final {
public:
    BodyHash(const Digests& digests, Canonicalization form);
    void add(std::string_view octets) { canonicalizer_.add(octets); }
    Sha256Digest finish();

private:
    std::unique_ptr<RunningSha256> hash_;
    BodyCanonicalizer canonicalizer_;
};

struct SignatureTags {
    Algorithm algorithm = Algorithm::RsaSha256;
    Canonicalization header = Canonicalization::Relaxed, body = Canonicalization::Relaxed;
    std::string_view domain, selector;
    std::string_view identity;  // i=; empty: none
    WallTime signed_at{};
    std::optional<WallTime> expires_at;
};

struct Draft {
    std::string field;    // up to "b=", without a line end
    Sha256Digest digest;  // what the key signs
};

Draft draft_signature(const Digests& digests, const SignatureTags& tags, const HeaderFields& header,
                      std::span<const std::string_view> names, const Sha256Digest& body_hash);
// The field with its line end.
std::string complete(Draft&& draft, std::string_view signature);

}  // namespace postfleet::dkim
