// Runs one fuzz entry point (postfleet_fuzz of cmake/Targets.cmake): under libFuzzer in the fuzz preset;
// elsewhere over every file of the folder that is given, and over cut and bent copies of each.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

void POSTFLEET_FUZZ_ENTRY(std::span<const std::byte> input);

#ifdef POSTFLEET_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
    POSTFLEET_FUZZ_ENTRY(std::as_bytes(std::span(octets, size)));
    return 0;
}

#else

namespace {

void run(const std::string& input) { POSTFLEET_FUZZ_ENTRY(std::as_bytes(std::span(input.data(), input.size()))); }

// A little of what a fuzzer would try, always the same, so that a plain test run sees more than the corpus.
std::size_t run_with_variants(const std::string& input) {
    constexpr std::size_t kMaxVariants = 512;
    std::size_t runs = 1;
    run(input);
    const std::size_t step = 1 + input.size() / kMaxVariants;
    for (std::size_t at = 0; at < input.size(); at += step, runs += 3) {
        run(input.substr(0, at));
        std::string bent = input;
        bent[at] = static_cast<char>(bent[at] ^ (1 << (at % 8)));
        run(bent);
        run(input.substr(0, at) + input.substr(at / 2));
    }
    return runs;
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (argument_count != 2) {
        std::fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return 2;
    }
    std::size_t files = 0;
    std::size_t runs = 0;
    for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
        std::ifstream file(entry.path(), std::ios::binary);
        runs += run_with_variants({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
        ++files;
    }
    std::printf("%zu inputs from %zu files\n", runs, files);
    return files == 0 ? 1 : 0;
}

#endif
