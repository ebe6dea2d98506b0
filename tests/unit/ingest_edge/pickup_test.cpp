// Pickup directories with real files and threads (SEC-17).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>

#include "postfleet/config_files/load.hpp"
#include "postfleet/ingest/pickup_service.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/support/temporary_directory.hpp"

namespace postfleet::ingest {
namespace {

namespace fs = std::filesystem;

// Takes messages on any thread, or refuses while it is closed.
class Store final : public Handover {
public:
    Admission admission() const override {
        const std::lock_guard lock(mutex_);
        return {.open = open_, .space_low = false, .reason = "test"};
    }
    void holds(MessageId id, Completion<Result<bool>> done) override {
        const std::lock_guard lock(mutex_);
        const bool held = known_.contains(id);
        done.on->post([run = std::move(done.run), held]() mutable { run(held); });
    }
    void hand_over(AcceptedMessage message, Completion<Status> done) override {
        const std::lock_guard lock(mutex_);
        contents_.push_back(*message.last_chunk);
        known_.insert_or_assign(message.message->id, contents_.size());
        answer(std::move(done));
    }
    void append_content(MessageId, std::uint32_t, SharedOctets, Completion<Status> done) override {
        const std::lock_guard lock(mutex_);
        if (holding_) held_.push_back(std::move(done));
        else answer(std::move(done));
    }
    void discard_content(MessageId, std::uint32_t) override {}

    void hold_chunks(bool hold) {
        const std::lock_guard lock(mutex_);
        holding_ = hold;
        for (auto& done : held_) answer(std::move(done));
        held_.clear();
    }
    std::size_t held_chunks() const {
        const std::lock_guard lock(mutex_);
        return held_.size();
    }
    void set_open(bool open) {
        const std::lock_guard lock(mutex_);
        open_ = open;
    }
    void know(MessageId id) {
        const std::lock_guard lock(mutex_);
        known_.emplace(id, 0);
    }
    void forget(MessageId id) {
        const std::lock_guard lock(mutex_);
        known_.erase(id);
    }
    std::vector<std::string> contents() const {
        const std::lock_guard lock(mutex_);
        return contents_;
    }

private:
    static void answer(Completion<Status> done) {
        done.on->post([run = std::move(done.run)]() mutable { run({}); });
    }

    mutable std::mutex mutex_;
    bool open_ = true;
    bool holding_ = false;
    std::vector<Completion<Status>> held_;
    std::vector<std::string> contents_;
    std::map<MessageId, std::size_t> known_;
};

struct World {
    World() {
        fs::create_directory(in);
        fs::create_directory(elsewhere);
    }
    ~World() { service.stop(); }

    Status open(const std::string& more = "") {
        const auto loaded = config_files::load_text(
            "hostname: mx.test\nlisteners: {relay: {address: \"127.0.0.1:0\"}}\npickups: {files: {directory: " +
            in.string() + ", bad_directory: " + bad.string() + ", rescan_interval: 100ms" +
            (more.empty() ? ", settle_time: 20ms" : more) + "}}\n");
        INFO(config_files::to_string(loaded.problems));
        REQUIRE(loaded.config);
        return service.open({loaded.config, routing::Snapshot::compile(*loaded.config)});
    }
    void start() {
        REQUIRE(open());
        service.start();
    }
    void write(const fs::path& path, const std::string& text) const { std::ofstream(path, std::ios::binary) << text; }
    void move_in(const std::string& name, const std::string& text) const {
        write(elsewhere / name, text);
        fs::rename(elsewhere / name, in / name);
    }
    std::string read(const fs::path& path) const {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    bool takes(std::size_t messages) {
        return support::eventually([&] { return store.contents().size() >= messages; });
    }
    bool is_rejected(const std::string& name) {
        return support::eventually([&] { return fs::exists(fs::symlink_status(bad / name)); });
    }
    // Nothing of a file is left.
    bool is_empty() {
        return support::eventually([&] { return fs::is_empty(in / ".postfleet") && names() == 1; });
    }
    std::ptrdiff_t names() const { return std::distance(fs::directory_iterator(in), {}); }

    support::TemporaryDirectory base;
    fs::path in = base.path() / "in", bad = base.path() / "bad", elsewhere = base.path() / "elsewhere";
    Store store;
    Metrics metrics;
    PickupService service{{.handover = store, .metrics = metrics, .log = {}, .seed = 7}};
};

const std::string kFile = "x-sender: a@src.test\nx-receiver: b@dst.test\nSubject: s\n\nHello\n";

}  // namespace

TEST_CASE("a file that is moved in is taken, and then gone", "[pickup]") {
    World world;
    world.start();
    world.move_in("order.eml", kFile);
    REQUIRE(world.takes(1));
    CHECK(world.store.contents().front() == "Subject: s\r\n\r\nHello\r\n");
    CHECK(world.is_empty());
    CHECK_FALSE(fs::exists(world.bad / "order.eml"));
}

TEST_CASE("files that were there before the start are taken, however many", "[pickup][SEC-17]") {
    World world;
    for (int i = 0; i < 500; ++i) world.move_in(std::to_string(i), kFile);
    world.start();
    CHECK(world.takes(500));
    CHECK(world.is_empty());
    CHECK(world.store.contents().size() == 500);
}

TEST_CASE("names with odd octets are names like others", "[pickup][SEC-17]") {
    World world;
    world.start();
    for (const std::string& name : {std::string("a\nb"), std::string("\xff\xfe"), std::string("-rf"),
                                    std::string("a b;c"), std::string(255, 'n')}) {
        world.move_in(name, kFile);
    }
    CHECK(world.takes(5));
    CHECK(world.is_empty());
}

TEST_CASE("dot files, ends of names that are ignored and directories are left alone", "[pickup][SEC-17]") {
    World world;
    fs::create_directory(world.in / "sub");
    world.start();
    world.write(world.in / ".hidden", kFile);
    world.write(world.in / "half.tmp", kFile);
    world.write(world.in / "whole", kFile);
    CHECK(world.takes(1));
    CHECK(support::eventually([&] { return !fs::exists(world.in / "whole"); }));
    CHECK(world.store.contents().size() == 1);
    CHECK(fs::exists(world.in / ".hidden"));
    CHECK(fs::exists(world.in / "half.tmp"));
    CHECK(fs::exists(world.in / "sub"));
}

TEST_CASE("links, hard links, FIFOs and sockets are never read", "[pickup][SEC-17]") {
    World world;
    world.write(world.elsewhere / "secret", kFile);
    fs::create_symlink(world.elsewhere / "secret", world.in / "symlink");
    fs::create_hard_link(world.elsewhere / "secret", world.in / "hardlink");
    REQUIRE(::mkfifo((world.in / "fifo").c_str(), 0600) == 0);
    world.start();
    for (const char* name : {"symlink", "hardlink", "fifo"}) {
        INFO(name);
        CHECK(world.is_rejected(name));
        CHECK(fs::exists(world.bad / (std::string(name) + ".reason")));
    }
    CHECK(world.store.contents().empty());
    CHECK(world.read(world.elsewhere / "secret") == kFile);
    CHECK(world.read(world.bad / "hardlink.reason").find("more than one name") != std::string::npos);
}

TEST_CASE("a file that is written in place is not taken before it has settled", "[pickup][SEC-17]") {
    World world;
    REQUIRE(world.open(", settle_time: 1h"));
    // Who has it open may be about to write more; that it was closed would say that it is whole.
    std::ofstream writer(world.in / "growing", std::ios::binary);
    writer << "x-sender: a@src.test\nx-receiver: b@dst.test\nSubject: s\n\nHel" << std::flush;
    world.service.start();
    world.move_in("whole", kFile);
    REQUIRE(world.takes(1));
    CHECK(world.store.contents().front() == "Subject: s\r\n\r\nHello\r\n");
    CHECK(fs::exists(world.in / "growing"));
}

TEST_CASE("a file that grows while it is read is taken when it is whole, and once", "[pickup][SEC-17]") {
    World world;
    world.store.hold_chunks(true);
    world.start();
    std::string text = kFile;
    while (text.size() < 300'000) text += "0123456789012345678901234567890123456789\n";
    world.write(world.elsewhere / "file", text);
    std::ofstream writer(world.elsewhere / "file", std::ios::binary | std::ios::app);
    fs::rename(world.elsewhere / "file", world.in / "file");
    REQUIRE(support::eventually([&] { return world.store.held_chunks() > 0; }));
    writer << "the end\n" << std::flush;
    world.store.hold_chunks(false);
    REQUIRE(world.takes(1));
    CHECK(world.store.contents().front().ends_with("0123456789\r\nthe end\r\n"));
    CHECK(world.is_empty());
    CHECK(world.store.contents().size() == 1);
}

TEST_CASE("a bad file is put aside with a reason that says what to do", "[pickup]") {
    World world;
    world.start();
    world.move_in("bad.eml", "From: a@src.test\n\nHello\n");
    REQUIRE(world.is_rejected("bad.eml"));
    CHECK(world.read(world.bad / "bad.eml") == "From: a@src.test\n\nHello\n");
    const std::string reason = world.read(world.bad / "bad.eml.reason");
    CHECK(reason.find("Why: the file does not begin with an x-sender line") != std::string::npos);
    CHECK(reason.find("move it into " + world.in.string()) != std::string::npos);
    CHECK(world.is_empty());
}

TEST_CASE("bad files of one name all stay", "[pickup]") {
    World world;
    world.start();
    for (int i = 0; i < 3; ++i) {
        world.move_in("bad.eml", "nothing " + std::to_string(i));
        REQUIRE(world.is_empty());
    }
    CHECK(support::eventually([&] { return std::distance(fs::directory_iterator(world.bad), {}) == 6; }));
}

TEST_CASE("a large file goes through in chunks", "[pickup][SEC-17]") {
    World world;
    world.start();
    std::string text = kFile;
    while (text.size() < 3'000'000) text += "0123456789012345678901234567890123456789\n";
    world.move_in("large", text);
    CHECK(world.takes(1));
    CHECK(world.is_empty());
}

TEST_CASE("while the store takes no mail files wait, and nothing is lost", "[pickup]") {
    World world;
    world.store.set_open(false);
    world.start();
    world.move_in("order.eml", kFile);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(world.store.contents().empty());
    CHECK(fs::exists(world.in / "order.eml"));
    world.store.set_open(true);
    CHECK(world.takes(1));
    CHECK(world.is_empty());
}

TEST_CASE("what a crash left claimed is taken again, unless the store has it", "[pickup][SEC-17]") {
    World world;
    const std::string taken = "01a201d4-2c7d-76d3-838d-da35cedbd19c", lost = "01a201d4-2c7d-76d3-838d-da35cedbd19d";
    fs::create_directory(world.in / ".postfleet");
    REQUIRE(::chmod((world.in / ".postfleet").c_str(), 0700) == 0);
    world.write(world.in / ".postfleet" / (taken + ".a.eml"), kFile);
    world.write(world.in / ".postfleet" / (lost + ".b.eml"), kFile);
    world.store.know(*MessageId::parse(taken));
    REQUIRE(world.open());
    world.store.forget(*MessageId::parse(taken));  // delivered before the taking begins
    world.service.start();
    CHECK(world.takes(1));
    CHECK(world.is_empty());
    CHECK(world.store.contents().size() == 1);
}

TEST_CASE("a directory that everybody can write to is refused, and so is one that another process has",
          "[pickup][SEC-17]") {
    World world;
    REQUIRE(::chmod(world.in.c_str(), 0777) == 0);
    const Status refused = world.open();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("pickups.files.directory: ") != std::string::npos);
    CHECK(refused.error().text.find("writable by everybody") != std::string::npos);
    REQUIRE(::chmod(world.in.c_str(), 0770) == 0);
    REQUIRE(world.open());
    World other;
    other.in = world.in;
    CHECK(other.open().error().text.find("another process") != std::string::npos);
}

TEST_CASE("draining ends when no file is under way, and stops the taking", "[pickup]") {
    auto loop = net::EpollLoop::create(0);  // outlives the threads that complete on it
    REQUIRE(loop);
    World world;
    world.start();
    world.move_in("first", kFile);
    REQUIRE(world.takes(1));
    bool drained = false;
    world.service.drain({loop->get(), [&](Status) { drained = true; }});
    for (int i = 0; i < 2000 && !drained; ++i) (*loop)->run_turn(std::chrono::milliseconds(10));
    CHECK(drained);
    world.move_in("second", kFile);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK(world.store.contents().size() == 1);
    CHECK(fs::exists(world.in / "second"));
}

}  // namespace postfleet::ingest
