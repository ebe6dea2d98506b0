// The keys of a broker, in a section made here.
#include <catch2/catch.hpp>

#include "../../../libs/config/src/tables_broker.hpp"
#include "postfleet/yaml/documents.hpp"

using namespace postfleet;
using namespace postfleet::config;

namespace {

struct Owner {
    BrokerAccess broker;
};

const Section& section() {
    static const Section made = with_broker_access<Owner>(
        Section{"broker", "A broker.", {}, {}}, [](auto& o) -> auto& { return o.broker; }, kRequired);
    return made;
}

struct Read {
    Owner owner;
    std::string problems;
};

Read read(const std::string& text) {
    const auto parsed = yaml::parse_text(text, "broker.yaml");
    REQUIRE(parsed.documents.size() == 1);
    Environment environment;
    environment.directory = "/etc/postfleet";
    environment.variable = [](std::string_view) -> std::optional<std::string> {
        return "amqps://shop:secret@b/orders";
    };
    Config config;
    std::vector<Problem> problems;
    Reader reader(environment, config, problems);
    Read out;
    read_section(reader, section(), parsed.documents[0], "broker", &out.owner);
    for (const auto& problem : problems) out.problems += problem.text + "\n";
    return out;
}

}  // namespace

TEST_CASE("a broker's access is read with its files, relative to the configuration") {
    const auto got = read(
        "{url: \"${BROKER}\", ca_file: ca.pem, certificate: c.pem, private_key: /k.pem, password_file: secrets/b}");
    CHECK(got.problems.empty());
    CHECK(got.owner.broker.url.tls);
    CHECK(got.owner.broker.url.password == "secret");
    CHECK(got.owner.broker.url.virtual_host == "orders");
    CHECK(got.owner.broker.ca_file == "/etc/postfleet/ca.pem");
    CHECK(got.owner.broker.certificate == "/etc/postfleet/c.pem");
    CHECK(got.owner.broker.private_key == "/k.pem");
    CHECK(got.owner.broker.password_file == "/etc/postfleet/secrets/b");
}

TEST_CASE("a broker's password is neither shown nor part of a problem") {
    const auto got = read("url: amqp://shop:secret@one,two:7000");
    std::string shown;
    for (const auto& child : show_section(section(), "broker", &got.owner)) shown += child.text + "\n";
    CHECK(shown.find("shop:***@one:5672,two:7000") != std::string::npos);
    CHECK(shown.find("secret") == std::string::npos);
    const auto wrong = read("url: amqp://shop:secret@one:port");
    CHECK(wrong.problems.find("is not a broker's address: the port of one") != std::string::npos);
    CHECK(wrong.problems.find("secret") == std::string::npos);
}
