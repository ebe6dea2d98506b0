#include "postfleet/base/broker_access.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;

namespace {

BrokerUrl parsed(std::string_view text) {
    const auto url = BrokerUrl::parse(text);
    INFO(text << ": " << (url ? "" : url.error().text));
    REQUIRE(url);
    return *url;
}

std::string refused(std::string_view text) {
    const auto url = BrokerUrl::parse(text);
    INFO(text);
    REQUIRE_FALSE(url);
    return url.error().text;
}

}  // namespace

TEST_CASE("a broker's address has defaults for all but its host") {
    const auto plain = parsed("amqp://broker.example");
    CHECK(plain == BrokerUrl{.hosts = {{"broker.example", 5672}}});
    CHECK(plain.user == "guest");
    CHECK(plain.virtual_host == "/");
    CHECK(parsed("amqps://broker.example/").hosts[0].port == 5671);
    CHECK(parsed("AMQPS://b").tls);
}

TEST_CASE("a broker's address may have several hosts, a login and a virtual host") {
    const auto url = parsed("amqp://shop:p%40ss%2Fw@one.example:5000,[2001:db8::1]:5001,192.0.2.1,[::1]/orders%2Feu");
    CHECK(url.user == "shop");
    CHECK(url.password == "p@ss/w");
    CHECK(url.virtual_host == "orders/eu");
    CHECK(url.hosts ==
          std::vector<BrokerHost>{{"one.example", 5000}, {"2001:db8::1", 5001}, {"192.0.2.1", 5672}, {"::1", 5672}});
    CHECK(parsed("amqp://shop@b").password.empty());
    CHECK(parsed("amqp://u:a@b@c").password == "a@b");
}

TEST_CASE("a broker's address is shown without its password") {
    CHECK(parsed("amqp://shop:secret@one:5000,[::1]/or%20ders").to_string() ==
          "amqp://shop:***@one:5000,[::1]:5672/or%20ders");
    CHECK(parsed("amqps://b").to_string() == "amqps://guest:***@b:5671");
    CHECK(BrokerUrl{}.to_string().empty());
}

TEST_CASE("what is no broker's address is refused, without its password in the text") {
    for (const auto* text : {"",
                             "http://b",
                             "b:5672",
                             "amqp://",
                             "amqp://b:0",
                             "amqp://b:65536",
                             "amqp://b:x",
                             "amqp://b,",
                             "amqp://:secret@b",
                             "amqp://u:secret%4@b",
                             "amqp://u:secret%zz@b",
                             "amqp://b/a/b",
                             "amqp://b?heartbeat=secret",
                             "amqp://u:secret#@b",
                             "amqp://u:secret%00@b",
                             "amqp://[::1",
                             "amqp://[x]",
                             "amqp://[::1]5",
                             "amqp://a b",
                             "amqp://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"}) {
        CHECK(refused(text).find("secret") == std::string::npos);
    }
    CHECK(refused("amqp://b/" + std::string(256, 'v')).find("longer than 255") != std::string::npos);
}
