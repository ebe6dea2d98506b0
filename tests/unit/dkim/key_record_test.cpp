#include "postfleet/dkim/key_record.hpp"

#include <catch2/catch.hpp>

#include "postfleet/base/base64.hpp"

using namespace postfleet;
using namespace postfleet::dkim;

namespace {

const PublicKey kKey{Algorithm::RsaSha256, 2048, std::string(294, 'k')};

std::string problem(const PublicKey& key, const std::vector<std::string>& records) {
    const KeyVerdict verdict = compare_key(key, records);
    if (verdict.kind == KeyVerdict::Kind::Good) return verdict.problems.empty() ? "good" : "good, with problems";
    REQUIRE_FALSE(verdict.problems.empty());
    return verdict.problems.front();
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a record that was published as shown is good, however the DNS cut it", "[D-6]") {
    const std::string text = record_text(kKey);
    CHECK(problem(kKey, {text}) == "good");
    CHECK(problem(kKey, {"v=DKIM1;k=rsa ; t=x:z; n=hello; p = " + base64_encode(kKey.octets).substr(0, 50) + " \t" +
                         base64_encode(kKey.octets).substr(50) + ";"}) == "good");
    CHECK(problem(kKey, {"v=spf1 -all", text}) == "good");
    const std::string line = zone_line("s1", "a.example", text);
    CHECK(line.starts_with("s1._domainkey.a.example. IN TXT ( \"v=DKIM1; k=rsa; p="));
    CHECK(std::count(line.begin(), line.end(), '"') == 4);
}

TEST_CASE("what is wrong with a published key is said in a sentence", "[D-2][D-6]") {
    const std::string text = record_text(kKey), p = base64_encode(kKey.octets);
    CHECK(has(problem(kKey, {}), "no TXT record"));
    CHECK(has(problem(kKey, {"v=spf1 -all"}), "no DKIM key"));
    CHECK(has(problem(kKey, {text, text + ";"}), "several key records"));
    CHECK(has(problem(kKey, {"v=DKIM1; p="}), "revoked"));
    CHECK(has(problem(kKey, {"v=DKIM1; p=" + base64_encode(std::string(294, 'x'))}), "another key"));
    CHECK(has(problem(kKey, {"v=DKIM1; p=" + p.substr(0, 200)}), "cut off"));
    CHECK(has(problem(kKey, {"v=DKIM1; p=!" + p}), "no Base64"));
    CHECK(has(problem(kKey, {"v=DKIM1; k=ed25519; p=" + p}), "another key is published"));
    CHECK(has(problem(kKey, {"p=" + p + "; v=DKIM1"}), "come first"));
    CHECK(has(problem(kKey, {text + "; t=y"}), "only tests"));
    CHECK(has(problem(kKey, {text + "; s=tlsrpt"}), "another service"));
    CHECK(has(problem(kKey, {text + "; h=sha1"}), "sha256"));
    CHECK(has(problem({Algorithm::RsaSha256, 768, "x"}, {"v=DKIM1; p=" + base64_encode("x")}), "768 bits"));
    CHECK(compare_key({Algorithm::RsaSha256, 1024, "x"}, std::vector<std::string>{"v=DKIM1; p=" + base64_encode("x")})
              .kind == KeyVerdict::Kind::Warning);
}
