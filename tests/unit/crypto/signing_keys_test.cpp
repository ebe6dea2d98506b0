#include "postfleet/crypto/signing_keys.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;

namespace {

using std::filesystem::perms;

std::string write_file(const support::TemporaryDirectory& directory, std::string_view octets,
                       perms mode = perms::owner_read | perms::owner_write) {
    const std::string path = directory.path() / "key.pem";
    std::ofstream(path, std::ios::trunc) << octets;
    std::filesystem::permissions(path, mode);
    return path;
}

std::string why_not(const std::string& path) {
    const auto key = crypto::load_signing_key(path);
    REQUIRE_FALSE(key);
    CHECK(key.error().text.find(path) == 0);
    return key.error().text;
}

}  // namespace

TEST_CASE("a key that was made can be read, and signs the same on many threads") {
    const crypto::OpensslDigests digests;
    const Sha256Digest digest = digests.sha256("text");
    const support::TemporaryDirectory directory;
    for (const auto type : {SigningKey::Type::Rsa, SigningKey::Type::Ed25519}) {
        const auto made = crypto::make_signing_key(type, 1024);
        REQUIRE(made);
        const auto read = crypto::load_signing_key(write_file(directory, made->pem.view()));
        REQUIRE(read);
        CHECK((*read)->type() == type);
        CHECK((*read)->public_octets() == made->key->public_octets());
        CHECK((*read)->bits() == made->key->bits());
        const std::string signature = made->key->sign(digest).value();
        std::vector<std::thread> threads;
        std::vector<int> differences(4, 0);
        for (int& count : differences) {
            threads.emplace_back([&] {
                for (int i = 0; i < 20; ++i) count += (*read)->sign(digest).value() != signature;
            });
        }
        for (std::thread& thread : threads) thread.join();
        CHECK(differences == std::vector<int>(4, 0));
    }
}

TEST_CASE("a key file that others may read, or that is no key, is refused with the reason", "[SEC-21][D-2]") {
    const support::TemporaryDirectory directory;
    const auto made = crypto::make_signing_key(SigningKey::Type::Ed25519, 0);
    const std::string pem(made->pem.view());
    CHECK(why_not(write_file(directory, pem, perms::owner_read | perms::others_read)).find("chmod 600") !=
          std::string::npos);
    CHECK(crypto::load_signing_key(write_file(directory, pem, perms::owner_read | perms::group_read)));
    CHECK(why_not(write_file(directory, "hello")).find("no private key") != std::string::npos);
    CHECK(why_not(write_file(directory, pem.substr(0, 60) + "\n-----END PRIVATE KEY-----\n")).find("damaged") !=
          std::string::npos);
    CHECK(why_not((directory.path() / "none").string()).find("No such file") != std::string::npos);
    CHECK(why_not(directory.path().string()).find("is no file") != std::string::npos);
}
