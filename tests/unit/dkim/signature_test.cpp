#include "postfleet/dkim/signature.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/crypto/signing_keys.hpp"
#include "postfleet/dkim/tags.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using namespace postfleet::dkim;

namespace {

// RFC 8463, appendix A.
constexpr const char* kRfcKey =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE "
    "KEY-----\n";
constexpr std::string_view kRfcHeader =
    "From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
constexpr std::string_view kRfcBody = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

const crypto::OpensslDigests kDigests;

Sha256Digest hash_of(std::string_view body, Canonicalization form = Canonicalization::Relaxed) {
    BodyHash hash(kDigests, form);
    hash.add(body);
    return hash.finish();
}

std::string unfolded(std::string text) {
    std::erase_if(text, [](char c) { return c == '\r' || c == '\n' || c == '\t'; });
    return text;
}

}  // namespace

TEST_CASE("the Ed25519 signature of RFC 8463 appendix A comes out octet by octet", "[RFC8463]") {
    CHECK(base64_encode(octets_of(hash_of(kRfcBody))) == "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    HeaderFields header;
    header.add_block(kRfcHeader);
    const std::vector<std::string_view> names{"from", "to", "subject", "date", "message-id", "from", "subject", "date"};
    std::string octets = header.canonical(names, Canonicalization::Relaxed);
    append_canonical_field(
        octets,
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; "
        "i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date "
        ": message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=",
        Canonicalization::Relaxed);
    const support::TemporaryDirectory directory;
    const std::string path = directory.path() / "key.pem";
    std::ofstream(path) << kRfcKey;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    const auto key = crypto::load_signing_key(path);
    REQUIRE(key);
    CHECK((*key)->type() == SigningKey::Type::Ed25519);
    CHECK(base64_encode((*key)->public_octets()) == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    CHECK(base64_encode((*key)->sign(kDigests.sha256(octets)).value()) ==
          "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
}

TEST_CASE("a draft says what it was asked to say, in lines that are not too long, and never l=", "[D-2][D-5]") {
    HeaderFields header;
    header.add_block(kRfcHeader);
    const std::vector<std::string> oversigned{"From", "Subject", "List-Unsubscribe"}, present{"Date", "Sender"};
    const auto names = header.choose(present, oversigned);
    const SignatureTags tags{.algorithm = Algorithm::RsaSha256,
                             .header = Canonicalization::Relaxed,
                             .body = Canonicalization::Simple,
                             .domain = "football.example.com",
                             .selector = "s1",
                             .identity = "@news.football.example.com",
                             .signed_at = from_unix_microseconds(1528637909'700'000),
                             .expires_at = from_unix_microseconds(1528724309'000'000)};
    Draft draft = draft_signature(kDigests, tags, header, names, hash_of(kRfcBody));
    const std::string field = complete(std::move(draft), std::string(256, 'x'));
    const auto list = TagList::parse(std::string_view(field).substr(field.find(':') + 1));
    REQUIRE(list);
    const auto tag = [&](std::string_view name) { return unfolded(std::string(*list->find(name))); };
    CHECK(field.starts_with("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple;"));
    CHECK(tag("d") == "football.example.com");
    CHECK(tag("s") == "s1");
    CHECK(tag("i") == "@news.football.example.com");
    CHECK(tag("t") == "1528637909");
    CHECK(tag("x") == "1528724309");
    CHECK(tag("h") == "From:From:Subject:Subject:List-Unsubscribe:Date");
    CHECK(tag("b") == base64_encode(std::string(256, 'x')));
    CHECK(list->find("l") == nullptr);
    for (const std::string_view line : split(field, '\n')) CHECK(line.size() <= 79);
    CHECK(field.ends_with("\r\n"));
}

TEST_CASE("fields of the same name are taken from the bottom up, and From is always among them", "[D-3][D-4]") {
    HeaderFields header;
    header.add_block("Received: by x\r\nA: 1\r\n");
    header.add_block("a: 2\r\nFrom: <x@y.example>\r\nA:\r\n 3\r\n");
    CHECK(header.canonical(std::vector<std::string_view>{"A", "a", "A", "A"}, Canonicalization::Relaxed) ==
          "a:3\r\na:2\r\na:1\r\n");
    const std::vector<std::string> present{"A", "B", "a"};
    CHECK(header.choose(present, {}) == std::vector<std::string_view>{"A", "A", "A", "From"});
    const std::vector<std::string> oversigned{"B", "from"};
    CHECK(header.choose({}, oversigned) == std::vector<std::string_view>{"B", "from", "from"});
}

TEST_CASE("by default every field that a phisher would add is oversigned, and both List-Unsubscribe fields", "[D-3]") {
    HeaderFields header;
    header.add_block(kRfcHeader);
    const config::DkimRule rule;
    const auto names = header.choose(rule.headers, rule.oversign);
    const auto count = [&](std::string_view name) { return std::count(names.begin(), names.end(), name); };
    for (const char* name : {"From", "To", "Subject", "Date", "Message-ID"}) CHECK(count(name) == 2);
    for (const char* name : {"Cc", "Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
                             "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "BIMI-Selector"}) {
        CHECK(count(name) == 1);
    }
    CHECK(count("Received") == 0);
    CHECK(count("Return-Path") == 0);
}

TEST_CASE("an identity cannot say more than i=", "[D-5]") {
    HeaderFields header;
    header.add_block(kRfcHeader);
    const auto names = header.choose({}, {});
    const SignatureTags tags{.domain = "a.example", .selector = "s", .identity = "a;b=c d\xc3\xbc@a.example"};
    const Draft draft = draft_signature(kDigests, tags, header, names, hash_of(kRfcBody));
    CHECK(draft.field.find("i=a=3Bb=3Dc=20d=C3=BC@a.example;") != std::string::npos);
}

TEST_CASE("a message of thousands of fields of one name is signed in a time that grows with its size", "[SEC-28]") {
    std::string block;
    for (int i = 0; i < 60'000; ++i) block += "To:\r\n";
    HeaderFields header;
    header.add_block(block);
    const std::vector<std::string> oversigned{"To"};
    const auto names = header.choose({}, oversigned);
    CHECK(names.size() == 60'002);
    const bool is_whole = header.canonical(names, Canonicalization::Simple) == block;  // too long to be printed
    CHECK(is_whole);
}
