#include "postfleet/base/base64.hpp"

#include <catch2/catch.hpp>

namespace postfleet {
namespace {

TEST_CASE("base64 of the examples of RFC 4648 §10", "[rfc4648]") {
    const auto [octets, text] = GENERATE(table<std::string, std::string>({{"", ""},
                                                                          {"f", "Zg=="},
                                                                          {"fo", "Zm8="},
                                                                          {"foo", "Zm9v"},
                                                                          {"foob", "Zm9vYg=="},
                                                                          {"fooba", "Zm9vYmE="},
                                                                          {"foobar", "Zm9vYmFy"}}));
    CHECK(base64_encode(octets) == text);
    CHECK(base64_decode(text) == octets);
    const std::string bare = text.substr(0, text.find('='));
    CHECK(base64_encode(octets, Base64Form::Unpadded) == bare);
    CHECK(base64_decode(bare, Base64Form::Unpadded) == octets);
}

TEST_CASE("base64 brings every octet back") {
    std::string octets;
    for (int i = 0; i < 256; ++i) {
        octets += static_cast<char>(i);
        CHECK(base64_decode(base64_encode(octets)) == octets);
    }
}

TEST_CASE("what is not exactly base64 is refused", "[rfc4648]") {
    for (const std::string text :
         {"Z",    "Zg",   "Zg=",  "Zg===", "=",        "==",     "====",  "Zm9v=", "Zm9vY===", "Zg==Zg==",
          "Z=g=", "Zh==", "Zm9=", "Zm 9",  "Zm9v\r\n", "Zm9v\n", " Zm9v", "Zm9v ", "Zm-_",     "Zm\xc3\xa9"}) {
        INFO(text);
        CHECK_FALSE(base64_decode(text));
    }
    CHECK_FALSE(base64_decode(std::string("Zm\0v", 4)));
    CHECK_FALSE(base64_decode("Zg==", Base64Form::Unpadded));
    CHECK_FALSE(base64_decode("Zh", Base64Form::Unpadded));
}

}  // namespace
}  // namespace postfleet
