// spool_crash_child DIRECTORY FIRST SLOW_WRITE_MS: commits mail until it is killed, and tells on stdout what was confirmed.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "postfleet/spool/rocks_spool.hpp"
#include "spool_load.hpp"

int main(int argc, char** argv) {
    using namespace postfleet;
    if (argc != 4) return 2;
    spool::RocksSpoolOptions options;
    options.directory = argv[1];
    options.slow_write = std::chrono::milliseconds(std::stoi(argv[3]));
    options.min_free = 1000;
    options.segment_octets = 1 << 20;
    options.checkpoint_octets = 2 << 20;
    auto opened = spool::RocksSpool::open(std::move(options));
    if (!opened) {
        std::fprintf(stderr, "%s\n", opened.error().text.c_str());
        return 3;
    }
    spool::test::CountingExecutor executor(0);
    auto tell = [](std::uint64_t n, std::uint64_t ended) {
        spool::test::Confirmation line{n, ended};
        if (::write(STDOUT_FILENO, &line, sizeof line) != sizeof line) ::_exit(4);
    };
    spool::test::Load load(
        **opened, executor, std::stoull(argv[2]), [&](auto n) { tell(n, 0); }, [&](auto n) { tell(n, 1); });
    load.begin(30);
    while (!executor.run_until([&] { return load.in_flight() == 0; })) {
    }
    return 5;  // everything was refused
}
