#include "postfleet/maildir/maildir_intake.hpp"

#include <catch2/catch.hpp>
#include <filesystem>

#include "postfleet/support/await.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/support/temporary_directory.hpp"

namespace postfleet::maildir {
namespace {

namespace fs = std::filesystem;

struct World {
    explicit World(MaildirOptions options = {}) {
        options.directory = base.file("intake");
        auto opened = MaildirIntake::open(options, metrics, {});
        REQUIRE(opened);
        intake = std::move(*opened);
    }
    MailForUs mail(const std::string& content = "Subject: DSN\r\n\r\nIt bounced.\r\n") {
        MailForUs made;
        made.id = ids.next(from_unix_microseconds(1'000'000'000'000'000));
        made.recipients = {{IntakeKind::Bounce, "acme", "b+1=x@bounces.test"}};
        made.prepended_header = "Received: by mx.test\r\n";
        made.content = {std::make_shared<const std::string>(content)};
        return made;
    }
    Status keep(MailForUs mail) {
        std::optional<Status> result;
        intake->keep(std::move(mail), {&executor, [&](Status status) { result = std::move(status); }});
        REQUIRE(support::eventually([&] {
            executor.run_until_idle();
            return result.has_value();
        }));
        return *result;
    }

    support::TemporaryDirectory base;
    support::ManualExecutor executor;
    Metrics metrics;
    IdGenerator ids{1};
    std::unique_ptr<MaildirIntake> intake;
};

}  // namespace

TEST_CASE("a mail for us is one file with its envelope in front") {
    World world;
    const MailForUs mail = world.mail();
    REQUIRE(world.keep(mail));
    const fs::path file = world.base.path() / "intake/bounce/new" / (mail.id.to_string() + ".eml");
    CHECK(support::TemporaryDirectory::read(file) ==
          "Return-Path: <>\r\nDelivered-To: b+1=x@bounces.test\r\nX-Postfleet-Tenant: acme\r\n"
          "Received: by mx.test\r\nSubject: DSN\r\n\r\nIt bounced.\r\n");
    CHECK(fs::is_empty(world.base.path() / "intake/bounce/tmp"));
}

TEST_CASE("what is kept is listed by age, and counted") {
    World world;
    for (int i = 0; i < 3; ++i) REQUIRE(world.keep(world.mail()));
    const auto all = world.intake->list(2);
    REQUIRE(all.size() == 2);
    CHECK(all[0].id < all[1].id);
    CHECK(all[0].recipient == "b+1=x@bounces.test");
    CHECK(all[0].reverse_path == "<>");
    CHECK(world.intake->statistics().mails == 3);
}

TEST_CASE("a mail of two kinds is kept with each") {
    World world;
    MailForUs mail = world.mail();
    mail.recipients.push_back({IntakeKind::Unsubscribe, "acme", "u@unsubscribe.test"});
    REQUIRE(world.keep(mail));
    const auto all = world.intake->list(10);
    REQUIRE(all.size() == 2);
    CHECK(all[0].recipient == "b+1=x@bounces.test");
    CHECK(all[1].kind == IntakeKind::Unsubscribe);
    CHECK(all[1].recipient == "u@unsubscribe.test");
}

TEST_CASE("a full store refuses, and takes again when somebody has made room") {
    World world({.max_octets = 1000});
    REQUIRE(world.keep(world.mail(std::string(700, 'x'))));
    const Status refused = world.keep(world.mail(std::string(700, 'x')));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::ResourceExhausted);
    fs::remove(world.intake->list(1).front().path);
    CHECK(support::eventually([&] { return world.keep(world.mail(std::string(700, 'x'))).has_value(); }));
}

TEST_CASE("what is on its way to the disk is bounded") {
    World world({.max_in_flight = 1000});
    CHECK(world.keep(world.mail(std::string(2000, 'x'))).error().kind == ErrorKind::ResourceExhausted);
    CHECK(world.keep(world.mail()));
}

TEST_CASE("what was being written when the process ended is cleared away, what was kept stays") {
    World world;
    REQUIRE(world.keep(world.mail()));
    world.base.write("intake/bounce/tmp/half.eml", "half");
    world.intake = nullptr;
    auto again = MaildirIntake::open({.directory = world.base.file("intake")}, world.metrics, {});
    REQUIRE(again);
    CHECK((*again)->statistics().mails == 1);
    CHECK(fs::is_empty(world.base.path() / "intake/bounce/tmp"));
}

}  // namespace postfleet::maildir
