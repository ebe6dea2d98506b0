#include "postfleet/base/stored_password.hpp"

#include <catch2/catch.hpp>

namespace postfleet {
namespace {

const std::string kArgon =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$PbKfmHCcBGVm4VZFb3Z1D3L7Cqk4qn7EAq9eQnQhmhk";
const std::string kScram =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

TEST_CASE("both forms come back as they were written, alone or together") {
    for (const std::string& text : {kArgon + "\n", kScram + "\n", kArgon + "\n" + kScram + "\n"}) {
        const auto stored = StoredPassword::parse(text);
        REQUIRE(stored);
        CHECK(stored->to_string() == text);
    }
    const auto stored = StoredPassword::parse("# shop, made 2026-11-22\r\n\r\n  " + kScram + "  \r\n" + kArgon);
    REQUIRE(stored);
    CHECK(stored->argon2id->memory_kibibytes == 19456);
    CHECK(stored->argon2id->passes == 2);
    CHECK(stored->argon2id->lanes == 1);
    CHECK(stored->argon2id->salt == "somesaltsomesalt");
    CHECK(stored->argon2id->hash.size() == 32);
    CHECK(stored->scram->iterations == 4096);
    CHECK(stored->scram->salt.size() == 16);
}

TEST_CASE("a stored password that is not in form, or too costly to check, says which field and shows no content") {
    const auto [from, to, why] = GENERATE(table<std::string, std::string, std::string>({
        {"$argon2id$", "$argon2i$", "neither"},
        {"v=19$", "v=16$", "version"},
        {"v=19$", "", "four parts"},
        {"m=19456", "m=019456", "costs"},
        {"m=19456", "m=-1", "costs"},
        {"m=19456", "m=99999999999", "costs"},
        {"m=19456", "m=262145", "m is not between"},
        {"m=19456", "m=7", "m is not between"},
        {"t=2", "t=0", "t is not between"},
        {"t=2", "t=33", "t is not between"},
        {"p=1", "p=17", "p is not between"},
        {"p=1", "p=1,x=2", "costs"},
        {"$c29t", "$c2 t", "salt"},
        {"$c29tZXNhbHRzb21lc2FsdA", "$c29t", "salt"},
        {"mhk", "mhk=", "hash"},
        {"mhk", "mhk$", "four parts"},
        {"$4096:", "$4095:", "iterations"},
        {"$4096:", "$10000001:", "iterations"},
        {"$4096:", "$:", "iterations"},
        {"W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gQ", "salt"},
        {"WG5d8oPm", "", "32 octets"},
        {":wfPLwcE6", "wfPLwcE6", "form"},
        {"SCRAM-SHA-256", "SCRAM-SHA-1", "neither"},
    }));
    std::string text = kArgon + "\n" + kScram;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    const auto stored = StoredPassword::parse(text);
    REQUIRE_FALSE(stored);
    CHECK_THAT(stored.error().text, Catch::Contains(why));
    for (const char* secret : {"c29t", "PbKf", "W22Z", "WG5d", "wfPL"}) {
        CHECK(stored.error().text.find(secret) == std::string::npos);
    }
}

TEST_CASE("nothing, a plain password and two of a form are refused, and a plain password is not repeated") {
    CHECK_FALSE(StoredPassword::parse(""));
    CHECK_FALSE(StoredPassword::parse("# nothing\n"));
    CHECK_FALSE(StoredPassword::parse(kArgon + "\n" + kArgon));
    CHECK_FALSE(StoredPassword::parse(kScram + "\n" + kScram));
    const auto plain = StoredPassword::parse("correct horse battery staple");
    REQUIRE_FALSE(plain);
    CHECK_THAT(plain.error().text, Catch::Contains("hash-password"));
    CHECK_THAT(plain.error().text, !Catch::Contains("horse"));
}

}  // namespace
}  // namespace postfleet
