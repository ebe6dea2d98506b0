#include "postfleet/dkim/rules.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::dkim;
using config::DkimRule;

namespace {

DkimRule rule(std::string domain, std::string selector, std::vector<std::string> match = {}) {
    DkimRule made;
    made.domain = std::move(domain);
    made.selector = std::move(selector);
    made.match = std::move(match);
    return made;
}

// "d/s d/s", or the error.
std::string chosen(const std::vector<DkimRule>& rules, const Applicant& applicant, std::string_view options = {}) {
    const auto parsed = parse_options(options);
    if (!parsed) return parsed.error().text;
    const auto choices = choose_signatures(rules, applicant, *parsed);
    if (!choices) return choices.error().text;
    std::string out;
    for (const Choice& choice : *choices) {
        out += (out.empty() ? "" : " ") + choice.domain + "/" + rules[choice.rule].selector;
        if (!choice.identity.empty()) out += "/" + choice.identity;
    }
    return out;
}

Applicant from(std::string domain) { return {.from_domain = std::move(domain)}; }

}  // namespace

TEST_CASE("the key nearest to the author's domain signs, and a parent's where there is none", "[D-6]") {
    const std::vector<DkimRule> rules{rule("*", "any"), rule("example.com", "a"), rule("news.example.com", "n"),
                                      rule("news.example.com", "ed")};
    CHECK(chosen(rules, from("example.com")) == "example.com/a");
    CHECK(chosen(rules, from("shop.example.com")) == "example.com/a");
    CHECK(chosen(rules, from("news.example.com")) == "news.example.com/n news.example.com/ed");
    CHECK(chosen(rules, from("x.news.example.com")) == "news.example.com/n news.example.com/ed");
    CHECK(chosen(rules, from("other.example")) == "other.example/any");
    CHECK(chosen(rules, from("notexample.com")) == "notexample.com/any");
    CHECK(chosen({rule("example.com", "a")}, from("other.example")).empty());
    CHECK(chosen({rule("example.com", "a")}, from("")).empty());
}

TEST_CASE("a platform signs beside its customers, in the order of the configuration", "[D-5]") {
    DkimRule platform = rule("esp.example", "p", {"*"});
    platform.also = true;
    CHECK(chosen({rule("a.example", "s"), platform}, from("a.example")) == "a.example/s esp.example/p");
    CHECK(chosen({platform, rule("a.example", "s")}, from("b.example")) == "esp.example/p");
}

TEST_CASE("a tenant's or user's key is nobody else's, and comes before the common one", "[D-6][SEC-8][SEC-21]") {
    DkimRule of_tenant = rule("a.example", "tenant"), of_user = rule("a.example", "user");
    of_tenant.tenants = {"acme"};
    of_user.users = {"shop"};
    const std::vector<DkimRule> rules{rule("a.example", "common"), of_tenant, of_user};
    CHECK(chosen(rules, {.from_domain = "a.example", .tenant = "other"}) == "a.example/common");
    CHECK(chosen(rules, {.from_domain = "a.example", .tenant = "acme"}) == "a.example/tenant");
    CHECK(chosen(rules, {.from_domain = "a.example", .tenant = "acme", .user = "shop"}) == "a.example/user");
    CHECK(chosen({of_tenant}, {.from_domain = "a.example", .tenant = "other"}, "s=tenant; d=a.example")
              .find("no DKIM key") == 0);
}

TEST_CASE("Sender decides where the rule says so, and From where there is no Sender") {
    DkimRule by_sender = rule("a.example", "s");
    by_sender.identity_from = config::IdentityField::Sender;
    CHECK(chosen({by_sender}, {.from_domain = "x.example", .sender_domain = "a.example"}) == "a.example/s");
    CHECK(chosen({by_sender}, {.from_domain = "a.example", .sender_domain = "x.example"}).empty());
    CHECK(chosen({by_sender}, from("a.example")) == "a.example/s");
}

TEST_CASE("X-DKIM-Options chooses among what is configured, as PowerMTA reads it") {
    DkimRule listed = rule("brand.example", "b", {"*"}), asked = rule("asked.example", "q");
    listed.key_list = "brands";
    asked.when = config::SigningCall::Requested;
    const std::vector<DkimRule> rules{rule("a.example", "s1"), rule("a.example", "s2"), listed, asked};
    CHECK(chosen(rules, from("a.example"), "s=s2") == "a.example/s2");
    CHECK(chosen(rules, from("other.example"), "s=S1; d=A.example; q=dns/txt") == "a.example/s1");
    CHECK(chosen(rules, from("a.example"), "i=@news.a.example; s=s1") == "a.example/s1/@news.a.example");
    CHECK(chosen(rules, from("a.example"), "key-list=brands") == "brand.example/b");
    CHECK(chosen(rules, from("asked.example"), "q=dns/txt") == "asked.example/q");
    CHECK(chosen(rules, from("asked.example")).empty());
    CHECK(chosen(rules, from("a.example"), "s=s9") ==
          "no DKIM key is configured for what X-DKIM-Options asks for: s=s9");
    CHECK(chosen(rules, from("a.example"), "i=@b.example").find("is not within d=a.example") != std::string::npos);
    CHECK(chosen(rules, from("a.example"), "s1").find("no list of name=value") != std::string::npos);
    CHECK(chosen(rules, from("a.example"), "d=a b; s=s1").find("d=a b is no domain name") != std::string::npos);
    CHECK(chosen(rules, from("a.example"), "i=a.example").find("is no \"@domain\" or address") != std::string::npos);
    CHECK(chosen(rules, from("a.example"), "i=x\r\n y@a.example").find("is no") != std::string::npos);
    CHECK(chosen(rules, from("a.example"), "l=100").find("unknown tag l=") != std::string::npos);
}

TEST_CASE("a selector alone names the author's key, never another domain's of the same name", "[SEC-8]") {
    DkimRule platform = rule("esp.example", "p", {"*"});
    platform.also = true;
    const std::vector<DkimRule> rules{rule("a.example", "s1"), rule("b.example", "s1"), rule("*", "s1"), platform};
    CHECK(chosen(rules, from("a.example"), "s=s1") == "a.example/s1 esp.example/p");
    CHECK(chosen(rules, from("c.example"), "s=s1") == "c.example/s1 esp.example/p");
    CHECK(chosen(rules, from("a.example"), "d=b.example") == "b.example/s1 esp.example/p");
    CHECK(chosen(rules, from("a.example"), "d=d.example") == "d.example/s1 esp.example/p");
}

TEST_CASE("the second signature of a platform is on mail that chooses a key list, too") {
    DkimRule platform = rule("esp.example", "p", {"*"}), brand = rule("a.example", "brand");
    platform.also = true;
    brand.key_list = "brands";
    CHECK(chosen({brand, platform}, from("a.example"), "key-list=brands") == "a.example/brand esp.example/p");
}
