#include "postfleet/password/password_hash.hpp"

#include <catch2/catch.hpp>

#include "postfleet/base/base64.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/sasl/server_exchange.hpp"

namespace postfleet::password {
namespace {

const crypto::OpensslDigests kDigests;
constexpr HashCost kCheap{.memory_kibibytes = 64, .passes = 1, .lanes = 1, .scram_iterations = 4096};

TEST_CASE("a password is right against both of its forms, alone and together, and no other is") {
    auto both = hash_password(kDigests, "correct horse", kCheap);
    REQUIRE(both);
    REQUIRE(both->argon2id);
    REQUIRE(both->scram);
    CHECK(both->argon2id->salt != both->scram->salt);
    StoredPassword only_argon = *both, only_scram = *both;
    only_argon.scram.reset();
    only_scram.argon2id.reset();
    for (const StoredPassword& stored : {*both, only_argon, only_scram}) {
        const auto again = StoredPassword::parse(stored.to_string());
        REQUIRE(again);
        CHECK(check_password(kDigests, *again, "correct horse") == PasswordVerdict::Match);
        for (const std::string& wrong : {std::string(), std::string("correct hors"), std::string("correct horse "),
                                         std::string("correct\0horse", 13), std::string(1025, 'x')}) {
            CHECK(check_password(kDigests, *again, wrong) == PasswordVerdict::NoMatch);
        }
    }
    CHECK(hash_password(kDigests, "correct horse", kCheap)->argon2id->salt != both->argon2id->salt);
}

TEST_CASE("hashes of the reference program match", "[rfc9106]") {
    // echo -n password | argon2 somesalt -id -v 13 -e, with the costs that stand in the text.
    const std::string text =
        GENERATE("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                 "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                 "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc");
    const auto stored = StoredPassword::parse(text);
    REQUIRE(stored);
    CHECK(check_password(kDigests, *stored, "password") == PasswordVerdict::Match);
    CHECK(check_password(kDigests, *stored, "Password") == PasswordVerdict::NoMatch);
}

TEST_CASE("a password outside ASCII gets no SCRAM keys, because clients may spell it otherwise") {
    const auto stored = hash_password(kDigests, "p\xc3\xa4ssword", kCheap);
    REQUIRE(stored);
    CHECK(stored->argon2id);
    CHECK_FALSE(stored->scram);
    CHECK(check_password(kDigests, *stored, "p\xc3\xa4ssword") == PasswordVerdict::Match);
}

TEST_CASE("what cannot be a password, or a cost, is refused with a reason") {
    CHECK(hash_password(kDigests, "", kCheap).error().text == "a password must not be empty");
    CHECK(hash_password(kDigests, std::string(1025, 'x'), kCheap).error().kind == ErrorKind::InvalidArgument);
    CHECK(hash_password(kDigests, std::string("a\0b", 3), kCheap).error().kind == ErrorKind::InvalidArgument);
    HashCost cost = kCheap;
    cost.memory_kibibytes = 1 << 20;
    CHECK_THAT(hash_password(kDigests, "x", cost).error().text, Catch::Contains("m is not between"));
    cost = kCheap;
    cost.scram_iterations = 1;
    CHECK_THAT(hash_password(kDigests, "x", cost).error().text, Catch::Contains("iterations"));
}

TEST_CASE("the SCRAM keys serve a SCRAM exchange") {
    const auto stored = hash_password(kDigests, "pencil", kCheap);
    REQUIRE(stored);
    const ScramKeys again = ScramKeys::derive(kDigests, "pencil", stored->scram->salt, stored->scram->iterations);
    CHECK(again == *stored->scram);
}

TEST_CASE("nothing matches a decoy") {
    const StoredPassword decoy = make_decoy(kCheap);
    CHECK(check_password(kDigests, decoy, "password") == PasswordVerdict::NoMatch);
    CHECK(make_decoy(kCheap).argon2id->salt != decoy.argon2id->salt);
}

}  // namespace
}  // namespace postfleet::password
