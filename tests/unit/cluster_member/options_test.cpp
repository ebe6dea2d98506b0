#include "postfleet/cluster_member/options.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>

using namespace postfleet;
using namespace postfleet::cluster_member;

namespace {

const MemberProgram kProgram{
    .name = "postfleet-test", .about = "A test.", .footer = "", .data_dir = "/var/lib/test", .http = "127.0.0.1:8090"};

struct Parsed {
    MemberOptions options;
    bool goes_on = false;
    int exit_code = 0;
};

Parsed parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "postfleet-test");
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    Parsed out;
    out.goes_on =
        parse_member_options(static_cast<int>(argv.size()), argv.data(), kProgram, out.options, out.exit_code);
    return out;
}

}  // namespace

TEST_CASE("a service of a cluster needs no flags where everything is on one machine") {
    const auto got = parse({});
    REQUIRE(got.goes_on);
    CHECK(got.options.routers == std::vector<std::string>{"127.0.0.1:7400"});
    CHECK(got.options.broker.url.to_string() == "amqp://guest:***@127.0.0.1:5672");
    CHECK(got.options.http.to_string() == "127.0.0.1:8090");
    CHECK(got.options.data_dir == "/var/lib/test");
    CHECK_FALSE(got.options.name.empty());
}

TEST_CASE("flags win over environment variables") {
    ::setenv("POSTFLEET_BROKER", "amqps://shop:secret@b1,b2", 1);
    ::setenv("POSTFLEET_NAME", "from-environment", 1);
    const auto got = parse({"--name", "from-flag", "--router", "127.0.0.1:1, 127.0.0.1:2", "--broker-ca", "/ca.pem"});
    ::unsetenv("POSTFLEET_BROKER");
    ::unsetenv("POSTFLEET_NAME");
    REQUIRE(got.goes_on);
    CHECK(got.options.name == "from-flag");
    CHECK(got.options.routers == std::vector<std::string>{"127.0.0.1:1", "127.0.0.1:2"});
    CHECK(got.options.broker.url.hosts.size() == 2);
    CHECK(got.options.broker.url.password == "secret");
    CHECK(got.options.broker.ca_file == "/ca.pem");
}

TEST_CASE("mistakes end the process with 2, help with 0; routers elsewhere need certificates") {
    CHECK(parse({"--help"}).exit_code == 0);
    for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"--broker", "http://b"},
                                                                                       {"--http", "8080"},
                                                                                       {"--router", ","},
                                                                                       {"--nonsense"},
                                                                                       {"--router", "192.0.2.1:1"}}) {
        const auto got = parse(wrong);
        CHECK_FALSE(got.goes_on);
        CHECK(got.exit_code == 2);
    }
    CHECK(parse({"--router", "192.0.2.1:1", "--unsafe-plaintext"}).goes_on);
}
