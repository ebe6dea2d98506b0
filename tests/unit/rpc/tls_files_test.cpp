#include "postfleet/rpc/tls_files.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using rpc::check_tls_files;

TEST_CASE("plain connections are taken on loopback addresses, elsewhere only when they are asked for [SEC-22]") {
    CHECK(check_tls_files({}, "127.0.0.1:7400,[::1]:7400,localhost:1").has_value());
    const Status refused = check_tls_files({}, "127.0.0.1:7400,router-0:7400");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().text.find("router-0:7400: between machines") != std::string::npos);
    CHECK_FALSE(check_tls_files({}, "0.0.0.0:7400").has_value());
    CHECK(check_tls_files({.unsafe_plaintext = true}, "router-0:7400").has_value());
}

TEST_CASE("certificate files go together and must be readable") {
    CHECK(check_tls_files({.ca = "ca.pem"}, "127.0.0.1:1").error().kind == ErrorKind::InvalidArgument);
    const Status unreadable = check_tls_files({.ca = "/no/ca", .certificate = "/no/c", .private_key = "/no/k"}, "a:1");
    CHECK(unreadable.error().kind == ErrorKind::PermissionDenied);
    CHECK(unreadable.error().text.find("/no/ca") != std::string::npos);
}
