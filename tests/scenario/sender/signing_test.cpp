// DKIM as the last step before the wire: with which octets, how often, and what happens without a key.
#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kMx = "192.0.2.1:2526";

// Signs by naming the digest, so that a test can see whether two signatures are over the same octets.
class FakeKey final : public SigningKey {
public:
    Type type() const override { return Type::Ed25519; }
    unsigned bits() const override { return 256; }
    std::string public_octets() const override { return "public"; }
    Result<std::string> sign(const Sha256Digest& digest) const override {
        ++signatures;
        if (is_broken) return Error{ErrorKind::Internal, "the hardware is away"};
        return std::string(octets_of(digest));
    }
    mutable int signatures = 0;
    bool is_broken = false;
};

struct Signing {
    explicit Signing(SenderWorld& w, Duration expire_after = {}) : world(w) {
        world.route("x.test", kMx);
        world.route("y.test", kMx);
        config::DkimRule rule;
        rule.domain = "from.test";
        rule.selector = "s1";
        rule.expire_after = expire_after;
        world.config.dkim.push_back(rule);
        use(key);
        world.start();
    }
    void use(std::shared_ptr<const SigningKey> usable) { use(Result<std::shared_ptr<const SigningKey>>(usable)); }
    void use(Error why_not) { use(Result<std::shared_ptr<const SigningKey>>(std::move(why_not))); }
    void use(Result<std::shared_ptr<const SigningKey>> usable) {
        world.signing_keys = std::make_shared<const sender::SigningKeys>(sender::SigningKeys{std::move(usable)});
    }
    const std::vector<Delivery>& deliveries() { return world.host(kMx).deliveries; }
    SenderWorld& world;
    const std::shared_ptr<FakeKey> key = std::make_shared<FakeKey>();
};

Mail mail_of(const std::string& author) {
    return {.content = "From: <a@" + author + ">\r\nSubject: hi\r\n\r\nhello\r\n"};
}

std::string tag(const std::string& content, const std::string& name) {
    const std::size_t at = content.find(name + "=") + name.size() + 1;
    return content.substr(at, content.find(';', at) - at);
}

}  // namespace

TEST_CASE("the signature stands on top, and the size that is announced counts it", "[D-1][X1870]") {
    SenderWorld world;
    Signing signing(world);
    world.accept(mail_of("news.from.test"));
    REQUIRE(signing.deliveries().size() == 1);
    const std::string& content = signing.deliveries()[0].content;
    CHECK(content.starts_with("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=from.test;"));
    CHECK(content.find("\r\nReceived: from test\r\nFrom: <a@news.from.test>\r\n") != std::string::npos);
    CHECK(world.host(kMx).peers[0]->commands.at(1) ==
          "MAIL FROM:<sender@from.test> SIZE=" + std::to_string(content.size()));
}

TEST_CASE("mail that no rule is for goes out as it is stored", "[D-7]") {
    SenderWorld world;
    Signing signing(world);
    world.accept(mail_of("other.test"));
    REQUIRE(signing.deliveries().size() == 1);
    CHECK(signing.deliveries()[0].content.starts_with("Received: from test\r\nFrom:"));
    CHECK(signing.key->signatures == 0);
}

TEST_CASE("a message is signed once for its recipients and its retries, and the copies are identical", "[D-1]") {
    SenderWorld world;
    Signing signing(world);
    int ends = 0;
    world.host(kMx).on_command = [&](Peer&, const std::string& line) -> std::optional<std::string> {
        if (line == "." && ends++ == 0) return "451 4.3.0 not now\r\n";
        return std::nullopt;
    };
    Mail mail = mail_of("from.test");
    mail.to = {"a@x.test", "b@y.test"};
    world.accept(mail);
    world.advance(15s);
    REQUIRE(signing.deliveries().size() == 2);
    CHECK(signing.deliveries()[0].content == signing.deliveries()[1].content);
    CHECK(signing.key->signatures == 1);
}

TEST_CASE("a signature that would expire on its way is made anew for the retry", "[D-5][F56]") {
    SenderWorld world;
    world.config.shaping.front().keys.retry_after = std::vector<Duration>{45min};
    world.config.shaping.front().keys.expire_after = 10h;
    Signing signing(world, 1h);
    int ends = 0;
    world.host(kMx).on_command = [&](Peer&, const std::string& line) -> std::optional<std::string> {
        if (line == "." && ends++ == 0) return "451 4.3.0 not now\r\n";
        return std::nullopt;
    };
    world.accept(mail_of("from.test"));
    const WallTime before = world.executors[0]->wall_now();
    world.advance(46min);
    REQUIRE(signing.deliveries().size() == 1);
    const std::string& content = signing.deliveries()[0].content;
    CHECK(signing.key->signatures == 2);
    CHECK(std::stoll(tag(content, "t")) >= to_unix_microseconds(before) / 1'000'000 + 44 * 60);
    CHECK(std::stoll(tag(content, "x")) == std::stoll(tag(content, "t")) + 3600);
}

TEST_CASE("a clock that is set back makes the signature anew, for t= must not be in the future", "[D-5][F56]") {
    SenderWorld world;
    world.shaping().retry_after = std::vector<Duration>{1h};
    Signing signing(world);
    int ends = 0;
    world.host(kMx).on_command = [&](Peer&, const std::string& line) -> std::optional<std::string> {
        if (line == "." && ends++ == 0) return "451 4.3.0 not now\r\n";
        return std::nullopt;
    };
    world.accept(mail_of("from.test"));
    world.executors[0]->set_wall_time(world.executors[0]->wall_now() - 2h);
    CHECK(world.retry({.everything = true}) == 1);
    world.settle();
    REQUIRE(signing.deliveries().size() == 1);
    CHECK(signing.key->signatures == 2);
    CHECK(std::stoll(tag(signing.deliveries()[0].content, "t")) * 1'000'000 <=
          to_unix_microseconds(world.executors[0]->wall_now()));
}

TEST_CASE("signatures that do not fit into rendering.memory are made again") {
    SenderWorld world;
    world.config.rendering.memory = 0;
    Signing signing(world);
    int ends = 0;
    world.host(kMx).on_command = [&](Peer&, const std::string& line) -> std::optional<std::string> {
        if (line == "." && ends++ == 0) return "451 4.3.0 not now\r\n";
        return std::nullopt;
    };
    world.accept(mail_of("from.test"));
    world.advance(15s);
    CHECK(signing.deliveries().size() == 1);
    CHECK(signing.key->signatures == 2);
}

TEST_CASE("without a usable key mail waits as 4.7.5, and goes signed when a reload brings one", "[D-7]") {
    SenderWorld world;
    Signing signing(world);
    signing.use(Error{ErrorKind::NotFound, "/keys/s1.pem: No such file or directory"});
    world.reload();
    world.accept(mail_of("from.test"));
    REQUIRE(world.count(EventType::Deferred) == 1);
    const Event deferred = world.events(EventType::Deferred)[0];
    CHECK(deferred.delivery->reply.enhanced.to_string() == "4.7.5");
    CHECK(deferred.delivery->reply.text == "the DKIM key from.test/s1 cannot be used");
    world.advance(11s);
    CHECK(world.count(EventType::Deferred) == 2);
    CHECK(signing.deliveries().empty());
    signing.use(signing.key);
    world.reload();
    world.advance(31s);
    REQUIRE(signing.deliveries().size() == 1);
    CHECK(signing.deliveries()[0].content.starts_with("DKIM-Signature:"));
}

TEST_CASE("a key that fails to sign defers too", "[D-7]") {
    SenderWorld world;
    Signing signing(world);
    signing.key->is_broken = true;
    world.accept(mail_of("from.test"));
    REQUIRE(world.count(EventType::Deferred) == 1);
    CHECK(signing.deliveries().empty());
    signing.key->is_broken = false;
    world.advance(11s);
    CHECK(signing.deliveries().size() == 1);
}

TEST_CASE("a message of several chunks is hashed as it comes from the spool, and its octets stay as they are") {
    SenderWorld world;
    Signing signing(world);
    Mail mail = mail_of("from.test");
    for (int line = 0; line < 40'000; ++line) mail.content += "line " + std::to_string(line) + " of a long text\r\n";
    REQUIRE(mail.content.size() > 3 * kContentChunkOctets);
    world.accept(mail);
    REQUIRE(signing.deliveries().size() == 1);
    CHECK(signing.deliveries()[0].content.ends_with(mail.content));
    CHECK(signing.key->signatures == 1);
    CHECK(world.workers.priorities.size() == 1 + mail.content.size() / kContentChunkOctets);
}

TEST_CASE("priority mail is signed as such") {
    SenderWorld world;
    Signing signing(world);
    Mail mail = mail_of("from.test");
    mail.priority = Priority::High;
    world.accept(mail);
    CHECK(world.workers.priorities == std::vector{Priority::High});
}

TEST_CASE("what X-DKIM-Options asks for and nobody configured defers with what it was", "[D-7]") {
    SenderWorld world;
    Signing signing(world);
    Mail mail = mail_of("from.test");
    mail.dkim_options = "s=s9";
    world.accept(mail);
    REQUIRE(world.count(EventType::Deferred) == 1);
    CHECK(world.events(EventType::Deferred)[0].delivery->reply.text.find("s=s9") != std::string::npos);
    CHECK(signing.deliveries().empty());
}
