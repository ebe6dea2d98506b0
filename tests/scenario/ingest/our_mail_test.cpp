// Mail for us: taken from anybody, kept before the 250.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

const std::string kOurs = R"(
hostname: mx.example
tenants: {acme: {}}
listeners: {relay: {address: "127.0.0.1:2525", relay_from: ["192.0.2.0/24"]}}
intake:
  domains:
    - {domain: Bounces.Test, kind: bounce, tenant: acme}
    - {domain: unsubscribe.test, kind: unsubscribe}
  max_message_size: 600KiB
)";

class FakeIntake final : public FeedbackIntake {
public:
    void keep(MailForUs mail, Completion<Status> done) override {
        if (next) kept.push_back(std::move(mail));
        done.on->post([run = std::move(done.run), status = next]() mutable { run(std::move(status)); });
    }
    Status next;
    std::vector<MailForUs> kept;
};

struct World : IngestFixture {
    explicit World(const std::string& configuration = kOurs) : IngestFixture(configuration) {
        shard.desk().keep_our_mail_in(intake);
    }
    FakeIntake intake;
};

constexpr const char* kStranger = "198.51.100.9";

std::string content_of(std::size_t octets) {
    std::string content = "Subject: s\r\n\r\n";
    while (content.size() < octets) content += std::string(70, 'x') + "\r\n";
    return content;
}

}  // namespace

TEST_CASE("mail for us is taken from anybody, with the null sender too", "[ingest][intake]") {
    World world;
    Client client(world, kStranger);
    client.begin("", {"b+alice=customer.example@BOUNCES.test"});
    CHECK(client.say("Subject: DSN\r\n\r\nBounced.\r\n.\r\n").starts_with("250 2.0.0 Ok: queued as "));
    REQUIRE(world.intake.kept.size() == 1);
    const MailForUs& mail = world.intake.kept.front();
    CHECK(mail.reverse_path.empty());
    REQUIRE(mail.recipients.size() == 1);
    CHECK(mail.recipients.front().address == "b+alice=customer.example@bounces.test");
    CHECK(mail.recipients.front().kind == IntakeKind::Bounce);
    CHECK(mail.recipients.front().tenant == "acme");
    CHECK(mail.prepended_header.find("for <b+alice=customer.example@bounces.test>") != std::string::npos);
    CHECK(*mail.content.front() == "Subject: DSN\r\n\r\nBounced.\r\n");
    CHECK(world.handover.accepted.empty());
}

TEST_CASE("a stranger's other recipients are refused", "[ingest][intake]") {
    World world;
    Client client(world, kStranger);
    client.say("EHLO stranger.test\r\nMAIL FROM:<>\r\n");
    CHECK(client.say("RCPT TO:<b@bounces.test>\r\n").starts_with("250 "));
    CHECK(client.say("RCPT TO:<c@customer.example>\r\n").starts_with("550 5.7.1 "));
    CHECK(client.say("RCPT TO:<c@sub.bounces.test>\r\n").starts_with("550 5.7.1 "));
    CHECK(client.say("RCPT TO:<c@xbounces.test>\r\n").starts_with("550 5.7.1 "));
    CHECK(client.say("DATA\r\n").starts_with("354 "));
    CHECK(client.say("Subject: DSN\r\n\r\n.\r\n").starts_with("250 "));
    CHECK(world.intake.kept.size() == 1);
}

TEST_CASE("postmaster without a domain is for us where the host's own name is", "[ingest][intake][S5321-5]") {
    World world;
    Client stranger(world, kStranger);
    stranger.say("EHLO stranger.test\r\nMAIL FROM:<>\r\n");
    CHECK(stranger.say("RCPT TO:<postmaster>\r\n").starts_with("550 5.7.1 "));

    const std::string own_name = "    - {domain: mx.example, kind: bounce}\n";
    World with_own_name(std::string(kOurs).insert(kOurs.find("  max_message_size"), own_name));
    Client welcome(with_own_name, kStranger);
    welcome.begin("", {"postmaster"});
    CHECK(welcome.say("Subject: s\r\n\r\n.\r\n").starts_with("250 "));
    REQUIRE(with_own_name.intake.kept.size() == 1);
    CHECK(with_own_name.intake.kept.front().recipients.front().address == "postmaster@mx.example");
}

TEST_CASE("a message may be for us and for others", "[ingest][intake]") {
    World world;
    Client client(world);
    client.begin("a@sender.example", {"b@bounces.test", "c@customer.example", "u@unsubscribe.test"});
    CHECK(client.say("Subject: s\r\n\r\nHello\r\n.\r\n").starts_with("250 "));
    REQUIRE(world.intake.kept.size() == 1);
    CHECK(world.intake.kept.front().recipients.size() == 2);
    REQUIRE(world.handover.accepted.size() == 1);
    REQUIRE(world.handover.accepted.front().tasks.size() == 1);
    CHECK(world.handover.accepted.front().tasks.front().domain == "customer.example");
    CHECK(world.handover.accepted.front().message->id == world.intake.kept.front().id);
}

TEST_CASE("when mail for us cannot be kept nothing of the message is taken", "[ingest][intake]") {
    World world;
    world.intake.next = Error{ErrorKind::ResourceExhausted, "full"};
    Client client(world);
    client.begin("a@sender.example", {"b@bounces.test", "c@customer.example"});
    CHECK(client.say("Subject: s\r\n\r\nHello\r\n.\r\n").starts_with("452 4.3.1 "));
    world.intake.next = Error{ErrorKind::Unavailable, "disk"};
    client.begin("a@sender.example", {"b@bounces.test"});
    CHECK(client.say("Subject: s\r\n\r\nHello\r\n.\r\n").starts_with("451 "));
    CHECK(world.handover.accepted.empty());
    world.intake.next = {};
    client.begin("a@sender.example", {"b@bounces.test"});
    CHECK(client.say("Subject: s\r\n\r\nHello\r\n.\r\n").starts_with("250 "));
}

TEST_CASE("mail for us has a size limit of its own, announced or not", "[ingest][intake]") {
    World world;
    Client client(world, kStranger);
    client.say("EHLO stranger.test\r\nMAIL FROM:<> SIZE=700000\r\n");
    CHECK(client.say("RCPT TO:<b@bounces.test>\r\n").starts_with("552 5.3.4 "));
    client.say("RSET\r\n");
    client.begin("", {"b@bounces.test"});
    CHECK(client.say(content_of(700'000) + ".\r\n").starts_with("552 5.3.4 "));
    CHECK(world.intake.kept.empty());
    CHECK(world.shard.our_mail_octets() == 0);
    CHECK(world.refused(Reason::OurMailTooBig) == 2);
}

TEST_CASE("mail for us of several chunks comes whole, for us and for others", "[ingest][intake]") {
    World world;
    Client client(world);
    client.begin("a@sender.example", {"b@bounces.test", "c@customer.example"});
    const std::string content = content_of(500'000);
    CHECK(client.say(content + ".\r\n").starts_with("250 "));
    REQUIRE(world.intake.kept.size() == 1);
    std::string kept;
    for (const SharedOctets& part : world.intake.kept.front().content) kept += *part;
    CHECK(kept == content);
    CHECK(world.handover.whole(0).ends_with(content));
    CHECK(world.shard.our_mail_octets() == 0);
}

TEST_CASE("a connection that is lost leaves nothing of mail for us behind", "[ingest][intake]") {
    World world;
    Client client(world);
    client.begin("a@sender.example", {"b@bounces.test", "c@customer.example"});
    client.say(content_of(500'000));
    CHECK(world.shard.our_mail_octets() > 0);
    client.lose();
    CHECK(world.shard.our_mail_octets() == 0);
    CHECK(world.handover.chunks.empty());
    CHECK(world.intake.kept.empty());
}

}  // namespace postfleet::ingest
