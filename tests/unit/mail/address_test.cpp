#include "postfleet/mail/address.hpp"

#include <catch2/catch.hpp>

using postfleet::domain_of;
using postfleet::Mailbox;
using postfleet::normalize_domain;

namespace {

std::string repeated(std::string_view part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
}

const std::string kLabel63 = std::string(63, 'a');
// 63 + 1 + 63 + 1 + 63 + 1 + 61 = 253 octets.
const std::string kLongestDomain = repeated(kLabel63 + ".", 3) + std::string(61, 'b');

}  // namespace

TEST_CASE("a mailbox keeps its local part and normalises its domain", "[rfc5321-4.1.2]") {
    const auto mailbox = Mailbox::parse("User.Name+tag@Example.ORG");
    REQUIRE(mailbox);
    CHECK(mailbox->local_part == "User.Name+tag");
    CHECK(mailbox->domain == "example.org");
    CHECK(mailbox->to_string() == "User.Name+tag@example.org");
}

TEST_CASE("addresses that RFC 5321 allows", "[rfc5321-4.1.2]") {
    const auto text =
        GENERATE(as<std::string>(), "a@b", "a@b.c", "!#$%&'*+-/=?^_`{|}~@example.org", "1.2.3@example.org",
                 "\"\"@example.org", "\"a b\"@example.org", "\"a@b\"@example.org", "\"a\\\"b\"@example.org",
                 "\"a\\\\\"@example.org", "\"..\"@example.org", "\"\\ \"@example.org", "a@[192.0.2.1]",
                 "a@[IPv6:2001:db8::1]", "a@1.example", "a@x-y.example", "a@under_score.example", "a@9.9.9a");
    CAPTURE(text);
    const auto mailbox = Mailbox::parse(text);
    REQUIRE(mailbox);
    CHECK(mailbox->to_string() == text);
}

TEST_CASE("addresses that no RFC allows", "[rfc5321-4.1.2]") {
    const auto text = GENERATE(
        as<std::string>(), "", "@", "a", "a@", "@b", "a@@b", "a@b@c", ".a@b", "a.@b", "a..b@c", "a b@c", "a\tb@c",
        "a(c)@b", "a<b>@c", "a,b@c", "a;b@c", "a:b@c", "a[b]@c", "a\\b@c", "\"a@b", "a\"@b", "\"a\"b@c", "\"a\"b\"@c",
        "\"a\\\"@b", "\"a\nb\"@c", "\"a\\\nb\"@c", "\"\x7f\"@c", "\"@c", "a\r\n@b", "a@b\r\nRCPT TO:<c@d>", "a@-b",
        "a@b-", "a@b-.c", "a@.b", "a@b..c", "a@.", "a@b c", "a@b\\c", "a@b/c", "a@b!c", "a@192.0.2.1", "a@example.123",
        "a@[192.0.2.1", "a@192.0.2.1]", "a@[192.0.2.256]", "a@[2001:db8::1]", "a@[IPv6:192.0.2.1]", "a@[IPv6:]", "a@[]",
        "a@[", "a@[tag:x]", "a@[192.0.2.1].b", "a@[[192.0.2.1]]", "a@[IPv6:fe80::1%eth0]");
    CAPTURE(text);
    const auto mailbox = Mailbox::parse(text);
    CHECK_FALSE(mailbox);
    CHECK_FALSE(Mailbox::parse(text, Mailbox::Utf8::Allow));
}

TEST_CASE("a NUL never passes") {
    const std::string nul(1, '\0');
    for (const auto& text :
         {"a" + nul + "@b", "\"" + nul + "\"@b", "a@b" + nul, "a@" + nul + "b", "a@b.c" + nul + "ü"}) {
        CHECK_FALSE(Mailbox::parse(text));
        CHECK_FALSE(Mailbox::parse(text, Mailbox::Utf8::Allow));
    }
}

TEST_CASE("lengths are taken up to the limit and not beyond", "[rfc5321-4.5.3.1]") {
    CHECK(Mailbox::parse(std::string(64, 'a') + "@b"));
    CHECK_FALSE(Mailbox::parse(std::string(65, 'a') + "@b"));
    CHECK(normalize_domain(kLongestDomain));
    CHECK(normalize_domain(kLongestDomain + "."));
    CHECK_FALSE(normalize_domain(kLongestDomain + "b"));
    CHECK(normalize_domain(kLabel63 + ".example"));
    CHECK_FALSE(normalize_domain(kLabel63 + "a.example"));
    const std::string domain252 = kLongestDomain.substr(1);
    CHECK(Mailbox::parse("a@" + domain252));
    CHECK_FALSE(Mailbox::parse("ab@" + domain252));
    CHECK_FALSE(Mailbox::parse(std::string(1 << 20, 'a')));
    CHECK_FALSE(Mailbox::parse("a@" + std::string(1 << 20, 'b')));
    CHECK_FALSE(normalize_domain(std::string(1 << 20, '\xc3')));
}

TEST_CASE("UTF-8 needs SMTPUTF8", "[rfc6531-3.3]") {
    CHECK_FALSE(Mailbox::parse("grüße@example.org"));
    CHECK_FALSE(Mailbox::parse("a@bücher.example"));
    const auto mailbox = Mailbox::parse("grüße@BÜCHER.example", Mailbox::Utf8::Allow);
    REQUIRE(mailbox);
    CHECK(mailbox->to_string() == "grüße@xn--bcher-kva.example");
    CHECK(Mailbox::parse("\"grüße \"@example.org", Mailbox::Utf8::Allow));
    CHECK(Mailbox::parse("用户@例え.jp", Mailbox::Utf8::Allow)->domain == "xn--r8jz45g.jp");
    CHECK_FALSE(Mailbox::parse("gr\xfc\xdf\x65@example.org", Mailbox::Utf8::Allow));
    CHECK_FALSE(Mailbox::parse("a@\xfc.example", Mailbox::Utf8::Allow));
    CHECK_FALSE(Mailbox::parse("a@b\xc3", Mailbox::Utf8::Allow));
}

TEST_CASE("domains are normalised to lower-case A-labels", "[rfc5891]") {
    CHECK(*normalize_domain("EXAMPLE.Com.") == "example.com");
    CHECK(*normalize_domain("faß.example") == "xn--fa-hia.example");  // IDNA2008 keeps the sharp s
    CHECK(*normalize_domain("Bücher。example") == "xn--bcher-kva.example");
    CHECK(*normalize_domain("XN--BCHER-KVA.example") == "xn--bcher-kva.example");
    CHECK(*normalize_domain("bu\xcc\x88"
                            "cher.example") == "xn--bcher-kva.example");  // decomposed
    CHECK(*normalize_domain("[192.0.2.1]") == "[192.0.2.1]");
    CHECK(*normalize_domain("[ipv6:2001:DB8:0::1]") == "[IPv6:2001:db8::1]");
    CHECK(*normalize_domain("localhost") == "localhost");
}

TEST_CASE("what is no domain is refused with a reason") {
    const auto text =
        GENERATE(as<std::string>(), "", ".", "..", "a..b", ".a", "a b", "-a", "a-", "a.b.1", "a@b", "ü ü.example",
                 "\xe2\x80\x8f.example", "ü\xff", "a,ü.example", "xn--\xc3\xbc", "ü/x.example", "ü..example");
    CAPTURE(text);
    const auto domain = normalize_domain(text);
    REQUIRE_FALSE(domain);
    CHECK(domain.error().kind == postfleet::ErrorKind::InvalidArgument);
    CHECK_FALSE(domain.error().text.empty());
}

TEST_CASE("the domain of a path stands after its last at-sign") {
    CHECK(domain_of("a@b.c") == "b.c");
    CHECK(domain_of("\"a@b\"@c") == "c");
    CHECK(domain_of("").empty());
    CHECK(domain_of("postmaster").empty());
}
