#include "suspect_files.hpp"

#include <filesystem>
#include <fstream>

namespace postfleet::ingest {

std::string SuspectFile::path_of(const std::string& directory, const std::string& queue, std::uint32_t number) {
    return directory + "/" + queue + "." + std::to_string(number) + ".suspect";
}

std::vector<Suspect> SuspectFile::read_all(const std::string& directory, const std::string& queue) {
    std::vector<Suspect> notes;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(queue + ".") || !name.ends_with(".suspect")) continue;
        std::ifstream in(entry.path());
        Suspect suspect;
        if (in >> suspect.fingerprint >> suspect.crashes) notes.push_back(std::move(suspect));
    }
    return notes;
}

void SuspectFile::write(const Suspect& suspect) {
    std::ofstream out(path_, std::ios::trunc);
    out << suspect.fingerprint << ' ' << suspect.crashes << '\n';
    out.close();
    if (!out) log_.line(LogLevel::Warning, "submission-note").field("text", "cannot write " + path_);
}

void SuspectFile::clear() {
    std::error_code failed;
    std::filesystem::remove(path_, failed);
    if (failed) {
        log_.line(LogLevel::Warning, "submission-note")
            .field("text", "cannot remove " + path_ + ": " + failed.message());
    }
}

}  // namespace postfleet::ingest
