// A RocksSpool in a folder of its own, on a disk that the test can break.
#pragma once

#include <catch2/catch.hpp>

#include <fstream>
#include <memory>
#include <optional>

#include "../../contract/spool_contract.hpp"
#include "faulty_files.hpp"
#include "spool_load.hpp"
#include "postfleet/spool/rocks_spool.hpp"
#include "postfleet/support/spool_samples.hpp"
#include "postfleet/support/temporary_directory.hpp"

namespace postfleet::spool::test {

class TestSpool {
public:
    TestSpool() {
        options.min_free = 1000;
        options.segment_octets = 256 << 10;
        options.checkpoint_octets = 1 << 20;
        options.index_memory = 4 << 20;
        options.index_cache = 1 << 20;
    }

    Result<std::unique_ptr<RocksSpool>> try_open(const std::string& where) {
        auto with = options;
        with.directory = where;
        with.files = &files;
        with.index_files = faulty_index_files(disk);
        return RocksSpool::open(std::move(with));
    }
    void open() {
        spool.reset();
        auto opened = try_open(path());
        if (!opened) FAIL(opened.error().text);
        spool = *std::move(opened);
        caller.emplace(*spool);
        spool->on_state_change(caller->executor(), [](SpoolState) {});  // so that reaches() wakes up
    }
    void close() {
        spool.reset();
        caller.reset();
    }
    std::string path() const { return directory.file("spool"); }
    // Waits until the spool is in this condition; the writer tells an executor that the test drives.
    bool reaches(SpoolCondition condition) {
        return caller->executor().run_until([&] { return spool->state().condition == condition; },
                                            std::chrono::seconds(30));
    }
    // Commits until `holds()`, because some things happen behind commits, a moment later.
    template <class Holds>
    bool comes_true(Holds&& holds) {
        for (int i = 0; i < 3000; i++) {
            if (holds()) return true;
            if (!caller->commit({})) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    }
    double metric(const std::string& name) {
        Metrics metrics;
        spool->register_metrics(metrics);
        for (auto& family : metrics.collect()) {
            if (family.name == name) return family.samples.at(0).value;
        }
        return -1;
    }
    // Turns a bit at a place in the newest segment (or another file) where `needle` stands.
    bool damage(const std::string& needle, std::size_t behind = 0);

    support::TemporaryDirectory directory;
    Disk disk;
    FaultyFiles files{disk};
    RocksSpoolOptions options;
    std::optional<contract::SpoolCaller> caller;  // its executor outlives the spool, which posts to it
    std::unique_ptr<RocksSpool> spool;
};

inline bool TestSpool::damage(const std::string& needle, std::size_t behind) {
    bool found = false;
    for (auto& entry : std::filesystem::directory_iterator(path() + "/log")) {
        auto octets = support::TemporaryDirectory::read(entry.path());
        for (auto at = octets.find(needle); at != std::string::npos; at = octets.find(needle, at + 1)) {
            octets[at + behind] = static_cast<char>(octets[at + behind] ^ 4);
            found = true;
        }
        if (found) {
            std::ofstream(entry.path(), std::ios::binary)
                .write(octets.data(), static_cast<std::streamsize>(octets.size()));
            return true;
        }
    }
    return false;
}

}  // namespace postfleet::spool::test
